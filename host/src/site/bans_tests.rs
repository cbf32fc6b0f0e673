#![allow(clippy::unwrap_used)]
use super::*;
use crate::site::limits::{BAN, STRIKE_WINDOW};

const SECOND: i64 = 1_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(1_700_000_000_000).plus(seconds * SECOND)
}

/// Strikes an address once at each of these seconds.
fn strike(bans: &mut Bans, address: &str, seconds: &[i64]) -> Strike {
    let mut last = Strike::Counted;
    for second in seconds {
        last = bans.strike(ip(address), "ticket-unknown", at(*second));
    }
    last
}

#[test]
fn the_fifth_strike_within_a_minute_bans_for_ten_minutes() {
    let mut bans = Bans::new();
    assert_eq!(strike(&mut bans, "192.0.2.1", &[0, 10, 20, 30]), Strike::Counted);
    assert_eq!(bans.banned(ip("192.0.2.1"), at(30)), None);
    assert_eq!(strike(&mut bans, "192.0.2.1", &[60]), Strike::Banned(at(660)));
    assert_eq!(bans.banned(ip("192.0.2.1"), at(60)), Some(at(660)));
    assert_eq!(bans.banned(ip("192.0.2.1"), at(659)), Some(at(660)));
    assert_eq!(bans.banned(ip("192.0.2.1"), at(660)), None);
    assert_eq!((BAN, STRIKE_WINDOW, STRIKES), (600_000, 60_000, 5), "O-11");
}

#[test]
fn five_strikes_in_more_than_a_minute_ban_nobody() {
    let mut bans = Bans::new();
    strike(&mut bans, "192.0.2.1", &[0, 15, 30, 45, 61, 76, 91, 106, 122]);
    assert_eq!(bans.banned(ip("192.0.2.1"), at(122)), None);
}

#[test]
fn the_minute_slides() {
    let mut bans = Bans::new();
    strike(&mut bans, "192.0.2.1", &[0, 50, 61, 70, 80]);
    assert_eq!(bans.banned(ip("192.0.2.1"), at(80)), None, "the first strike is older than a minute");
    assert!(matches!(strike(&mut bans, "192.0.2.1", &[90]), Strike::Banned(_)));
}

#[test]
fn other_addresses_are_not_touched() {
    let mut bans = Bans::new();
    strike(&mut bans, "192.0.2.1", &[0, 0, 0, 0, 0]);
    assert_eq!(bans.banned(ip("192.0.2.2"), at(0)), None);
    assert_eq!(bans.banned(ip("2001:db8::1"), at(0)), None);
}

#[test]
fn an_ipv6_subscriber_is_one_whatever_address_it_takes() {
    let mut bans = Bans::new();
    for host in ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::", "2001:db8:1:2:1::", "2001:db8:1:2::5"] {
        strike(&mut bans, host, &[0]);
    }
    assert!(bans.banned(ip("2001:db8:1:2:9:9:9:9"), at(0)).is_some());
    assert_eq!(bans.banned(ip("2001:db8:1:3::1"), at(0)), None);
    assert_eq!(bans.list(at(0))[0].address, "2001:db8:1:2::/64");
}

#[test]
fn an_ipv4_address_is_the_same_written_as_ipv6() {
    let mut bans = Bans::new();
    strike(&mut bans, "::ffff:192.0.2.1", &[0, 0, 0, 0, 0]);
    assert!(bans.banned(ip("192.0.2.1"), at(0)).is_some());
    assert_eq!(bans.list(at(0))[0].address, "192.0.2.1");
}

#[test]
fn after_a_ban_the_count_begins_anew() {
    let mut bans = Bans::new();
    strike(&mut bans, "192.0.2.1", &[0, 0, 0, 0, 0]);
    assert_eq!(strike(&mut bans, "192.0.2.1", &[600, 600, 600, 600]), Strike::Counted);
    assert_eq!(bans.banned(ip("192.0.2.1"), at(600)), None);
    assert!(matches!(strike(&mut bans, "192.0.2.1", &[600]), Strike::Banned(_)));
}

#[test]
fn strikes_during_a_ban_do_not_lengthen_it() {
    let mut bans = Bans::new();
    strike(&mut bans, "192.0.2.1", &[0, 0, 0, 0, 0]);
    strike(&mut bans, "192.0.2.1", &[100, 100, 100, 100, 100, 100]);
    assert_eq!(bans.banned(ip("192.0.2.1"), at(100)), Some(at(600)));
}

#[test]
fn bans_are_listed_the_longest_first_and_cleared_by_what_the_list_shows() {
    let mut bans = Bans::new();
    strike(&mut bans, "192.0.2.1", &[0, 0, 0, 0, 0]);
    strike(&mut bans, "2001:db8::7", &[5, 5, 5, 5, 5]);
    strike(&mut bans, "192.0.2.9", &[5]);
    let listed = bans.list(at(5));
    assert_eq!(
        listed,
        [
            Ban { address: "2001:db8::/64".to_owned(), until: at(605) },
            Ban { address: "192.0.2.1".to_owned(), until: at(600) },
        ]
    );
    for ban in &listed {
        assert_eq!(bans.clear(&ban.address, at(5)), Ok(true), "{ban:?}");
        assert_eq!(bans.clear(&ban.address, at(5)), Ok(false));
    }
    assert_eq!(bans.list(at(5)), []);
    assert_eq!(bans.clear("192.0.2.9", at(5)), Ok(false), "strikes alone are no ban");
    let message = bans.clear("here", at(5)).unwrap_err().to_string();
    assert!(message.contains("\"here\" is no address") && message.contains("such as 192.0.2.1"), "{message}");
}

