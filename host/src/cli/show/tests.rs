//! What people see, letter for letter.
#![allow(clippy::unwrap_used)]

use super::*;
use serde_json::json;

const AGENT: &str = "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg";

#[test]
fn a_list_is_a_table_with_what_people_look_for_first() {
    let answer = json!([
        {"state": "open", "net": 12000, "uuid": "18d4", "partner": {"cuid": "bob", "agent": AGENT, "host": "b.example", "port": 65430}, "conf": 0, "chain": {"conf": 0, "end": 0}},
        {"state": "P.draft", "net": -5, "uuid": "9b8f6c1e", "partner": null, "wait": ["P.draft", "draft"]},
    ]);
    assert_eq!(
        show(&["tally", "list"], &answer),
        "\
UUID      PARTNER                        STATE            NET
18d4      bob:c0rNdSQW…@b.example:65430  open     12000 mCHIP
9b8f6c1e                                 P.draft     -5 mCHIP
"
    );
}

#[test]
fn people_see_what_they_look_for_and_scripts_everything() {
    let partner = format!("bob:{AGENT}@b.example:65430");
    let list = json!([{"uuid": "18d4", "partner": partner, "half": "alice/18d4", "chain": {"end": 0}}]);
    assert_eq!(show(&["tally", "list"], &list), "UUID  PARTNER\n18d4  bob:c0rNdSQW…@b.example:65430\n");
    let acted = json!({"uuid": "18d4", "state": "open", "half": "alice/18d4", "wait": ["open"]});
    assert_eq!(show(&["tally", "accept"], &acted), "uuid:  18d4\nstate: open\n");
    assert!(show(&["call"], &acted).contains("half"), "what was called by `call` is shown whole");
    let paid = json!({"uuid": "18d4", "state": "L.good", "index": 1, "hash": "h", "link": "l", "tally": "9b8f", "chit": "alice/9b8f/18d4", "wait": ["good"]});
    assert_eq!(show(&["chit", "pay"], &paid), "uuid:  18d4\nstate: L.good\nindex: 1\n");
    let asked = json!({"uuid": "18d4", "state": "A.pend", "index": null, "stalled": "the partner is away"});
    let shown = show(&["chit", "ask"], &asked);
    assert_eq!(shown, "uuid:    18d4\nstate:   A.pend\nstalled: the partner is away\n");
    let known = json!({"uuid": "18d4", "link": "h", "record": {"by": "foil"}});
    assert_eq!(show(&["chit", "show"], &known), "uuid:   18d4\nrecord:\n  by: foil\n");
    let invoice =
        json!({"link": "https://l", "json": {"pay": {}}, "chad": {"cuid": "bob", "agent": AGENT}, "units": 5});
    let shown = show(&["invoice", "new"], &invoice);
    assert_eq!(shown, format!("units: 5 mCHIP\nchad:  bob:{AGENT}\nlink:  https://l\n"));
    let checked = json!({"ok": false, "name": null, "version": null, "fix": "build it", "reason": "no library"});
    assert_eq!(show(&["plugin", "check"], &checked), "ok:     no\nreason: no library\nfix:    build it\n");
    let plugins = json!([{"name": "tally", "metrics": {}, "tables": ["tallies"], "path": "t.so"}]);
    assert_eq!(show(&["plugin", "list"], &plugins), "NAME   PATH\ntally  t.so\n");
    let back = json!([{"name": "tally", "rolled_back": {"version": "2"}, "probation": {"events_left": 9}}]);
    let shown = "NAME   PROBATION          ROLLED_BACK\ntally  {\"events_left\":9}  {\"version\":\"2\"}\n";
    assert_eq!(show(&["plugin", "list"], &back), shown);
}

#[test]
fn an_object_is_a_block_of_names_and_values() {
    let answer = json!({
        "uuid": "18d4", "state": "open", "since": "2021-11-05T20:05:00.123Z", "memo": "", "reuse": false,
        "partner": {"cuid": "bob", "agent": AGENT}, "terms": {"call": 30, "lift": {"max": 5}}, "units": 1500,
        "chits": [{"index": 1, "hash": "h"}], "none": [], "took_ms": 12,
    });
    assert_eq!(
        show(&["tally", "show"], &answer),
        "\
uuid:    18d4
partner: bob:c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg
state:   open
units:   1500 mCHIP
chits:
  INDEX  HASH
      1  h
memo:    -
none:    none
reuse:   no
since:   2021-11-05 20:05:00 UTC
terms:
  call: 30
  lift:
    max: 5
took_ms: 12 ms
"
    );
}

#[test]
fn nothing_to_show_is_said() {
    assert_eq!(show(&[], &json!([])), "none\n");
    assert_eq!(show(&[], &json!(null)), "done\n");
    assert_eq!(show(&[], &json!({})), "done\n");
    assert_eq!(show(&[], &json!("text")), "text\n");
    assert_eq!(show(&[], &json!(["a", 1])), "a\n1\n");
}

