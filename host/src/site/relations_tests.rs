#![allow(clippy::unwrap_used)]
use super::*;
use crate::site::rows::memory::Tables;
use proptest::prelude::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Agents `a`, `b`, ... as well-formed ids.
fn agent(letter: char) -> AgentId {
    AgentId::from_bytes(&[letter as u8; 32])
}

fn relation(user: &str, subject: &str, partner: &str, letter: char) -> Relation {
    let (user, subject, partner) = (user.to_owned(), subject.to_owned(), partner.to_owned());
    Relation { user, subject, partner, agent: agent(letter), host: None, port: None, until: None }
}

fn granted(plugin: &str, relation: Relation) -> Granted {
    Granted { plugin: plugin.to_owned(), relation }
}

/// A registry with these relations of plugin `tally`.
fn registry(relations: &[Relation]) -> RelationRegistry {
    let registry = RelationRegistry::new();
    registry.apply(relations.iter().map(|one| RelationChange::Granted(granted("tally", one.clone()))));
    registry
}

#[test]
fn nobody_is_let_in_without_a_relation() {
    let registry = registry(&[relation("alice", "t1", "bob", 'b')]);
    assert!(registry.admits(&agent('b'), NOW));
    assert!(!registry.admits(&agent('c'), NOW));
    assert_eq!(registry.agents(NOW), [agent('b')]);
}

#[test]
fn a_message_passes_only_between_exactly_the_two_parties_of_its_relation() {
    let registry = registry(&[relation("alice", "t1", "bob", 'b'), relation("carol", "t2", "dan", 'd')]);
    let joins = |user, subject, partner, letter| registry.joins(user, subject, partner, &agent(letter), NOW);
    assert_eq!(joins("alice", "t1", "bob", 'b'), Verdict::Joined);
    assert_eq!(joins("alice", "t1", "eve", 'b'), Verdict::OtherParties, "another user of the same agent");
    assert_eq!(joins("alice", "t1", "bob", 'd'), Verdict::OtherParties, "the same name at another agent");
    assert_eq!(joins("alice", "t2", "dan", 'd'), Verdict::Unknown, "somebody else's tally");
    assert_eq!(joins("carol", "t1", "bob", 'b'), Verdict::Unknown, "to another of our users");
    assert_eq!(joins("alice", "t3", "bob", 'b'), Verdict::Unknown);
    assert_eq!(joins("nobody", "t1", "bob", 'b'), Verdict::Unknown);
}

#[test]
fn two_users_of_one_site_may_share_a_tally() {
    let registry = registry(&[relation("alice", "t1", "bob", 'a'), relation("bob", "t1", "alice", 'a')]);
    assert_eq!(registry.joins("alice", "t1", "bob", &agent('a'), NOW), Verdict::Joined);
    assert_eq!(registry.joins("bob", "t1", "alice", &agent('a'), NOW), Verdict::Joined);
    assert_eq!(registry.joins("alice", "t1", "alice", &agent('a'), NOW), Verdict::OtherParties);
}

#[test]
fn a_relation_without_a_partner_is_with_every_user_of_the_agent() {
    let registry = registry(&[relation("alice", "ticket", "", 'b')]);
    assert_eq!(registry.joins("alice", "ticket", "anyone", &agent('b'), NOW), Verdict::Joined);
    assert_eq!(registry.joins("alice", "ticket", "anyone", &agent('c'), NOW), Verdict::OtherParties);
}

#[test]
fn a_relation_ends_by_itself_at_its_instant() {
    let until = Some(NOW.plus(1_000));
    let registry = registry(&[Relation { until, ..relation("alice", "t1", "bob", 'b') }]);
    let last = NOW.plus(999);
    assert!(registry.admits(&agent('b'), last));
    assert_eq!(registry.joins("alice", "t1", "bob", &agent('b'), last), Verdict::Joined);
    let end = NOW.plus(1_000);
    assert!(!registry.admits(&agent('b'), end));
    assert_eq!(registry.joins("alice", "t1", "bob", &agent('b'), end), Verdict::Unknown);
    assert_eq!(registry.joins("alice", "t1", "eve", &agent('c'), end), Verdict::Unknown);
    assert_eq!((registry.of(&agent('b'), end).len(), registry.agents(end).len()), (0, 0));
}

#[test]
fn renewing_a_relation_replaces_it() {
    let registry = registry(&[relation("alice", "t1", "bob", 'b')]);
    let renewed = Relation { until: Some(NOW), partner: "rob".to_owned(), ..relation("alice", "t1", "bob", 'b') };
    registry.apply([RelationChange::Granted(granted("tally", renewed))]);
    assert_eq!(registry.len(), 1);
    assert!(!registry.admits(&agent('b'), NOW));
    assert_eq!(registry.joins("alice", "t1", "rob", &agent('b'), NOW.plus(-1)), Verdict::Joined);
}

#[test]
fn a_plugin_revokes_only_what_it_granted() {
    let mut tables = Tables::default();
    let both = relation("alice", "t1", "bob", 'b');
    let grants = ["tally", "lift"].map(|plugin| relate(&mut tables, plugin, &both).unwrap());
    let registry = RelationRegistry::new();
    registry.apply(grants);
    assert_eq!(unrelate(&mut tables, "chit", "alice", "t1", &agent('b')).unwrap(), None);
    for plugin in ["lift", "tally"] {
        assert_eq!(registry.joins("alice", "t1", "bob", &agent('b'), NOW), Verdict::Joined);
        let ended = unrelate(&mut tables, plugin, "alice", "t1", &agent('b')).unwrap().unwrap();
        registry.apply([ended]);
    }
    assert!(registry.is_empty() && tables.0.is_empty());
    assert!(!registry.admits(&agent('b'), NOW));
}

