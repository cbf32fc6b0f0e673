#![allow(clippy::unwrap_used)]
use super::*;
use crate::site::endpoint::Endpoint;
use crate::site::rows::memory::Tables;
use crate::site::users::{Custody, User};
use proptest::prelude::*;
use serde_json::json;
use tallyho_plugin::record::keys::PublicKey;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const HOUR: i64 = 3_600_000;

/// Agents `a` (ours), `b`, ...
fn agent(letter: char) -> AgentId {
    AgentId::from_bytes(&[letter as u8; 32])
}

/// The certificate of a user at an agent.
fn cert(cuid: &str, letter: char) -> Value {
    let user = User {
        cuid: cuid.to_owned(),
        name: cuid.to_owned(),
        kind: "p".to_owned(),
        public: PublicKey::Ed25519([9; 32]).to_jwk(),
        custody: Custody::Elsewhere,
        created: NOW,
    };
    let endpoint = Endpoint::parse("localhost:65431").unwrap();
    user.certificate(&agent(letter), &endpoint, NOW).unwrap().into_value()
}

/// A site with user alice.
fn site() -> Tables {
    let mut tables = Tables::default();
    users::add(&mut tables, "alice", "", &PublicKey::Ed25519([3; 32]), Custody::Site, NOW).unwrap();
    tables
}

fn order() -> TicketOrder {
    TicketOrder { user: "alice".to_owned(), subject: "t1".to_owned(), reuse: false, expires: None, limit: None }
}

fn issue_at(tables: &mut Tables, order: &TicketOrder, random: u8) -> Token {
    issue(tables, "tally", order, [random; TOKEN_BYTES], NOW).unwrap()
}

/// What a user of an agent sends, and over whose channel it comes.
struct Message {
    target: &'static str,
    action: &'static str,
    to: Chad,
    from: Chad,
    ticket: Value,
    proven: AgentId,
}

fn message(token: &str, cuid: &str, letter: char) -> Message {
    Message {
        target: "tally",
        action: "ticket",
        to: Chad::user("alice", agent('a')),
        from: Chad::user(cuid, agent(letter)),
        ticket: json!({ "token": token, "cert": cert(cuid, letter) }),
        proven: agent(letter),
    }
}

impl Message {
    fn present(&self, tables: &mut Tables, now: Timestamp) -> Result<ValidTicket, TicketRefusal> {
        let Message { target, action, to, from, ticket, proven } = self;
        present(tables, &agent('a'), proven, &Presentation { target, action, to, from, ticket }, now).unwrap()
    }
}

fn presents(
    tables: &mut Tables,
    token: &Token,
    cuid: &str,
    letter: char,
    now: Timestamp,
) -> Result<ValidTicket, TicketRefusal> {
    message(&token.token, cuid, letter).present(tables, now)
}

// PROTOCOL 2.1, the token record.

#[test]
fn a_token_has_128_random_bits_or_more_and_the_right_form() {
    let mut tables = site();
    let token = issue(&mut tables, "tally", &order(), std::array::from_fn(|n| n as u8), NOW).unwrap();
    assert!(is_token(&token.token), "{}", token.token);
    assert_eq!(base64v::decode(&token.token).unwrap(), (0..TOKEN_BYTES as u8).collect::<Vec<_>>());
    const { assert!(TOKEN_BYTES * 8 >= 128) };
}

#[test]
fn a_ticket_lives_for_48_hours_where_nothing_is_said() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    assert_eq!(token.expires, Some(NOW.plus(48 * HOUR)));
    assert!(presents(&mut tables, &token, "bob", 'b', NOW.plus(48 * HOUR - 1)).is_ok());
    assert_eq!(presents(&mut tables, &token, "bob", 'b', NOW.plus(48 * HOUR)), Err(TicketRefusal::Expired));
}

#[test]
fn a_ticket_ends_when_its_issuer_says() {
    let mut tables = site();
    let until = Some(NOW.plus(HOUR));
    let token = issue_at(&mut tables, &TicketOrder { expires: until, ..order() }, 1);
    assert!(presents(&mut tables, &token, "bob", 'b', NOW.plus(HOUR - 1)).is_ok());
    assert_eq!(presents(&mut tables, &token, "bob", 'b', NOW.plus(HOUR)), Err(TicketRefusal::Expired));
}

