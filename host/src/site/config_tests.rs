#![allow(clippy::unwrap_used)]
use super::*;

const AGENT: &str = "c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg";

/// The one complaint about a text.
fn complaint(text: &str) -> String {
    let problems = Config::parse(text).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].to_string()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = Config::parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listen.to_string(), "0.0.0.0:65430");
    assert_eq!(config.log, log::LevelFilter::Info);
    assert_eq!(config.limits.handshake_seconds, 10);
}

#[test]
fn the_file_that_init_writes_changes_nothing() {
    assert_eq!(Config::parse(DEFAULT_FILE).unwrap(), Config::default());
}

/// The default file with every key in force.
fn default_file_in_force() -> String {
    let enable = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    DEFAULT_FILE.lines().map(enable).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_values_shown_in_the_file_that_init_writes_are_the_defaults() {
    let shown = Config::parse(&default_file_in_force()).unwrap();
    let default = Config::default();
    assert_eq!(shown.listen, default.listen);
    assert_eq!(shown.log, default.log);
    assert_eq!(shown.limits, default.limits);
    assert_eq!(shown.advertise_port, Some(DEFAULT_PORT));
    assert_eq!(PluginConfig { path: None, ..shown.plugin("tally") }, default.plugin("tally"));
    assert_eq!(shown.compat.len(), 1);
}

#[test]
fn the_file_that_init_writes_shows_every_limit() {
    let printed = format!("{:?}", Limits::default());
    let names = printed.trim_start_matches("Limits {").split(',').filter_map(|field| field.split(':').next());
    for name in names {
        let line = format!("#{} = ", name.trim());
        assert!(DEFAULT_FILE.contains(&line), "{line}");
    }
}

#[test]
fn every_key_is_read() {
    let text = format!(
        "listen = '[::]:7'\nlog = 'debug'\n[advertise]\nhost = 'a.example'\nport = 9\n\
         [limits]\nconnections = 5\nidle_seconds = 0x10\n[plugins.own]\nenabled = false\npath = '/x.so'\n\
         isolation = 'process'\nmemory_mb = 700\n\
         [compat]\n{AGENT} = 'mychips-js'\n"
    );
    let config = Config::parse(&text).unwrap();
    assert_eq!(config.listen, Endpoint { host: "::".to_owned(), port: 7 });
    assert_eq!(config.log, log::LevelFilter::Debug);
    assert_eq!((config.advertise_host.as_deref(), config.advertise_port), (Some("a.example"), Some(9)));
    assert_eq!(config.limits, Limits { connections: 5, idle_seconds: 16, ..Limits::default() });
    let own = config.plugin("own");
    assert!(!own.enabled);
    assert_eq!((own.isolation, own.memory_mb), (Isolation::Process, 700));
    assert_eq!(own.path.as_deref(), Some(Path::new("/x.so")));
    assert_eq!(config.compat.get(&AgentId(AGENT.to_owned())), Some(&Compat::MychipsJs));
}

#[test]
fn an_unknown_key_is_refused_naming_its_line_and_the_known_keys() {
    let text = complaint("log = 'info'\n\nlisen = '0.0.0.0:1'\n");
    assert!(text.starts_with("line 3: unknown key lisen;"), "{text}");
    for known in ["listen", "log", "advertise", "limits", "plugins", "compat"] {
        assert!(text.contains(known), "{text}");
    }
    let text = complaint("[limits]\nconection = 3\n");
    assert!(text.starts_with("line 2: unknown key conection in [limits]; known are connections,"), "{text}");
    let text = complaint("[plugins.tally]\npth = 'x'\n");
    assert!(text.contains("unknown key pth in [plugins.tally]; known are enabled, path"), "{text}");
    assert!(complaint("[advertise]\nname = 'x'\n").contains("unknown key name in [advertise]; known are host, port"));
}

#[test]
fn a_wrong_value_is_refused_naming_line_key_value_expectation_and_an_example() {
    for (text, parts) in [
        ("listen = 'here'", ["line 1: listen = 'here'", "an address and a port", "listen = \"0.0.0.0:65430\""]),
        ("listen = 65430", ["line 1: listen = 65430", "an address and a port", "listen = \"0.0.0.0:65430\""]),
        ("\nlog = 'INFO'", ["line 2: log = 'INFO'", "off, error, warn, info, debug or trace", "log = \"info\""]),
        ("[advertise]\nhost = 'a b'", ["line 2: advertise.host = 'a b'", "a host name or an IP", "host = \"chips"]),
        ("[advertise]\nport = 0", ["line 2: advertise.port = 0", "a port from 1 to 65535", "port = 65430"]),
        ("[limits]\nconnections = 0", ["limits.connections = 0", "from 1 to 100000", "connections = 1024"]),
        ("[limits]\nhalf_open = -1", ["limits.half_open = -1", "from 1 to 100000", "half_open = 128"]),
        ("[limits]\nidle_seconds = '60'", ["limits.idle_seconds = '60'", "a whole number", "idle_seconds = 60"]),
        ("[plugins.a]\npath = ''", ["plugins.a.path = ''", "the path of a library", "path = \"/usr"]),
        ("[plugins]\nA = {}", ["line 2: [plugins]: \"A\" is no plugin's name", "small letters", "[plugins.tally]"]),
        ("plugins = 3", ["line 1: plugins is a integer", "expected a table", "[plugins]"]),
        ("[plugins]\na = 3", ["line 2: plugins.a is a integer", "expected a table", "[plugins.a]"]),
        ("[compat]\nx = 'mychips-js'", ["line 2: [compat]: \"x\" is no agent", "43 characters", "such as c0rN"]),
    ] {
        let complaint = complaint(text);
        for part in parts {
            assert!(complaint.contains(part), "{complaint:?} does not say {part:?}");
        }
    }
    assert!(complaint(&format!("[compat]\n{AGENT} = 'other'")).contains("= \"mychips-js\""));
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_lines() {
    let problems = Config::parse("zebra = 1\nlog = 'x'\n[limits]\nconnections = 0\n").unwrap_err();
    assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [1, 2, 4]);
}

#[test]
fn a_text_that_is_no_toml_is_refused_naming_its_line() {
    let text = complaint("log = 'info'\nlisten = \n");
    assert!(text.starts_with("line 2: this is no TOML"), "{text}");
    assert!(complaint("log = 'a'\nlog = 'b'\n").starts_with("line 2: this is no TOML: duplicate key"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tallyho.toml");
    let message = Config::load(&path).unwrap_err().to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    std::fs::write(&path, "x = 1\ny = 2\n").unwrap();
    let message = Config::load(&path).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 2, "{message}");
    assert!(message.starts_with(&format!("{}: line 1: ", path.display())), "{message}");
    std::fs::write(&path, "#".repeat(CONFIG_BYTES as usize + 1)).unwrap();
    assert!(matches!(Config::load(&path), Err(ConfigError::Large { .. })));
}

#[test]
fn what_others_dial_is_what_is_configured_else_what_is_listened_on() {
    let advertised = |text: &str| Config::parse(text).unwrap().advertised(7).to_string();
    assert_eq!(advertised("listen = '192.0.2.1:0'"), "192.0.2.1:7");
    assert_eq!(advertised("listen = '0.0.0.0:0'"), "localhost:7");
    assert_eq!(advertised("listen = '[::]:0'\n[advertise]\nhost = 'a.example'\nport = 1"), "a.example:1");
}

proptest::proptest! {
    #[test]
    fn no_text_stops_the_reader(text in "([a-z\\[\\]={}'\"#\\n .:0-9\u{e9}]{0,80}|\\PC{0,80})") {
        let lines = text.lines().count() + 1;
        for problem in Config::parse(&text).err().into_iter().flatten() {
            proptest::prop_assert!((1..=lines).contains(&problem.line), "{problem}");
        }
    }

    #[test]
    fn no_value_of_a_known_key_stops_the_reader(key in "(listen|log|advertise|limits|plugins|compat)", value in "\\PC{0,40}") {
        let _ = Config::parse(&format!("{key} = {value}\n"));
        let _ = Config::parse(&format!("[{key}]\nhost = {value}\n'{value}' = 1\n"));
    }
}
