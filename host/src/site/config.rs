//! `tallyho.toml`: what an operator may set.
//!
//! Every key has a default, so an empty file is a good one. A file with a mistake is refused as a
//! whole, with all its mistakes: a site that half follows its configuration surprises people.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::endpoint::{Endpoint, is_host};
use super::limits::CONFIG_BYTES;
use super::toml_reader::{Document, Problem, Section, Wanted, text, whole};
use crate::plugin::limits::PROCESS_MB;
use tallyho_plugin::record::AgentId;
use tallyho_plugin::record::limits::DEFAULT_PORT;

/// The file that `init` writes: every key, commented out, with its default.
pub const DEFAULT_FILE: &str = include_str!("tallyho.toml");

/// A site's configuration, checked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Where peers are let in. Port 0: any free one.
    pub listen: Endpoint,
    /// Host name others dial, where it is not the one listened on.
    pub advertise_host: Option<String>,
    /// Port others dial, where it is not the one listened on.
    pub advertise_port: Option<u16>,
    /// Least important log lines written.
    pub log: log::LevelFilter,
    /// The network's bounds.
    pub limits: Limits,
    /// What is said about plugins, by name.
    pub plugins: BTreeMap<String, PluginConfig>,
    /// Peers that need the transport spoken another way (PROTOCOL A.3).
    pub compat: BTreeMap<AgentId, Compat>,
}

/// What is said about one plugin.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PluginConfig {
    /// Whether it is loaded where no `--plugin` says otherwise.
    pub enabled: bool,
    /// Its file, where it is not found by its name.
    pub path: Option<PathBuf>,
    /// Where it runs.
    pub isolation: Isolation,
    /// Address space of its own process, in MB.
    pub memory_mb: u64,
}

/// Where a plugin runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Isolation {
    /// In the site's own process.
    #[default]
    None,
    /// In a process of its own.
    Process,
}

/// Another implementation's habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compat {
    /// The JavaScript reference: exchanged transport keys, no extensions (PROTOCOL A.3, O-63).
    MychipsJs,
}

/// Why the configuration cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot read the configuration: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The file is far too large for one.
    #[error("{path} is larger than {CONFIG_BYTES} bytes: is it a configuration?")]
    Large {
        /// The file.
        path: PathBuf,
    },
    /// Lines that do not fit.
    #[error("{}", each_line(path, problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// All that is wrong, in the order of lines.
        problems: Vec<Problem>,
    },
}

impl Compat {
    /// The word people write.
    pub fn word(self) -> &'static str {
        match self {
            Compat::MychipsJs => "mychips-js",
        }
    }

    /// Reads the word people write.
    pub fn from_word(word: &str) -> Option<Self> {
        (word == Compat::MychipsJs.word()).then_some(Compat::MychipsJs)
    }
}

impl Isolation {
    /// The word people write.
    pub fn word(self) -> &'static str {
        match self {
            Isolation::None => "none",
            Isolation::Process => "process",
        }
    }

    /// Reads the word people write.
    pub fn from_word(word: &str) -> Option<Self> {
        [Isolation::None, Isolation::Process].into_iter().find(|isolation| isolation.word() == word)
    }
}

impl Default for PluginConfig {
    fn default() -> Self {
        PluginConfig { enabled: true, path: None, isolation: Isolation::None, memory_mb: PROCESS_MB }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: Endpoint { host: "0.0.0.0".to_owned(), port: DEFAULT_PORT },
            advertise_host: None,
            advertise_port: None,
            log: log::LevelFilter::Info,
            limits: Limits::default(),
            plugins: BTreeMap::new(),
            compat: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |why| ConfigError::Unreadable { path: path.to_owned(), why };
        let mut text = String::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(CONFIG_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > CONFIG_BYTES {
            return Err(ConfigError::Large { path: path.to_owned() });
        }
        Self::parse(&text).map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
    }

    /// Reads a text.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of lines.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let (mut document, top) = Document::parse(text);
        let config = read(&mut document, top);
        let problems = document.problems();
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// Host name and port that others dial, once it is known which port is `bound`: what is
    /// configured, else the host listened on, else (listening on all) `localhost`, which serves only
    /// sites of the same machine.
    pub fn advertised(&self, bound: u16) -> Endpoint {
        let everywhere = self.listen.is_everywhere();
        let own = if everywhere { "localhost" } else { self.listen.host.as_str() };
        Endpoint {
            host: self.advertise_host.clone().unwrap_or_else(|| own.to_owned()),
            port: self.advertise_port.unwrap_or(bound),
        }
    }

    /// What is said about a plugin, or the defaults.
    pub fn plugin(&self, name: &str) -> PluginConfig {
        self.plugins.get(name).cloned().unwrap_or_default()
    }
}

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:literal, $range:expr;)+) => {
        /// Bounds of the network that an operator may change. Defaults suit a machine
        /// with 1 GB.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $($name: $default,)+ }
            }
        }

        fn read_limits<'i>(document: &mut Document<'i>, mut section: Section<'i>) -> Limits {
            let mut limits = Limits::default();
            $(
                let range: std::ops::RangeInclusive<u64> = $range;
                let expected = format!("a whole number from {} to {}", range.start(), range.end());
                let example = $default.to_string();
                let wanted = Wanted { expected: &expected, example: &example };
                if let Some(number) = section.take(document, stringify!($name), wanted, |value| whole(value, range)) {
                    limits.$name = number;
                }
            )+
            section.finish(document);
            limits
        }
    };
}