#[test]
fn only_a_decal_never_expires() {
    let mut tables = site();
    let decal = issue_at(&mut tables, &TicketOrder { reuse: true, ..order() }, 1);
    assert_eq!(decal.expires, None);
    assert!(presents(&mut tables, &decal, "bob", 'b', NOW.plus(1_000_000 * HOUR)).is_ok());
    let ends = issue_at(&mut tables, &TicketOrder { reuse: true, expires: Some(NOW.plus(1)), ..order() }, 2);
    assert_eq!(presents(&mut tables, &ends, "bob", 'b', NOW.plus(1)), Err(TicketRefusal::Expired));
}

#[test]
fn a_decal_serves_any_number_of_subjects_and_is_never_used() {
    let mut tables = site();
    let decal = issue_at(&mut tables, &TicketOrder { reuse: true, ..order() }, 1);
    for (cuid, letter) in [("bob", 'b'), ("carol", 'c'), ("bob", 'b')] {
        let valid = presents(&mut tables, &decal, cuid, letter, NOW).unwrap();
        assert!(valid.presented().reuse && !valid.is_repeat());
        valid.consume(&mut tables, NOW).unwrap();
    }
    assert_eq!(list(&mut tables, None, None).unwrap(), [decal]);
}

#[test]
fn a_limited_token_serves_that_party_alone_wherever_it_is_now() {
    let mut tables = site();
    let limit = Some(Chad::user("bob", agent('b')).at("elsewhere.example", 1));
    let token = issue_at(&mut tables, &TicketOrder { limit, ..order() }, 1);
    assert_eq!(token.limit, Some(Chad::user("bob", agent('b'))), "host and port are no part of it");
    assert_eq!(presents(&mut tables, &token, "bob", 'c', NOW), Err(TicketRefusal::Limit));
    assert_eq!(presents(&mut tables, &token, "rob", 'b', NOW), Err(TicketRefusal::Limit));
    assert!(presents(&mut tables, &token, "bob", 'b', NOW).is_ok());
}

#[test]
fn an_order_that_cannot_stand_is_refused_saying_why() {
    for (bad, why) in [
        (TicketOrder { user: "nobody".to_owned(), ..order() }, "user \"nobody\" is none of this site"),
        (TicketOrder { user: "a b".to_owned(), ..order() }, "user \"a b\" is none of this site"),
        (TicketOrder { subject: String::new(), ..order() }, "subject has 0 bytes"),
        (TicketOrder { subject: "x".repeat(257), ..order() }, "subject has 257 bytes"),
        (TicketOrder { expires: Some(NOW), ..order() }, "expires 2023-11-14T22:13:20.000Z is not in the future"),
        (TicketOrder { limit: Some(Chad::agent(agent('b'))), ..order() }, "names no user"),
        (TicketOrder { limit: Some(Chad::user("bob", AgentId("short".to_owned()))), ..order() }, "limit: agent"),
    ] {
        let mut tables = site();
        let message = issue(&mut tables, "tally", &bad, [1; TOKEN_BYTES], NOW).unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
        assert!(list(&mut tables, None, None).unwrap().is_empty());
    }
}

#[test]
fn no_token_is_issued_twice() {
    let mut tables = site();
    let first = issue_at(&mut tables, &order(), 1);
    let second =
        issue(&mut tables, "tally", &TicketOrder { subject: "t2".to_owned(), ..order() }, [1; TOKEN_BYTES], NOW);
    assert!(matches!(second, Err(OrderError::Repeated)));
    assert_eq!(list(&mut tables, None, None).unwrap(), [first]);
}

// PROTOCOL 2.2, what is handed out.

#[test]
fn every_form_handed_out_reads_back_as_the_same_ticket() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    let endpoint = Endpoint::parse("chips.example.org:65434").unwrap();
    let issued = token.handed_out(&agent('a'), &endpoint);
    assert_eq!((&issued.token, issued.expires), (&token.token, token.expires));
    let chad = Chad::user("alice", agent('a')).at("chips.example.org", 65434);
    for (form, expires) in [(issued.link, None), (issued.uri, None), (issued.invite.to_string(), token.expires)] {
        let read = TicketText::read(&form).unwrap();
        assert_eq!(read, TicketText { token: token.token.clone(), chad: chad.clone(), expires }, "{form}");
    }
}

// PROTOCOL 2.4, what the issuer checks.

#[test]
fn a_valid_ticket_leads_to_its_subject() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    let valid = presents(&mut tables, &token, "bob", 'b', NOW).unwrap();
    assert_eq!((valid.plugin(), valid.token()), ("tally", &token));
    assert_eq!(valid.certificate().cuid(), "bob");
    assert_eq!(
        valid.presented(),
        Presented {
            token: token.token.clone(),
            user: "alice".to_owned(),
            subject: "t1".to_owned(),
            reuse: false,
            repeat: false,
            cert: cert("bob", 'b'),
        }
    );
}

