//! What is loaded works, keeps its failures to itself, and goes on working whatever happens to its file.
#![allow(clippy::unwrap_used)]

mod site;

use serde_json::{Value, json};
use site::{Site, ask, command, fixture, label};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tallyho::plugin::check::{CheckReport, check_with};
use tallyho::plugin::{Plugin, StaticPlugin};
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::{AgentId, Chad};
use tallyho_plugin::{Command, Context, Event, Fault, FaultKind, Handler, Manifest, Message};
use tallyho_tests::plugins::build_library;
use tallyho_tests::services::SmallServices;

#[test]
fn a_handler_that_panics_fails_that_event_only() {
    let site = Site::new();
    let plugin = site.loader.load(&site.file("p.so", &fixture("good", "a"))).unwrap();
    let mut services = SmallServices::default();
    for (name, text) in [("panic", "panic: told to panic"), ("panic-bomb", "panic: no text")] {
        let fault = ask(plugin.as_ref(), name, &mut services).unwrap_err();
        assert_eq!((fault.kind, fault.code.as_str(), fault.text.as_str()), (FaultKind::Failed, "panic", text));
        assert_eq!(ask(plugin.as_ref(), "label", &mut services).unwrap(), json!("a"));
    }
    let fault = plugin.prepare(&command("prepare-panic", &json!({}))).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.text.as_str()), ("panic", "panic: prepared for nothing"));
    assert_eq!(plugin.prepare(&command("label", &json!({}))).unwrap(), []);
    assert_eq!(plugin.prepare(&command("store", &json!(1))).unwrap()[0].text, to_cbor(&json!(1)).unwrap());
}

#[test]
fn what_a_handler_asks_and_answers_crosses_the_border_unchanged() {
    let site = Site::new();
    let plugin = site.loader.load(&site.file("p.so", &fixture("good", "a"))).unwrap();
    let mut services = SmallServices::default();
    assert_eq!(ask(plugin.as_ref(), "store", &mut services).unwrap(), json!({"a": [1, 2.5, "ü"]}));
    assert_eq!(services.rows.len(), 1);
    plugin.migrate(7, &mut services).unwrap();
    assert_eq!(services.rows[&("t".to_owned(), b"from".to_vec())], to_cbor(&7u32).unwrap());
    let fault = ask(plugin.as_ref(), "refuse", &mut services).unwrap_err();
    assert_eq!(fault, Fault::refused("not now").code("later").fix("ask later"));
    assert_eq!(ask(plugin.as_ref(), "big", &mut services).unwrap_err().code, "too-large");
}

#[test]
fn a_handler_that_cannot_be_dropped_does_no_harm() {
    let site = Site::new();
    // Its drop panics in the probe, too, where it is just as harmless.
    let plugin = site.loader.load(&site.file("p.so", &fixture("drop-panics", "a"))).unwrap();
    assert_eq!(label(&plugin), "a");
    drop(plugin);
    site.is_well();
}

#[test]
fn a_loaded_plugin_outlives_its_file() {
    let site = Site::new();
    let path = site.file("p.so", &fixture("good", "a"));
    let plugin = site.loader.load(&path).unwrap();
    fs::write(&path, vec![0xff; 8 << 20]).unwrap();
    assert_eq!(label(&plugin), "a");
    fs::File::create(&path).unwrap().set_len(0).unwrap();
    assert_eq!(label(&plugin), "a");
    fs::remove_file(&path).unwrap();
    assert_eq!(ask(plugin.as_ref(), "panic", &mut SmallServices::default()).unwrap_err().code, "panic");
    assert_eq!(label(&plugin), "a");
    drop(site);
    assert_eq!(label(&plugin), "a", "the private copies are gone as well");
}

#[test]
fn the_same_bytes_share_a_mapping_and_a_rebuilt_file_gives_new_code() {
    let site = Site::new();
    let path = site.file("p.so", &fixture("good", "a"));
    let first = site.loader.load(&path).unwrap();
    let again = site.loader.load(&site.file("elsewhere.so", &fixture("good", "a"))).unwrap();
    assert!(Arc::ptr_eq(first.shared_build(), again.shared_build()));
    assert_eq!((first.build(), site.loader.mapped()), (again.build(), 1));
    assert!(first.generation() < again.generation());

    site.file("p.so", &fixture("good", "b"));
    let rebuilt = site.loader.load(&path).unwrap();
    assert_eq!((label(&first), label(&rebuilt), site.loader.mapped()), ("a".into(), "b".into(), 2));
    assert_ne!(first.build(), rebuilt.build());
    assert!(again.generation() < rebuilt.generation());
    assert_eq!(rebuilt.manifest().version, "b");

    site.file("p.so", &fixture("good", "a"));
    assert_eq!((label(&site.loader.load(&path).unwrap()), site.loader.mapped()), ("a".into(), 2));
}

