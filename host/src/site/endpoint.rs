//! Where something listens or is dialled: a host and a port.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use tallyho_plugin::record::limits::MAX_HOST;

/// A host name or IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// DNS name or IP address; an IPv6 address without brackets.
    pub host: String,
    /// 1 to 65535; 0 where listening means any free one.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port`, an IPv6 address in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|inner| inner.parse::<Ipv6Addr>().is_ok())?,
            None if host.contains(':') => return None, // which colon would part host and port?
            None => host,
        };
        is_host(host).then(|| Endpoint { host: host.to_owned(), port })
    }

    /// Whether it stands for every address of the machine.
    pub fn is_everywhere(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(out, "[{}]:{}", self.host, self.port)
        } else {
            write!(out, "{}:{}", self.host, self.port)
        }
    }
}

/// Whether a text can be a DNS name or an IP address (an IPv6 one without brackets).
pub fn is_host(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(letter);
    let name = text.strip_suffix('.').unwrap_or(text); // a final dot marks a name as complete
    text.parse::<IpAddr>().is_ok() || (text.len() <= MAX_HOST && name.split('.').all(label))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for text in ["0.0.0.0:65430", "[::1]:1", "chips.example.org:65430", "localhost:0", "a_b-c.:9"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in [
            "",
            "65430",
            ":65430",
            "host:",
            "host:65536",
            "host:+1",
            "::1:65430",
            "[::1]",
            "[host]:1",
            "a b:1",
            "a..b:1",
            "[::1:1",
            "host/x:1",
            "höst:1",
        ] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
        assert!(!is_host(&format!("{}.example", "a".repeat(64))), "labels have at most 63 bytes");
        assert!(!is_host(&"a.".repeat(127)), "names have at most 253 bytes");
    }

    #[test]
    fn every_address_is_told_from_one() {
        for (text, everywhere) in [("0.0.0.0:1", true), ("[::]:1", true), ("127.0.0.1:1", false), ("host:1", false)] {
            assert_eq!(Endpoint::parse(text).unwrap().is_everywhere(), everywhere, "{text}");
        }
    }
}