/// The refusal of a message that differs from a good one.
fn refusal(change: impl FnOnce(&mut Message)) -> TicketRefusal {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    let mut message = message(&token.token, "bob", 'b');
    assert!(message.present(&mut tables, NOW).is_ok());
    change(&mut message);
    message.present(&mut tables, NOW).unwrap_err()
}

#[test]
fn another_message_than_a_ticket_is_refused() {
    assert_eq!(refusal(|message| message.target = "chit"), TicketRefusal::Target);
    assert_eq!(refusal(|message| message.action = "offer"), TicketRefusal::Target);
}

#[test]
fn a_token_of_another_form_is_refused() {
    for bad in
        [json!(null), json!(7), json!(""), json!("x".repeat(21)), json!("x".repeat(129)), json!("x".repeat(21) + "=")]
    {
        assert_eq!(refusal(|message| message.ticket["token"] = bad), TicketRefusal::Malformed);
    }
    assert_eq!(refusal(|message| message.ticket = json!([])), TicketRefusal::Malformed);
    assert_eq!(refusal(|message| message.ticket = Value::Null), TicketRefusal::Malformed);
}

#[test]
fn a_ticket_for_another_site_is_refused() {
    assert_eq!(refusal(|message| message.to.agent = agent('c')), TicketRefusal::Recipient);
}

#[test]
fn an_unusable_certificate_is_refused() {
    fn unusable(change: impl FnOnce(&mut Value)) {
        let refusal = refusal(|message| change(&mut message.ticket["cert"]));
        assert!(matches!(refusal, TicketRefusal::Certificate(_)), "{refusal}");
    }
    unusable(|cert| *cert = Value::Null);
    unusable(|cert| *cert = json!("bob"));
    unusable(|cert| cert["chad"]["cuid"] = json!("b b"));
    unusable(|cert| cert["chad"]["agent"] = json!("short"));
    unusable(|cert| cert["public"] = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }));
    unusable(|cert| cert["name"] = json!("x".repeat(24_000)));
}

#[test]
fn a_certificate_of_somebody_else_than_the_sender_is_refused() {
    assert_eq!(refusal(|message| message.ticket["cert"] = cert("carol", 'b')), TicketRefusal::Sender);
    assert_eq!(refusal(|message| message.ticket["cert"] = cert("bob", 'c')), TicketRefusal::Sender);
    assert_eq!(refusal(|message| message.from.cuid = None), TicketRefusal::Sender);
}

#[test]
fn a_certificate_of_another_agent_than_the_proven_one_is_refused() {
    assert_eq!(refusal(|message| message.proven = agent('c')), TicketRefusal::Unproven);
}

#[test]
fn an_unknown_token_is_refused() {
    assert_eq!(refusal(|message| message.ticket["token"] = json!("y".repeat(24))), TicketRefusal::Unknown);
}

#[test]
fn the_issuer_cannot_be_its_own_partner() {
    let own = refusal(|own| *own = message(own.ticket["token"].as_str().unwrap(), "alice", 'a'));
    assert_eq!(own, TicketRefusal::Own);
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    assert!(presents(&mut tables, &token, "bob", 'a', NOW).is_ok(), "another user of the same site may");
}

#[test]
fn a_revoked_token_is_dead_also_for_who_had_used_it() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    presents(&mut tables, &token, "bob", 'b', NOW).unwrap().consume(&mut tables, NOW).unwrap();
    assert!(revoke(&mut tables, Some("tally"), &token.token, NOW.plus(1)).unwrap());
    assert_eq!(presents(&mut tables, &token, "bob", 'b', NOW), Err(TicketRefusal::Revoked));
    assert!(revoke(&mut tables, None, &token.token, NOW.plus(2)).unwrap(), "a second time changes nothing");
    assert_eq!(list(&mut tables, None, None).unwrap()[0].revoked, Some(NOW.plus(1)));
}

#[test]
fn a_plugin_revokes_and_lists_only_what_it_issued() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    let other = issue(&mut tables, "game", &TicketOrder { subject: "t2".to_owned(), ..order() }, [2; TOKEN_BYTES], NOW);
    let other = other.unwrap();
    assert!(!revoke(&mut tables, Some("game"), &token.token, NOW).unwrap());
    assert!(!revoke(&mut tables, None, "no-such-token-anywhere-here", NOW).unwrap());
    assert!(!revoke(&mut tables, None, &"x".repeat(100_000), NOW).unwrap());
    assert!(presents(&mut tables, &token, "bob", 'b', NOW).is_ok());
    assert_eq!(list(&mut tables, Some("tally"), None).unwrap(), std::slice::from_ref(&token));
    assert_eq!(list(&mut tables, Some("game"), Some("t1")).unwrap(), []);
    assert_eq!(list(&mut tables, None, Some("t2")).unwrap(), [other]);
    assert_eq!(list(&mut tables, None, None).unwrap().len(), 2);
}