#[test]
fn a_checked_file_is_reported_by_name_or_with_reason_and_fix() {
    let site = Site::new();
    let good = site.file("good.so", &fixture("good", "1.2.3"));
    let report = serde_json::to_value(CheckReport::from(check_with(&site.options, &good))).unwrap();
    assert_eq!(report, json!({"ok": true, "name": "misbehaving", "version": "1.2.3"}));
    let bad = site.file("bad.so", b"hello");
    let report = serde_json::to_value(CheckReport::from(check_with(&site.options, &bad))).unwrap();
    assert_eq!((&report["ok"], &report["name"]), (&json!(false), &Value::Null));
    assert!(report["reason"].as_str().unwrap().contains("is a text file") && report["fix"].is_string(), "{report}");
}

#[test]
fn the_copy_mapped_is_private_and_executable_by_its_owner_only() {
    let site = Site::new();
    let plugin = site.loader.load(&site.file("p.so", &fixture("good", "a"))).unwrap();
    let copy = &plugin.shared_build().copy;
    assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o500);
    assert!(copy.starts_with(site.options.private_folder.canonicalize().unwrap()));
}

#[test]
fn the_echo_example_answers_what_it_is_told() {
    let site = Site::new();
    let plugin = site.loader.load(&build_library("tallyho-echo")).unwrap();
    let chad = |cuid: &str| Chad { cuid: Some(cuid.into()), agent: AgentId(cuid.into()), host: None, port: None };
    let said = json!({"text": "hello", "number": 7});
    let message = Message {
        target: "echo".into(),
        action: "say".into(),
        to: chad("joe"),
        from: chad("ann"),
        tally: None,
        ticket: None,
        restricted: false,
        asked: false,
        attempt: None,
        body: to_cbor(&said).unwrap(),
    };
    let mut services = SmallServices::default();
    plugin.handle(&Event::Message(message), &mut services).unwrap();
    let [reply] = services.sent.as_slice() else { panic!("one reply") };
    assert_eq!((reply.target.as_str(), reply.action.as_str(), reply.from.as_str()), ("echo", "said", "joe"));
    assert_eq!((&reply.to, &reply.object), (&chad("ann"), &to_cbor(&said).unwrap()));
    assert_eq!(ask(plugin.as_ref(), "say", &mut services).unwrap(), json!({"a": [1, 2.5, "ü"]}));
}

#[test]
fn a_plugin_built_upon_another_is_told_from_it_by_the_file_name() {
    let site = Site::new();
    let path = build_library("tallyho-fixture-layered");
    assert_eq!(site.loader.load(&path).unwrap().manifest().name, "layered");
    let bytes = fs::read(&path).unwrap();
    let error = site.loader.load(&site.file("other.so", &bytes)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("holds several plugins (tallyho_echo, tallyho_fixture_layered)"), "{error}");
    let named = site.file("libtallyho_echo.so", &bytes);
    assert_eq!(site.loader.load(&named).unwrap().manifest().name, "echo");
}

#[test]
fn a_handler_linked_in_behaves_as_a_loaded_one() {
    struct Linked;
    impl Handler for Linked {
        fn manifest() -> Manifest {
            Manifest::new("linked", "1")
        }
        fn create() -> Result<Self, Fault> {
            Ok(Linked)
        }
        fn command(&self, command: &Command, _: &mut Context<'_>) -> Result<Value, Fault> {
            match command.name.as_str() {
                "panic" => panic!("told to panic"),
                _ => command.arguments(),
            }
        }
    }
    let plugin = StaticPlugin::<Linked>::create().unwrap();
    let mut services = SmallServices::default();
    assert_eq!(ask(&plugin, "any", &mut services).unwrap(), json!({"a": [1, 2.5, "ü"]}));
    let fault = ask(&plugin, "panic", &mut services).unwrap_err();
    assert_eq!(
        (fault.kind, fault.code.as_str(), fault.text.as_str()),
        (FaultKind::Failed, "panic", "panic: told to panic")
    );
    assert_eq!((plugin.path(), plugin.build(), plugin.manifest().name.as_str()), (None, None, "linked"));
}