#[test]
fn a_relation_that_is_none_is_refused_naming_the_member() {
    let good = relation("alice", "t1", "bob", 'b');
    for (bad, word) in [
        (Relation { user: "a b".to_owned(), ..good.clone() }, "user: cuid \"a b\""),
        (Relation { partner: "b:".to_owned(), ..good.clone() }, "partner: cuid \"b:\""),
        (Relation { agent: AgentId("short".to_owned()), ..good.clone() }, "agent: agent \"short\""),
        (Relation { subject: String::new(), ..good.clone() }, "subject has 0 bytes"),
        (Relation { subject: "x".repeat(SUBJECT_BYTES + 1), ..good.clone() }, "subject has 257 bytes"),
    ] {
        let mut tables = Tables::default();
        let error = relate(&mut tables, "tally", &bad).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert!(tables.0.is_empty());
    }
    assert!(key(&granted(&"p".repeat(32), Relation { subject: "x".repeat(256), ..good })).len() <= 512);
}

#[test]
fn the_sweep_deletes_what_has_run_out_and_goes_on_where_it_stopped() {
    let mut tables = Tables::default();
    let count = 2 * SWEEP_ROWS + 10;
    let registry = RelationRegistry::new();
    for number in 0..count {
        let until = (number % 2 == 0).then_some(NOW);
        let one = Relation { until, ..relation("alice", &format!("t{number}"), "bob", 'b') };
        registry.apply([relate(&mut tables, "tally", &one).unwrap()]);
    }
    let (mut cursor, mut sweeps) = (Some(Vec::new()), 0);
    while let Some(from) = cursor {
        let (ended, next) = sweep(&mut tables, &from, NOW).unwrap();
        assert!(ended.len() <= SWEEP_ROWS as usize);
        registry.apply(ended);
        (cursor, sweeps) = (next, sweeps + 1);
    }
    assert_eq!(sweeps, 3);
    assert_eq!((registry.len(), tables.0.len()), (count as usize / 2, count as usize / 2));
}

#[test]
fn ten_thousand_agents_and_ten_thousand_relations_with_one_are_found() {
    let registry = RelationRegistry::new();
    let number = |n: u32| AgentId::from_bytes(&std::array::from_fn(|place| n.to_be_bytes()[place % 4]));
    let many = (0..10_000).map(|n| Relation { agent: number(n), ..relation("alice", &format!("t{n}"), "bob", 'b') });
    let same = (0..10_000).map(|n| relation("alice", &format!("s{n}"), "bob", 'b'));
    registry.apply(many.chain(same).map(|one| RelationChange::Granted(granted("tally", one))));
    assert_eq!((registry.len(), registry.agents(NOW).len()), (20_000, 10_001));
    assert_eq!(registry.joins("alice", "t9999", "bob", &number(9_999), NOW), Verdict::Joined);
    assert_eq!(registry.joins("alice", "t9999", "bob", &number(9_998), NOW), Verdict::OtherParties);
}

/// A grant or an end of one of few relations, so that sequences meet themselves.
fn change() -> impl Strategy<Value = (bool, Granted)> {
    let letters =
        ("[ab]", "[ab]", "[ab]", "[ab]", proptest::sample::select(vec!['a', 'b']), proptest::option::of(-5_i64..5));
    (any::<bool>(), letters).prop_map(|(grant, (plugin, user, subject, partner, letter, until))| {
        let until = until.map(|offset| NOW.plus(offset));
        (grant, granted(&plugin, Relation { until, ..relation(&user, &subject, &partner, letter) }))
    })
}

proptest! {
    /// The mirror answers as a plain list of the table's rows would, however it came to be.
    #[test]
    fn the_registry_says_what_the_table_says(changes in proptest::collection::vec(change(), 0..40)) {
        let mut tables = Tables::default();
        let registry = RelationRegistry::new();
        for (grant, Granted { plugin, relation }) in changes {
            if grant {
                registry.apply([relate(&mut tables, &plugin, &relation).unwrap()]);
            } else {
                let Relation { user, subject, agent, .. } = relation;
                registry.apply(unrelate(&mut tables, &plugin, &user, &subject, &agent).unwrap());
            }
        }
        let mut listed = Vec::new();
        rows::for_each::<Granted>(&mut tables, TABLE, |_, one| listed.push(one)).unwrap();
        listed.retain(|one| one.relation.until.is_none_or(|until| NOW < until));
        for registry in [registry, RelationRegistry::load(&mut tables).unwrap()] {
            prop_assert_eq!(registry.len(), tables.0.len());
            for letter in ['a', 'b'] {
                let with: Vec<_> = listed.iter().filter(|one| one.relation.agent == agent(letter)).collect();
                prop_assert_eq!(registry.admits(&agent(letter), NOW), !with.is_empty());
                prop_assert_eq!(registry.of(&agent(letter), NOW).len(), with.len());
                for (user, subject, partner) in [("a", "a", "a"), ("a", "a", "b"), ("a", "b", "a"), ("b", "a", "b")] {
                    let about = || listed.iter().filter(|one| one.relation.user == user && one.relation.subject == subject);
                    let joined = about().any(|one| one.relation.partner == partner && one.relation.agent == agent(letter));
                    let expected = match (joined, about().next()) {
                        (true, _) => Verdict::Joined,
                        (false, Some(_)) => Verdict::OtherParties,
                        (false, None) => Verdict::Unknown,
                    };
                    prop_assert_eq!(registry.joins(user, subject, partner, &agent(letter), NOW), expected);
                }
            }
        }
    }
}