#[test]
fn the_status_fits_a_glance() {
    let answer = json!({
        "agent": AGENT, "listen": "127.0.0.1:65430", "version": "0.1.0", "uptime_s": 11_100, "connections": 2,
        "tallies": {"open": 3, "draft": 1}, "outbox": 0, "bans": 1,
        "plugins": [{"name": "tally", "state": "serving", "generation": 1, "calls": 120}],
    });
    assert_eq!(
        show(&["status"], &answer),
        format!(
            "\
site {AGENT}
listens on 127.0.0.1:65430, up 3h 5m, version 0.1.0
connections 2, outbox 0, bans 1
tallies:
  draft: 1
  open:  3

plugins
NAME   STATE    GENERATION  CALLS
tally  serving           1    120
"
        )
    );
    let bare = show(&["status"], &json!({"agent": "a", "plugins": [], "tallies": 0}));
    assert_eq!(bare, "site a\nlistens on ?, up ?, version ?\ntallies 0\nno plugin serves\n");
}

#[test]
fn the_doctor_marks_each_check_and_says_what_to_do() {
    let answer = json!({"ok": false, "checks": [
        {"name": "keys", "ok": true, "detail": "0700"},
        {"name": "clock", "ok": false, "detail": "2 h behind", "fix": "run ntpd"},
        {"name": "port", "ok": true, "detail": ""},
    ]});
    assert_eq!(
        show(&["doctor"], &answer),
        "✓ keys   0700\n✗ clock  2 h behind\n  fix: run ntpd\n✓ port\n1 check failed\n"
    );
    assert_eq!(show(&["doctor"], &json!({"ok": true, "checks": [{"name": "a", "ok": true}]})), "✓ a\nall is well\n");
}

#[test]
fn a_notice_is_one_line() {
    let told = json!({
        "user": "alice", "about": "ticket", "at": "2021-11-05T20:05:00.000Z", "state": "accepted", "plugin": "tally",
    });
    assert_eq!(notice(&told), "2021-11-05 20:05:00 UTC  ticket  user=alice  state=accepted\n");
    let paid = json!({
        "user": "alice", "about": "chit", "reason": "paid", "at": "2021-11-05T20:05:00.000Z", "plugin": "chit",
        "tally": "9b8f", "uuid": "18d4", "state": "A.good", "units": 12_000, "memo": "Rye loaf",
    });
    let line = "2021-11-05 20:05:00 UTC  chit paid  user=alice  uuid=18d4  state=A.good  units=12000 mCHIP  memo=Rye loaf  tally=9b8f\n";
    assert_eq!(notice(&paid), line);
    assert_eq!(notice(&json!({"lost": 3})), "lost=3\n");
    assert_eq!(notice(&json!({"plugin": "p", "reason": "r"})), "plugin=p  reason=r\n");
}

#[test]
fn nobody_fills_a_screen_by_a_memo() {
    let long = "x".repeat(60_000);
    assert!(notice(&json!({"about": "chit", "memo": long, "both": [long]})).len() < 300);
    assert!(show(&["chit", "list"], &json!([{"uuid": "u", "memo": long}])).len() < 300);
    assert!(
        show(&["chit", "show"], &json!({"uuid": "u", "memo": long})).contains(&long),
        "whole where it is asked for"
    );
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let evil = "\u{1b}[2J\nname:\u{202e}x\u{9b}1m";
    let everywhere =
        json!([{"memo": evil, "list": [evil], "object": {evil: evil}, "partner": {"cuid": evil, "agent": evil}}]);
    for answer in [everywhere.clone(), everywhere[0].clone(), json!(evil), json!([evil])] {
        let shown = show(&[], &answer);
        let steering = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        assert!(!shown.contains(steering), "{shown:?}");
    }
    assert!(!notice(&everywhere[0]).trim_end().contains(char::is_control));
    let shown = show(&["status"], &json!({"agent": evil, "plugins": evil, "odd": evil}));
    assert!(!shown.contains('\u{1b}'));
    let shown = show(&["doctor"], &json!({"checks": [{"name": evil, "detail": evil, "fix": evil}]}));
    assert!(!shown.contains('\u{1b}') && !shown.contains("\nname:"), "{shown:?}");
}

#[test]
fn only_what_has_the_form_of_a_date_is_one() {
    assert_eq!(date("2021-11-05T20:05:00.000Z").unwrap(), "2021-11-05 20:05:00 UTC");
    for other in ["2021-11-05", "2021-11-05T20:05:00Z", "aaaa-11-05T20:05:00.000Z", "2021-11-05 20:05:00.000Z"] {
        assert_eq!(date(other), None);
    }
}

#[test]
fn spans_show_their_two_largest_parts() {
    for (seconds, text) in [(0, "0s"), (59, "59s"), (200, "3m 20s"), (7_500, "2h 5m"), (273_600, "3d 4h")] {
        assert_eq!(span(seconds), text);
    }
}

#[test]
fn a_long_nested_cell_is_cut_and_a_long_text_is_not() {
    let long = "x".repeat(200);
    let shown = show(&[], &json!([{"nested": {"a": {"b": long}}, "text": long}]));
    assert!(shown.contains('…') && shown.contains(&long));
}