#[test]
fn a_clock_set_back_makes_no_ban_longer() {
    let mut bans = Bans::new();
    strike(&mut bans, "192.0.2.1", &[0, 0, 0, 0, 0]);
    assert_eq!(bans.banned(ip("192.0.2.1"), at(-86_400)), None);
}

#[test]
fn memory_is_bounded_and_bans_are_the_last_to_be_forgotten() {
    let mut bans = Bans { capacity: Some(100), ..Bans::default() };
    strike(&mut bans, "198.51.100.1", &[0, 0, 0, 0, 0]);
    for number in 0..10_000_u32 {
        bans.strike(IpAddr::V4(Ipv4Addr::from_bits(number)), "opening-malformed", at(1));
        assert!(bans.networks.len() <= 100);
    }
    assert!(bans.banned(ip("198.51.100.1"), at(1)).is_some());
    let newest = Network::V4(Ipv4Addr::from_bits(9_999));
    assert!(bans.networks.contains_key(&newest));
}

#[test]
fn memory_is_bounded_when_every_address_is_banned() {
    let mut bans = Bans { capacity: Some(8), ..Bans::default() };
    for number in 0..100_u8 {
        strike(&mut bans, &format!("192.0.2.{number}"), &[i64::from(number); 5]);
        assert!(bans.networks.len() <= 8);
    }
    assert!(bans.banned(ip("192.0.2.99"), at(99)).is_some());
}

#[test]
fn strikes_older_than_a_minute_make_room_first() {
    let mut bans = Bans { capacity: Some(4), ..Bans::default() };
    for number in 0..4 {
        strike(&mut bans, &format!("192.0.2.{number}"), &[i64::from(number) * 30]);
    }
    strike(&mut bans, "192.0.2.9", &[120]);
    let kept = |host: &str| bans.networks.contains_key(&Network::of(ip(host)));
    assert_eq!([0, 1, 2, 3, 9].map(|number| kept(&format!("192.0.2.{number}"))), [false, false, true, true, true]);
}

/// What `text` becomes in the log, written by the logger that the program uses.
fn logged(target: &str, level: log::Level, text: &str) -> String {
    use std::sync::{Arc, Mutex};
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let pipe = Pipe::default();
    let logger = env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .target(env_logger::Target::Pipe(Box::new(pipe.clone())))
        .build();
    log::Log::log(&logger, &log::Record::builder().target(target).level(level).args(format_args!("{text}")).build());
    let bytes = pipe.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// The filter's regular expression as fail2ban 1.0 compiles it: the date found is cut out of the line
/// before, and `<HOST>` becomes a group.
fn filter() -> (regex::Regex, regex::Regex) {
    let file = include_str!("../../../examples/fail2ban/filter.d/tallyho.conf");
    let setting = |name: &str| {
        let line = file.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('=')).unwrap();
        line.trim().replace("%%", "%")
    };
    let date = setting("datepattern");
    let date =
        [("%Y", r"\d{4}"), ("%m", r"\d{2}"), ("%d", r"\d{2}"), ("%H", r"\d{2}"), ("%M", r"\d{2}"), ("%S", r"\d{2}")]
            .iter()
            .fold(date, |pattern, (mark, digits)| pattern.replace(mark, digits));
    let host = setting("failregex").replace("<HOST>", r"(?P<host>[0-9.]{7,15}|[0-9a-fA-F:]{2,39})");
    (regex::Regex::new(&date).unwrap(), regex::Regex::new(&host).unwrap())
}

/// The address that fail2ban takes from a line of a log file. From the journal, where the date comes
/// beside the line and host and program stand before it, it must take the same.
fn found(line: &str) -> Option<String> {
    let (date, failure) = filter();
    assert!(date.is_match(line), "no date is found in {line:?}");
    let address = |line: &str| failure.captures(line).map(|found| found["host"].to_owned());
    let in_file = address(&date.replace(line.trim_end(), ""));
    assert_eq!(address(&format!("host tallyho[123]: {}", line.trim_end())), in_file);
    in_file
}

#[test]
fn the_fail2ban_filter_finds_the_address_in_every_strike_line() {
    for address in ["192.0.2.1", "2001:db8::1"] {
        for refusal in crate::site::tickets::TicketRefusal::WORDS {
            let line = logged(LOG_TARGET, log::Level::Warn, &strike_line(ip(address), refusal));
            assert_eq!(found(&line).as_deref(), Some(address), "{line}");
        }
    }
    let mapped = logged(LOG_TARGET, log::Level::Warn, &strike_line(ip("::ffff:192.0.2.1"), "opening-malformed"));
    assert_eq!(found(&mapped).as_deref(), Some("192.0.2.1"));
}

#[test]
fn the_fail2ban_filter_takes_no_address_from_other_lines() {
    let ban = format!("ban 192.0.2.1 until {}", at(0));
    let quoted = format!("WARN  {LOG_TARGET}] strike from 192.0.2.1: ticket-unknown");
    for (target, text) in [
        (LOG_TARGET, ban.as_str()),
        ("tallyho::net", "strike from 192.0.2.1: ticket-unknown"),
        ("plugin", &quoted),
        (LOG_TARGET, "strike from 192.0.2.1: ticket-unknown and more"),
    ] {
        let line = logged(target, log::Level::Warn, text);
        assert_eq!(found(&line), None, "{line}");
    }
}
