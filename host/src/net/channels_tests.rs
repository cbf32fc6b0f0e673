#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::net::limits::IDLE_MS;
use crate::wire::ext::Extensions;
use std::task::Waker;
use tallyho_plugin::record::AgentId;

fn address(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn channels() -> Arc<Channels> {
    Channels::new(Bounds { connections: 4, per_address: 2, half_open: 3, idle_ms: IDLE_MS, ..Bounds::default() })
}

fn open(channels: &Channels, role: Role, agent: Option<AgentId>) -> Arc<Channel> {
    let id = channels.name();
    let channel = Channel::new(id, agent, (address(1), 1).into(), role, Extensions::ALL, Timestamp(0));
    channels.add(&channel);
    channel
}

fn is_closing(channel: &Channel) -> bool {
    channel.watch(Waker::noop()).is_some()
}

#[test]
fn places_are_bounded_in_all_per_address_and_in_handshakes_and_come_back() {
    let channels = channels();
    let mut first = channels.place(address(1)).unwrap();
    let second = channels.place(address(1)).unwrap();
    assert_eq!(channels.place(address(1)).unwrap_err(), Crowded::Address);
    let third = channels.place(address(2)).unwrap();
    assert_eq!(channels.place(address(3)).unwrap_err(), Crowded::HalfOpen);
    first.established();
    first.established();
    let fourth = channels.place(address(3)).unwrap();
    drop(third);
    assert_eq!(channels.count(), 3);
    drop(second);
    let fifth = channels.place(address(1)).unwrap();
    assert_eq!(channels.count(), 3);
    drop((first, fourth, fifth));
    assert_eq!(channels.count(), 0);
    assert!(channels.counts.lock().unwrap().by_network.is_empty());
    assert_eq!(channels.counts.lock().unwrap().half_open, 0);
}

#[test]
fn the_total_is_bounded_whatever_the_addresses() {
    let channels = channels();
    let mut places = Vec::new();
    for last in 1..=4 {
        let mut place = channels.place(address(last)).unwrap();
        place.established();
        places.push(place);
    }
    assert_eq!(channels.place(address(5)).unwrap_err(), Crowded::Total);
}

#[test]
fn one_that_finds_no_place_leaves_no_trace() {
    let channels =
        Channels::new(Bounds { connections: 4, per_address: 0, half_open: 3, idle_ms: IDLE_MS, ..Bounds::default() });
    for last in 1..=9 {
        assert_eq!(channels.place(address(last)).unwrap_err(), Crowded::Address);
    }
    assert!(channels.counts.lock().unwrap().by_network.is_empty());
}

#[test]
fn names_are_never_that_of_a_dial_under_way_nor_twice_the_same() {
    let channels = channels();
    let names: std::collections::BTreeSet<_> = (0..100).map(|_| channels.name()).collect();
    assert!(names.len() == 100 && !names.contains(&0));
}

#[test]
fn an_idle_responder_closes_and_an_initiator_waits_much_longer() {
    let channels = channels();
    let (called, calling) = (open(&channels, Role::Responder, None), open(&channels, Role::Initiator, None));
    channels.sweep(Timestamp(IDLE_MS - 1));
    assert!(!is_closing(&called));
    channels.sweep(Timestamp(IDLE_MS));
    assert!(is_closing(&called) && !is_closing(&calling));
    channels.sweep(Timestamp(DEAD_MS));
    assert!(is_closing(&calling));
}

#[test]
fn a_frame_that_came_keeps_a_channel_open() {
    let channels = channels();
    let called = open(&channels, Role::Responder, None);
    called.heard(Timestamp(IDLE_MS - 1));
    channels.sweep(Timestamp(IDLE_MS));
    assert!(!is_closing(&called));
}

#[test]
fn a_channel_that_takes_nothing_is_closed() {
    let channels = channels();
    let calling = open(&channels, Role::Initiator, None);
    calling.stalled(Some(Timestamp(10)));
    channels.sweep(Timestamp(9 + WRITE_STALL_MS));
    assert!(!is_closing(&calling));
    channels.sweep(Timestamp(10 + WRITE_STALL_MS));
    assert!(is_closing(&calling));
}

#[test]
fn channels_are_found_by_name_and_by_agent_until_removed() {
    let channels = channels();
    let bob = AgentId("bob".to_owned());
    let (one, _stranger) =
        (open(&channels, Role::Initiator, Some(bob.clone())), open(&channels, Role::Responder, None));
    assert_eq!(channels.with(&bob).len(), 1);
    assert_eq!(channels.get(one.id).map(|found| found.id), Some(one.id));
    channels.remove(one.id);
    assert!(channels.with(&bob).is_empty() && channels.get(one.id).is_none());
    assert_eq!(channels.all().len(), 1);
    assert!(channels.open().by_line.is_empty(), "nothing is kept of an agent without a channel");
}

#[test]
fn several_channels_with_one_agent_are_kept_apart() {
    let channels = channels();
    let agents = ["bob", "carol"].map(|name| AgentId(name.to_owned()));
    let bobs: Vec<_> = (0..3).map(|_| open(&channels, Role::Responder, Some(agents[0].clone()))).collect();
    let carols = open(&channels, Role::Responder, Some(agents[1].clone()));
    let names = |agent: &AgentId| channels.with(agent).iter().map(|channel| channel.id).collect::<Vec<_>>();
    assert_eq!((names(&agents[0]), names(&agents[1])), (bobs.iter().map(|bob| bob.id).collect(), vec![carols.id]));
    channels.remove(bobs[1].id);
    channels.remove(bobs[1].id);
    assert_eq!(names(&agents[0]), [bobs[0].id, bobs[2].id]);
    assert!(channels.has(&agents[1]));
    channels.remove(carols.id);
    assert!(!channels.has(&agents[1]) && channels.has(&agents[0]));
}

fn bounded(connections: usize, per_address: usize, half_open: usize) -> Arc<Channels> {
    Channels::new(Bounds { connections, per_address, half_open, ..Bounds::default() })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_addresses_of_one_subscriber_share_their_bound() {
    let channels = bounded(10, 2, 10);
    let taken = [channels.place(ip("2001:db8::1")).unwrap(), channels.place(ip("2001:db8::2")).unwrap()];
    assert_eq!(channels.place(ip("2001:db8::3")).unwrap_err(), Crowded::Address);
    assert!(channels.place(ip("2001:db8:0:1::3")).is_ok(), "another network");
    let mapped = [channels.place(ip("::ffff:192.0.2.1")).unwrap(), channels.place(ip("192.0.2.1")).unwrap()];
    assert_eq!(channels.place(ip("192.0.2.1")).unwrap_err(), Crowded::Address);
    drop((taken, mapped));
    assert_eq!(channels.count(), 0);
    assert!(channels.counts.lock().unwrap().by_network.is_empty());
}

#[test]
fn strangers_handshakes_do_not_crowd_out_a_channel_that_this_site_has_dialled() {
    let channels = bounded(10, 10, 1);
    let _stranger = channels.place(ip("192.0.2.1")).unwrap();
    assert_eq!(channels.place(ip("192.0.2.2")).unwrap_err(), Crowded::HalfOpen);
    assert!(channels.place_dialled(ip("192.0.2.3")).is_ok());
}

#[test]
fn callers_cannot_keep_this_site_from_calling_others() {
    let bounds = Bounds { connections: 2, half_open: 1, per_address: 1, ..Bounds::default() };
    let channels = Channels::new(bounds);
    let [one, two]: [IpAddr; 2] = [[127, 0, 0, 1].into(), [127, 0, 0, 2].into()];
    // A caller in its handshake takes the last of those places, and that of its address.
    let caller = channels.place(one).unwrap();
    assert_eq!(channels.place(two).unwrap_err(), Crowded::HalfOpen);
    let dialled = channels.place_dialled(one).unwrap();
    assert_eq!(channels.place(two).unwrap_err(), Crowded::Total);
    // All places are taken, and still.
    let another = channels.place_dialled(two).unwrap();
    let more: Vec<Place> = (0..DIALS - 1).map(|_| channels.place_dialled(two).unwrap()).collect();
    assert_eq!(channels.place_dialled(two).unwrap_err(), Crowded::Total);
    drop((caller, dialled, another, more));
    assert_eq!(channels.count(), 0);
    drop(channels.place(one).unwrap());
}

#[test]
fn strangers_have_a_part_of_the_places_and_few_for_each_address() {
    let channels = Channels::new(Bounds { strangers: 3, strangers_per_address: 2, ..Bounds::default() });
    let stranger = |last| {
        let mut place = channels.place(address(last)).unwrap();
        place.strangers().map(|()| place)
    };
    let (first, _second) = (stranger(1).unwrap(), stranger(1).unwrap());
    assert_eq!(stranger(1).map(drop), Err(Crowded::Strangers), "of this address");
    let _third = stranger(2).unwrap();
    assert_eq!(stranger(3).map(drop), Err(Crowded::Strangers), "of all");
    // Others come in as ever, and a place given back is free again.
    assert!(channels.place(address(3)).is_ok());
    drop(first);
    assert!(stranger(1).is_ok());
}