limits! {
    /// Connections open at once: an open one holds up to two packets of 64 KiB, so 128 MiB in all.
    connections = 1024, 1..=100_000;
    /// Connections open at once from one address (IPv6: one network of 64 bits): a site needs one or
    /// two, several sites may share an address.
    connections_per_address = 32, 1..=100_000;
    /// Connections whose peer has not proven itself yet: each costs a Noise handshake's work, and
    /// strangers must not crowd out peers.
    half_open = 128, 1..=100_000;
    /// Seconds a peer has to send a valid opening packet (PROTOCOL 2.5).
    handshake_seconds = 10, 1..=300;
    /// Seconds without a frame after which the responder closes (PROTOCOL O-59).
    idle_seconds = 60, 5..=86_400;
    /// Requests a minute from one address that proves nothing about itself (PROTOCOL 10.2).
    strangers_per_minute = 20, 1..=100_000;
    /// Seconds a handler has for one event; all others wait meanwhile.
    handler_seconds = 5, 1..=3_600;
    /// Opening packets remembered so that a recorded one is refused (PROTOCOL A.3): 4 MB.
    openings_remembered = 65_536, 256..=10_000_000;
}

fn read<'i>(document: &mut Document<'i>, mut top: Section<'i>) -> Config {
    let mut config = Config::default();
    let wanted = Wanted { expected: "an address and a port", example: "\"0.0.0.0:65430\"" };
    if let Some(listen) = top.take(document, "listen", wanted, |value| Endpoint::parse(value.as_str()?)) {
        config.listen = listen;
    }
    let wanted = Wanted { expected: "off, error, warn, info, debug or trace", example: "\"info\"" };
    if let Some(level) = top.take(document, "log", wanted, |value| level(value.as_str()?)) {
        config.log = level;
    }
    if let Some(mut section) = top.section(document, "advertise") {
        let wanted = Wanted { expected: "a host name or an IP address", example: "\"chips.example.org\"" };
        config.advertise_host =
            section.take(document, "host", wanted, |value| text(value).filter(|host| is_host(host)));
        let wanted = Wanted { expected: "a port from 1 to 65535", example: "65430" };
        config.advertise_port =
            section.take(document, "port", wanted, |value| u16::try_from(whole(value, 1..=65_535)?).ok());
        section.finish(document);
    }
    if let Some(section) = top.section(document, "limits") {
        config.limits = read_limits(document, section);
    }
    if let Some(section) = top.section(document, "plugins") {
        config.plugins = read_plugins(document, section);
    }
    if let Some(section) = top.section(document, "compat") {
        config.compat = read_compat(document, section);
    }
    top.finish(document);
    config
}

fn read_plugins<'i>(document: &mut Document<'i>, section: Section<'i>) -> BTreeMap<String, PluginConfig> {
    let mut plugins = BTreeMap::new();
    let place = section.place();
    for (name, at, value) in section.entries() {
        if !is_plugin_name(&name) {
            let text = format!(
                "{name:?} is no plugin's name: expected 1 to 32 small letters, digits and dashes, such as [plugins.tally]"
            );
            place.complain(document, at, text);
            continue;
        }
        let Some(section) = place.subsection(document, &name, at, value) else { continue };
        plugins.insert(name, read_plugin(document, section));
    }
    plugins
}

fn read_plugin<'i>(document: &mut Document<'i>, mut section: Section<'i>) -> PluginConfig {
    let mut plugin = PluginConfig::default();
    let wanted = Wanted { expected: "true or false", example: "true" };
    if let Some(enabled) = section.take(document, "enabled", wanted, toml::de::DeValue::as_bool) {
        plugin.enabled = enabled;
    }
    let wanted = Wanted { expected: "the path of a library", example: "\"/usr/lib/tallyho/libown.so\"" };
    plugin.path =
        section.take(document, "path", wanted, |value| text(value).filter(|path| !path.is_empty())).map(PathBuf::from);
    let wanted = Wanted { expected: "none or process", example: "\"process\"" };
    if let Some(isolation) = section.take(document, "isolation", wanted, |value| Isolation::from_word(value.as_str()?))
    {
        plugin.isolation = isolation;
    }
    let wanted = Wanted { expected: "a whole number of MB from 128 to 65536", example: "512" };
    if let Some(memory) = section.take(document, "memory_mb", wanted, |value| whole(value, 128..=65_536)) {
        plugin.memory_mb = memory;
    }
    section.finish(document);
    plugin
}

fn read_compat<'i>(document: &mut Document<'i>, section: Section<'i>) -> BTreeMap<AgentId, Compat> {
    let mut marks = BTreeMap::new();
    let place = section.place();
    for (agent, at, value) in section.entries() {
        match (AgentId::parse(&agent).ok(), value.as_str().and_then(Compat::from_word)) {
            (Some(agent), Some(mark)) => {
                marks.insert(agent, mark);
            }
            (None, _) => {
                let text = format!(
                    "{agent:?} is no agent: expected the 43 characters of an agent id, such as c0rNdSQWCuNySKumc-ht5ZRPKu5M7GqegBFu-jhzlrg"
                );
                place.complain(document, at, text);
            }
            (Some(_), None) => {
                let text = format!("{agent}: expected a known mark, such as {agent} = \"mychips-js\"");
                place.complain(document, at, text);
            }
        }
    }
    marks
}

fn level(word: &str) -> Option<log::LevelFilter> {
    // `from_str` also takes other cases, which we do not promise.
    word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_lowercase()))
}

fn is_plugin_name(name: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(letters)
}

fn each_line(path: &Path, problems: &[Problem]) -> impl fmt::Display {
    let lines = problems.iter().map(|problem| format!("{}: {problem}", path.display()));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
