//! What the doctor asks plugins: whether what they keep is sound.
//!
//! Which plugins can tell, and of what, their manifests say ([`CommandSpec::doctor`]). Where a host runs it
//! is asked; where none does, the site is opened in this process without network, as for any command.
//!
//! [`CommandSpec::doctor`]: tallyho_plugin::CommandSpec::doctor

use crate::control::{Client, ControlError, Operator};
use crate::site::doctor::Check;
use serde_json::json;
use std::sync::Arc;
use tallyho_plugin::Fault;

/// Faults told of one subject; whoever has more than this mends these first and asks again.
const FAULTS_TOLD: usize = 5;

/// Answers taken about one subject, so that a plugin that never comes to an end does not keep the doctor
/// for ever: at the thousand rows that an answer is about, a billion of them.
const ANSWERS: usize = 1_000_000;

/// Asks every plugin of the site behind this control socket, or, where none runs, of the one that `open`
/// opens. `may_open`: whether everything found so far was well, so that a site can be opened at all.
pub(super) fn checkup(
    client: Result<Client, ControlError>,
    may_open: bool,
    open: impl FnOnce() -> Result<Arc<dyn Operator>, Fault>,
) -> Vec<Check> {
    let opened = match client {
        Ok(client) => return ask_all(&client),
        Err(ControlError::NotRunning { .. }) if !may_open => return Vec::new(),
        Err(ControlError::NotRunning { .. }) => open(),
        Err(error) => Err(error.into()),
    };
    match opened {
        Ok(operator) => ask_all(operator.as_ref()),
        Err(fault) => {
            let fix = fault.fix.clone().unwrap_or_else(|| "mend it and run `tallyho doctor` again".to_owned());
            vec![Check::bad("records", format!("what plugins keep cannot be looked at: {}", fault.text), &fix)]
        }
    }
}

fn ask_all(operator: &dyn Operator) -> Vec<Check> {
    let mut checks = Vec::new();
    for manifest in operator.manifests() {
        for spec in &manifest.commands {
            if let Some(subject) = &spec.doctor {
                checks.push(ask(operator, &manifest.name, &spec.name, subject));
            }
        }
    }
    checks
}

/// Asks one command, page after page.
fn ask(operator: &dyn Operator, plugin: &str, command: &str, subject: &str) -> Check {
    let subject = subject.to_owned();
    let broken = |what: String| {
        let fix = format!("tell the author of plugin {plugin}, or run the site without it");
        Check::bad(subject.clone(), what, &fix)
    };
    let (mut looked, mut count, mut told, mut fix) = (0, 0, Vec::new(), None);
    let mut argument = json!({});
    for _ in 0..ANSWERS {
        let answer = match operator.call(plugin, command, &argument) {
            Ok(answer) => answer,
            Err(fault) => {
                let fix = fault.fix.as_deref().unwrap_or("see the site's log");
                return Check::bad(subject, format!("{plugin} could not look: {}", fault.text), fix);
            }
        };
        let Some(faults) = answer["faults"].as_array() else {
            return broken(format!("{plugin}'s answer to {command} has no list of faults"));
        };
        looked += answer["looked"].as_u64().unwrap_or_default();
        count += faults.len();
        let room = FAULTS_TOLD.saturating_sub(told.len());
        told.extend(faults.iter().take(room).map(|fault| fault.as_str().unwrap_or("a fault without words").to_owned()));
        fix = fix.or_else(|| answer["fix"].as_str().map(str::to_owned));
        match answer.get("next").filter(|next| !next.is_null()) {
            None => return verdict(subject, looked, count, &told, fix.as_deref()),
            Some(next) if argument.get("from") == Some(next) => {
                return broken(format!("{plugin}'s answers to {command} come to no end, at {next}"));
            }
            Some(next) => argument = json!({ "from": next }),
        }
    }
    broken(format!("{plugin}'s answers to {command} come to no end"))
}

