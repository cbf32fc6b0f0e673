//! A list of objects as a table.

use serde_json::Value;
use std::collections::BTreeSet;

use super::{cell, clean, columns, rank};

/// A line of names, then a line for each object. Columns are as wide as they need to be; numbers stand
/// on the right.
pub(super) fn table(rows: &[Value]) -> String {
    let names: BTreeSet<(usize, &str)> = rows
        .iter()
        .filter_map(Value::as_object)
        .flat_map(|row| row.keys().map(|name| (rank(name), name.as_str())))
        .collect();
    let drawn: Vec<Column> = names.into_iter().map(|(_, name)| Column::new(name, rows)).collect();
    (0..=rows.len())
        .map(|line| {
            let cells: Vec<String> = drawn.iter().map(|column| column.cell(line)).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

struct Column {
    /// Its name, then its cells.
    cells: Vec<String>,
    width: usize,
    right: bool,
}

impl Column {
    fn new(name: &str, rows: &[Value]) -> Self {
        let values: Vec<Option<&Value>> = rows.iter().map(|row| row.get(name)).collect();
        let mut cells = vec![clean(name).to_uppercase()];
        cells.extend(values.iter().map(|value| value.map_or_else(String::new, |value| cell(name, value))));
        let number = |value: &Option<&Value>| value.is_none_or(|value| value.is_number() || value.is_null());
        Column {
            width: cells.iter().map(|cell| columns(cell)).max().unwrap_or_default(),
            right: values.iter().all(number),
            cells,
        }
    }

    fn cell(&self, line: usize) -> String {
        let cell = &self.cells[line];
        let space = " ".repeat(self.width - columns(cell));
        if self.right { format!("{space}{cell}") } else { format!("{cell}{space}") }
    }
}