// PROTOCOL 2.4 step 5 and the repeat rule.

#[test]
fn a_one_time_token_is_used_up_by_one_party() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    presents(&mut tables, &token, "bob", 'b', NOW).unwrap().consume(&mut tables, NOW.plus(5)).unwrap();
    let used = Token { used: Some(NOW.plus(5)), by: Some(Chad::user("bob", agent('b'))), ..token.clone() };
    assert_eq!(list(&mut tables, None, None).unwrap(), [used]);
    for (cuid, letter) in [("carol", 'c'), ("rob", 'b'), ("bob", 'c')] {
        assert_eq!(presents(&mut tables, &token, cuid, letter, NOW), Err(TicketRefusal::Used));
    }
}

#[test]
fn who_consumed_a_token_may_present_it_again_until_it_expires_and_changes_nothing() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    presents(&mut tables, &token, "bob", 'b', NOW).unwrap().consume(&mut tables, NOW).unwrap();
    let before = tables.0.clone();
    let again = presents(&mut tables, &token, "bob", 'b', NOW.plus(47 * HOUR)).unwrap();
    assert!(again.is_repeat() && again.presented().repeat);
    again.consume(&mut tables, NOW.plus(47 * HOUR)).unwrap();
    assert_eq!(tables.0, before);
    assert_eq!(presents(&mut tables, &token, "bob", 'b', NOW.plus(48 * HOUR)), Err(TicketRefusal::Expired));
}

#[test]
fn a_ticket_checked_but_not_consumed_stays_valid() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    let before = tables.0.clone();
    drop(presents(&mut tables, &token, "bob", 'b', NOW).unwrap());
    assert_eq!(tables.0, before);
    assert!(presents(&mut tables, &token, "carol", 'c', NOW).is_ok());
}

#[test]
fn of_two_who_were_checked_at_once_only_one_consumes() {
    let mut tables = site();
    let token = issue_at(&mut tables, &order(), 1);
    let bob = presents(&mut tables, &token, "bob", 'b', NOW).unwrap();
    let carol = presents(&mut tables, &token, "carol", 'c', NOW).unwrap();
    bob.consume(&mut tables, NOW).unwrap();
    assert!(matches!(carol.consume(&mut tables, NOW), Err(StoreError::Conflict)));
    assert_eq!(list(&mut tables, None, None).unwrap()[0].by, Some(Chad::user("bob", agent('b'))));
}

#[test]
fn a_token_revoked_after_its_check_is_not_consumed() {
    let mut tables = site();
    let decal = issue_at(&mut tables, &TicketOrder { reuse: true, ..order() }, 1);
    let valid = presents(&mut tables, &decal, "bob", 'b', NOW).unwrap();
    revoke(&mut tables, None, &decal.token, NOW).unwrap();
    assert!(matches!(valid.consume(&mut tables, NOW), Err(StoreError::Conflict)));
}

#[test]
fn a_token_whose_events_transaction_is_not_committed_stays_unused() {
    use crate::store::Store;
    let mut store = crate::store::memory::MemoryStore::new();
    let mut transaction = store.begin().unwrap();
    users::add(&mut transaction, "alice", "", &PublicKey::Ed25519([3; 32]), Custody::Site, NOW).unwrap();
    let token = issue(&mut transaction, "tally", &order(), [1; TOKEN_BYTES], NOW).unwrap();
    transaction.commit().unwrap();
    let message = message(&token.token, "bob", 'b');
    let Message { target, action, to, from, ticket, proven } = &message;
    let presentation = Presentation { target, action, to, from, ticket };
    for (commit, repeat) in [(false, false), (true, false), (true, true)] {
        let mut transaction = store.begin().unwrap();
        let valid = present(&mut transaction, &agent('a'), proven, &presentation, NOW).unwrap().unwrap();
        assert_eq!(valid.is_repeat(), repeat);
        valid.consume(&mut transaction, NOW).unwrap();
        if commit {
            transaction.commit().unwrap();
        }
    }
}

// Keeping house.

