//! Table-driven tests: what is done in each row, and what must come of it.

use super::Site;
use crate::{Fault, FaultKind};
use serde_json::Value;

type Act = Box<dyn Fn(&mut Site) -> Result<Value, Fault>>;

/// Rows of a test, each run on a site of its own that is made in the same way.
///
/// ```
/// use tallyho_plugin::prelude::*;
/// use tallyho_plugin::testkit::{Site, Table, Then};
/// # struct Sum;
/// # impl Handler for Sum {
/// #     fn manifest() -> Manifest {
/// #         Manifest::new("sum", "0.1.0").command(CommandSpec::new("add", "adds"))
/// #     }
/// #     fn create() -> Result<Self, Fault> {
/// #         Ok(Sum)
/// #     }
/// #     fn command(&self, command: &Command, _: &mut Context<'_>) -> Result<Value, Fault> {
/// #         Ok(json!(command.arguments::<Vec<i64>>()?.iter().sum::<i64>()))
/// #     }
/// # }
///
/// Table::of(|| Site::new(1).with::<Sum>())
///     .row("two numbers", |site| site.command("add", json!([2, 3])), Then::done().answer(json!(5)))
///     .row("none", |site| site.command("add", json!([])), Then::nothing())
///     .row("a word", |site| site.command("add", json!("two")), Then::usage())
///     .check();
/// ```
pub struct Table {
    make: Box<dyn Fn() -> Site>,
    rows: Vec<(String, Act, Then)>,
}

/// What must come of a row.
#[derive(Debug, Clone, Default)]
pub struct Then {
    fault: Option<FaultKind>,
    code: Option<String>,
    answer: Option<Value>,
    sends: Option<Vec<String>>,
    notices: Option<usize>,
    unchanged: bool,
}

impl Then {
    /// It is done.
    pub fn done() -> Self {
        Then::default()
    }

    /// It is done, and has no effect whatever: a late copy, or what does not fit the state.
    pub fn nothing() -> Self {
        Then { unchanged: true, ..Then::default() }
    }

    /// A fault of this kind; it has no effect.
    pub fn fault(kind: FaultKind) -> Self {
        Then { fault: Some(kind), unchanged: true, ..Then::default() }
    }

    /// A fault of kind `Refused`.
    pub fn refused() -> Self {
        Then::fault(FaultKind::Refused)
    }

    /// A fault of kind `Usage`.
    pub fn usage() -> Self {
        Then::fault(FaultKind::Usage)
    }

    /// The same, the fault having this code.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// The same, with this answer.
    #[must_use]
    pub fn answer(mut self, answer: Value) -> Self {
        self.answer = Some(answer);
        self
    }

    /// The same, with these messages sent (`target/action`), in this order.
    #[must_use]
    pub fn sends(mut self, verbs: &[&str]) -> Self {
        self.sends = Some(verbs.iter().map(ToString::to_string).collect());
        self
    }

    /// The same, with so many notices given.
    #[must_use]
    pub fn notices(mut self, count: usize) -> Self {
        self.notices = Some(count);
        self
    }

    /// What is otherwise than it must be.
    fn differences(&self, before: &Site, after: &Site, came: &Result<Value, Fault>) -> Vec<String> {
        let mut found = Vec::new();
        let mut must = |so: bool, what: String| found.extend((!so).then_some(what));
        match came {
            Ok(answer) => {
                must(self.fault.is_none(), format!("it is done, expected a fault of kind {:?}", self.fault));
                if let Some(expected) = &self.answer {
                    must(answer == expected, format!("the answer is {answer}, expected {expected}"));
                }
            }
            Err(fault) => {
                let (kind, code) = (fault.kind, &fault.code);
                must(
                    self.fault == Some(kind),
                    format!("a fault of kind {kind:?} ({fault}), expected {:?}", self.fault),
                );
                if let Some(expected) = &self.code {
                    must(code == expected, format!("a fault of code {code:?} ({fault}), expected {expected:?}"));
                }
            }
        }
        if let Some(expected) = &self.sends {
            let sent = after.sent().iter().filter(|sent| sent.id > before.state.sent);
            let sent: Vec<String> = sent.map(super::Sent::verb).collect();
            must(&sent == expected, format!("it sends {sent:?}, expected {expected:?}"));
        }
        if let Some(expected) = self.notices {
            let given = after.state.notices.len() - before.state.notices.len();
            must(given == expected, format!("it gives {given} notices, expected {expected}"));
        }
        let mut state = after.state.clone();
        state.relations.retain(|key, _| before.state.relations.contains_key(key) || !after.made_up.contains(key));
        let settled = self.unchanged && self.fault.is_none() == came.is_ok();
        must(!settled || before.state == state, "it has effects, expected none".to_owned());
        found
    }
}

impl Table {
    /// No rows yet; `make` makes the site that each begins with.
    pub fn of(make: impl Fn() -> Site + 'static) -> Self {
        Table { make: Box::new(make), rows: Vec::new() }
    }

    /// One more row: its name, what is done, and what must come of it.
    #[must_use]
    pub fn row(mut self, name: &str, act: impl Fn(&mut Site) -> Result<Value, Fault> + 'static, then: Then) -> Self {
        self.rows.push((name.to_owned(), Box::new(act), then));
        self
    }

    /// Runs all rows.
    ///
    /// # Panics
    /// Where something came of a row that must not, naming all such rows.
    #[allow(clippy::panic)]
    pub fn check(self) {
        let mut wrong = Vec::new();
        for (name, act, then) in &self.rows {
            let (before, mut site) = ((self.make)(), (self.make)());
            let came = act(&mut site);
            let differences = then.differences(&before, &site, &came);
            wrong.extend((!differences.is_empty()).then(|| format!("{name}: {}", differences.join("; "))));
        }
        let (count, rows) = (wrong.len(), self.rows.len());
        assert!(wrong.is_empty(), "{count} of {rows} rows are not as they must be:\n{}", wrong.join("\n"));
    }
}