fn verdict(subject: String, looked: u64, count: usize, told: &[String], fix: Option<&str>) -> Check {
    if count == 0 {
        return Check::good(subject, format!("{looked} looked at"));
    }
    let more = match count - told.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let detail = format!("{looked} looked at: {}{more}", told.join("; "));
    Check::bad(subject, detail, fix.unwrap_or("restore a backup of site.db, or ask the plugin's author"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::control::{Feed, host};
    use serde_json::Value;
    use std::path::PathBuf;
    use std::sync::Mutex;
    use tallyho_plugin::{CommandSpec, Manifest};

    /// A site whose plugin `chit` answers so, one after the other, the last for ever.
    struct Site(Mutex<Vec<Result<Value, Fault>>>, Mutex<Vec<Value>>);

    impl Operator for Site {
        fn manifests(&self) -> Vec<Manifest> {
            let quiet = Manifest::new("quiet", "1").command(CommandSpec::new("check", "unmarked"));
            let chit = Manifest::new("chit", "1").command(CommandSpec::new("check.all", "").doctor("chits"));
            vec![host::manifest(), quiet, chit]
        }

        fn call(&self, plugin: &str, command: &str, argument: &Value) -> Result<Value, Fault> {
            if plugin == host::HOST {
                return Ok(json!({ "looked": 0, "faults": [] }));
            }
            assert_eq!((plugin, command), ("chit", "check.all"));
            self.1.lock().unwrap().push(argument.clone());
            let mut answers = self.0.lock().unwrap();
            if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
        }

        fn watch(&self, _: usize) -> Feed {
            unreachable!("nobody watches")
        }
    }

    fn absent() -> Result<Client, ControlError> {
        Err(ControlError::NotRunning { socket: PathBuf::from("control.sock") })
    }

    fn asked(answers: Vec<Result<Value, Fault>>) -> (Check, Vec<Value>) {
        let site = Arc::new(Site(Mutex::new(answers), Mutex::default()));
        let mut checks = checkup(absent(), true, || Ok(site.clone() as Arc<dyn Operator>));
        assert_eq!((checks.len(), &*checks[0].name), (2, "quarantine"), "{checks:?}");
        let arguments = site.1.lock().unwrap().clone();
        (checks.pop().unwrap(), arguments)
    }

    #[test]
    fn a_plugin_that_offers_it_is_asked_page_after_page() {
        let page = |looked: u32, next: Value| Ok(json!({ "looked": looked, "faults": [], "next": next }));
        let (check, arguments) = asked(vec![page(7, json!("a")), page(5, json!({ "b": 1 })), page(1, Value::Null)]);
        assert_eq!(arguments, [json!({}), json!({ "from": "a" }), json!({ "from": { "b": 1 } })]);
        assert_eq!(check, Check::good("chits", "13 looked at".to_owned()));
    }

    #[test]
    fn faults_are_told_with_what_to_do_and_not_without_end() {
        let faults: Vec<String> = (1..=7).map(|n| format!("fault {n}")).collect();
        let first = Ok(json!({ "looked": 9, "faults": faults, "fix": "mend it", "next": 1 }));
        let (check, _) = asked(vec![first, Ok(json!({ "faults": ["fault 8"] }))]);
        assert!(!check.ok);
        let detail = "9 looked at: fault 1; fault 2; fault 3; fault 4; fault 5; and 3 more";
        assert_eq!((check.name.as_ref(), check.detail.as_str()), ("chits", detail));
        assert_eq!(check.fix.as_deref(), Some("mend it"));
    }

    #[test]
    fn a_plugin_that_cannot_tell_fails_the_check() {
        let endless = Ok(json!({ "faults": [], "next": "here" }));
        for (answers, words) in [
            (vec![Err(Fault::host("the disk is full").fix("make room"))], "the disk is full"),
            (vec![Ok(json!({ "ok": true }))], "no list of faults"),
            (vec![endless], "come to no end"),
        ] {
            let (check, _) = asked(answers);
            assert!(!check.ok && check.detail.contains(words) && check.fix.is_some(), "{check:?}");
        }
    }

    #[test]
    fn a_site_is_opened_only_where_all_else_was_well() {
        let closed = || -> Result<Arc<dyn Operator>, Fault> { unreachable!("nothing is to be opened") };
        assert_eq!(checkup(absent(), false, closed), []);
        let checks = checkup(absent(), true, || Err(Fault::host("it is locked").fix("wait")));
        assert!(!checks[0].ok && checks[0].detail.contains("it is locked"), "{checks:?}");
        assert_eq!(checks[0].fix.as_deref(), Some("wait"));
    }
}