#[test]
fn every_refusal_has_a_word_of_its_own() {
    let words: std::collections::HashSet<_> = TicketRefusal::WORDS.into_iter().collect();
    assert_eq!(words.len(), TicketRefusal::WORDS.len());
    assert_eq!(TicketRefusal::Unknown.word(), "ticket-unknown");
    assert_eq!(TicketRefusal::Own.word(), "ticket-own");
    assert_eq!(
        TicketRefusal::Certificate(Certificate::check(&Value::Null, None).unwrap_err()).word(),
        "ticket-certificate"
    );
}

#[test]
fn dead_tokens_are_listed_for_a_week_and_then_deleted_a_few_at_a_time() {
    let mut tables = site();
    let count = SWEEP_ROWS as usize + 50;
    for number in 0..count {
        let random = std::array::from_fn(|place| number.to_be_bytes()[place % 8]);
        let reuse = number % 2 == 0;
        issue(&mut tables, "tally", &TicketOrder { reuse, ..order() }, random, NOW).unwrap();
    }
    let sweep_all = |tables: &mut Tables, now| {
        let (first, next) = sweep(tables, &[], now).unwrap();
        let (second, end) = sweep(tables, &next.unwrap(), now).unwrap();
        assert_eq!(end, None);
        first + second
    };
    let dead = NOW.plus(TICKET_LIFE + TICKET_HISTORY);
    assert_eq!(sweep_all(&mut tables, dead.plus(-1)), 0);
    assert_eq!(sweep_all(&mut tables, dead), count / 2, "decals stay");
    let decals = list(&mut tables, None, None).unwrap();
    assert!(decals.iter().all(|token| token.reuse));
    for decal in &decals {
        revoke(&mut tables, None, &decal.token, NOW).unwrap();
    }
    let (deleted, next) = sweep(&mut tables, &[], NOW.plus(TICKET_HISTORY)).unwrap();
    assert_eq!((deleted, next), (decals.len(), None));
}

proptest! {
    #[test]
    fn every_token_issued_has_the_form_that_peers_accept(random in any::<[u8; TOKEN_BYTES]>()) {
        let mut tables = site();
        let token = issue(&mut tables, "tally", &order(), random, NOW).unwrap();
        prop_assert!(is_token(&token.token));
        prop_assert!(presents(&mut tables, &token, "bob", 'b', NOW).is_ok());
    }

    #[test]
    fn different_random_bytes_give_different_tokens(one in any::<[u8; TOKEN_BYTES]>(), two in any::<[u8; TOKEN_BYTES]>()) {
        prop_assume!(one != two);
        let mut tables = site();
        let one = issue(&mut tables, "tally", &order(), one, NOW).unwrap();
        let two = issue(&mut tables, "tally", &order(), two, NOW).unwrap();
        prop_assert_ne!(one.token, two.token);
    }

    /// Whatever happens in whatever order, one party alone ever consumes a one-time token, and no
    /// party gets in after the end.
    #[test]
    fn a_one_time_token_has_one_consumer_ever(
        steps in proptest::collection::vec(("[bcd]", any::<bool>(), 0..60_i64), 1..30),
        revoked_after in proptest::option::of(0..30_usize),
    ) {
        let mut tables = site();
        let token = issue_at(&mut tables, &order(), 1);
        let mut consumer: Option<String> = None;
        for (number, (cuid, consume, hours)) in steps.into_iter().enumerate() {
            if revoked_after == Some(number) {
                revoke(&mut tables, None, &token.token, NOW).unwrap();
            }
            let now = NOW.plus(hours * HOUR);
            let letter = cuid.chars().next().unwrap();
            let result = presents(&mut tables, &token, &cuid, letter, now);
            let open = hours < 48 && revoked_after.is_none_or(|after| number < after);
            let mine = consumer.as_ref().is_none_or(|consumer| *consumer == cuid);
            prop_assert_eq!(result.is_ok(), open && mine);
            if let Ok(valid) = result {
                prop_assert_eq!(valid.is_repeat(), consumer.is_some());
                if consume {
                    valid.consume(&mut tables, now).unwrap();
                    consumer = Some(cuid);
                }
            }
        }
    }

    #[test]
    fn no_presented_value_stops_the_check(token in ".{0,200}", name in ".{0,40}") {
        let mut tables = site();
        let mut bad = message(&token, "bob", 'b');
        prop_assert!(bad.present(&mut tables, NOW).is_err());
        bad.ticket["cert"]["chad"][name] = json!(token);
        prop_assert!(bad.present(&mut tables, NOW).is_err());
    }
}
