//! What came of it.

use super::rules::{RULES, rule};
use serde::{Deserialize, Serialize};

/// Findings told of one rule: whoever has more mends these first.
pub const TOLD: usize = 10;

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// What the handler was given.
    pub case: String,
    /// What it did.
    pub what: String,
}

/// What came of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The rule's name.
    pub name: String,
    /// Whether it was kept.
    pub ok: bool,
    /// What it says, and why.
    pub about: String,
    /// How often it was broken.
    pub broken: usize,
    /// The first of these.
    pub findings: Vec<Finding>,
    /// What to do, where it was broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What calls have cost, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Calls measured.
    pub calls: usize,
    /// The median.
    pub p50_us: f64,
    /// The slowest in a hundred.
    pub p99_us: f64,
    /// The slowest.
    pub max_us: f64,
}

/// What came of all rules that were tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether all were kept.
    pub ok: bool,
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How many events and migrations were tried, each three times.
    pub cases: usize,
    /// What came of each rule.
    pub rules: Vec<Verdict>,
    /// What calls have cost; nothing where there were none.
    pub cost: Option<Cost>,
}

impl Cost {
    /// Of these calls, in microseconds each.
    pub fn of(mut calls: Vec<f64>) -> Option<Self> {
        calls.sort_by(f64::total_cmp);
        // The smallest that is not exceeded by so many in a hundred.
        let within = |share: f64| calls.get(((calls.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
        Some(Cost { calls: calls.len(), p50_us: within(0.5)?, p99_us: within(0.99)?, max_us: within(1.0)? })
    }
}

impl Report {
    /// A report about the rules of these names.
    pub fn new(
        (name, version): (&str, &str),
        tried: &[&str],
        cases: usize,
        findings: &[Finding],
        cost: Option<Cost>,
    ) -> Self {
        let verdict = |name: &str| {
            let own: Vec<&Finding> = findings.iter().filter(|finding| finding.rule == name).collect();
            let rule = rule(name);
            Verdict {
                name: name.to_owned(),
                ok: own.is_empty(),
                about: rule.map(|rule| rule.about).unwrap_or_default().to_owned(),
                broken: own.len(),
                findings: own.iter().take(TOLD).map(|finding| (*finding).clone()).collect(),
                fix: rule.filter(|_| !own.is_empty()).map(|rule| rule.fix.to_owned()),
            }
        };
        let rules: Vec<Verdict> =
            RULES.iter().filter(|rule| tried.contains(&rule.name)).map(|rule| verdict(rule.name)).collect();
        let ok = rules.iter().all(|rule| rule.ok);
        Report { ok, name: name.to_owned(), version: version.to_owned(), cases, rules, cost }
    }

    /// Nothing where all rules were kept.
    ///
    /// # Panics
    /// Where one was broken, saying how and what to do.
    pub fn check(&self) {
        let broken = self.rules.iter().filter(|rule| !rule.ok);
        let told: Vec<String> = broken
            .map(|rule| {
                let found = rule.findings.iter().map(|found| format!("\n  {}: {}", found.case, found.what));
                let fix = rule.fix.clone().unwrap_or_default();
                format!("{}: {}{}\n  fix: {fix}", rule.name, rule.about, found.collect::<String>())
            })
            .collect();
        assert!(told.is_empty(), "{} {} breaks rules\n{}", self.name, self.version, told.join("\n"));
    }
}
