//! Commands that wait, and those that need a running site.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn what_needs_a_running_site_says_so() {
    let program = Program::default();
    for line in [
        &["status"][..],
        &["watch"],
        &["tally", "offer", "u", "--wait", "open"],
        &["ticket", "use", "t", "--user", "a"],
    ] {
        let ran = at_rest(&program, line);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{line:?}: {ran:?}");
        assert!(ran.err.contains("no site runs") && ran.err.contains("tallyho run"), "{line:?}: {}", ran.err);
    }
    assert_eq!(program.site.asked(), [], "nothing was begun that could not be finished");
}

#[test]
fn a_wait_follows_the_sites_notices_until_the_state_is_there() {
    let first = json!({"uuid": "u", "state": "draft.offer"});
    let program = with(waiting_site(first, &["draft.offer", "H.offer", "open"]));
    let ran = running(&program, &["tally", "offer", "u", "--wait", "open", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&ran.out).unwrap(),
        json!({"uuid": "u", "state": "open", "wait": ["open"]})
    );
    let reports = program.site.asked().into_iter().filter(|(_, command, _)| command == "state");
    assert_eq!(
        reports.map(|(plugin, _, argument)| (plugin, argument)).collect::<Vec<_>>(),
        vec![("tally".to_owned(), json!({"uuid": "u"})); 3]
    );
}

#[test]
fn a_wait_in_vain_gives_the_answer_and_exit_code_1_and_names_the_state_that_was() {
    let program = with(waiting_site(json!({"uuid": "u", "state": "H.offer"}), &["H.offer"]));
    let ran = running(&program, &["tally", "offer", "u", "--wait", "open", "--timeout", "50ms", "--json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["uuid"], "u", "what was done is known all the same");
    let told: Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(told["error"]["code"], "wait-timeout");
    assert!(told["error"]["text"].as_str().unwrap().contains("`H.offer`"));
}

#[test]
fn a_command_that_waits_by_itself_ends_well_or_badly_with_the_state() {
    let line = ["ticket", "use", "t", "--user", "bob"];
    assert_eq!(running(&with(waiting_site(json!({"uuid": "u"}), &["asking", "accepted"])), &line).code, 0);
    let ran = running(&with(waiting_site(json!({"uuid": "u"}), &["asking", "refused"])), &line);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("`refused`"), "{}", ran.err);
}
