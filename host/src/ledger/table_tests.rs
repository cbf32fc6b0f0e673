#![allow(clippy::unwrap_used)]

use super::*;
use crate::plugin::StaticPlugin;
use tallyho_plugin::Handler;

/// A handler of one name and target, which gives way or not.
macro_rules! handler {
    ($handler:ident, $name:literal, $target:expr) => {
        struct $handler;
        impl Handler for $handler {
            fn manifest() -> Manifest {
                Manifest::new($name, "1.0.0").target($target)
            }
            fn create() -> Result<Self, Fault> {
                Ok($handler)
            }
        }
    };
}

handler!(Opens, "opens", Target::new("door", &["knock"]).yielding());
handler!(Zwei, "zwei", Target::new("door", &["knock"]).yielding());
handler!(Has, "has", Target::new("door", &["knock", "ring"]));
handler!(Wants, "wants", Target::new("door", &["knock"]));
handler!(Elsewhere, "has", Target::new("gate", &["knock"]));

fn plugin<H: Handler>() -> Arc<dyn Plugin> {
    Arc::new(StaticPlugin::<H>::create().unwrap())
}

fn at_the_door(table: &PluginTable) -> Option<String> {
    table.claiming("door").map(|(serving, _)| serving.manifest().name.clone())
}

fn clash(table: Result<PluginTable, Clash>) -> Option<(String, String)> {
    match table.err()? {
        Clash::Target { first, second, .. } => Some((first, second)),
        Clash::Name { .. } => None,
    }
}

#[test]
fn whoever_yields_gives_way_in_whatever_order_plugins_come() {
    let first = PluginTable::default().with(plugin::<Opens>()).unwrap();
    assert_eq!(at_the_door(&first).as_deref(), Some("opens"));
    let both = first.with(plugin::<Has>()).unwrap();
    let other = PluginTable::default().with(plugin::<Has>()).unwrap().with(plugin::<Opens>()).unwrap();
    for table in [both, other] {
        assert_eq!(at_the_door(&table).as_deref(), Some("has"));
        assert!(table.claiming("door").unwrap().1.actions.contains(&"ring".to_owned()), "it has the target whole");
    }
}

#[test]
fn two_that_yield_clash_and_two_that_do_not() {
    let yields = PluginTable::default().with(plugin::<Opens>()).unwrap();
    assert_eq!(clash(yields.with(plugin::<Zwei>())), Some(("opens".to_owned(), "zwei".to_owned())));
    let has = PluginTable::default().with(plugin::<Has>()).unwrap().with(plugin::<Opens>()).unwrap();
    assert_eq!(clash(has.with(plugin::<Wants>())), Some(("has".to_owned(), "wants".to_owned())));
}

#[test]
fn a_target_that_a_build_gives_up_goes_back_to_whoever_gave_way() {
    let table = PluginTable::default().with(plugin::<Opens>()).unwrap().with(plugin::<Has>()).unwrap();
    let next = table.seating("has", Seat::of(Serving::new(plugin::<Elsewhere>()))).unwrap();
    assert_eq!(at_the_door(&next).as_deref(), Some("opens"));
    let back = next.seating("has", Seat::of(Serving::new(plugin::<Has>()))).unwrap();
    assert_eq!(at_the_door(&back).as_deref(), Some("has"));
    assert!(back.claiming("gate").is_none());
}
