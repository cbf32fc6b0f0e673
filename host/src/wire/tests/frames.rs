//! Frames, torn and together.

use super::packets;
use crate::wire::error::WireError;
use crate::wire::frame::{FrameReader, Kind, write_frame};
use crate::wire::limits::{MAX_NOISE, MAX_PACKET};
use proptest::prelude::*;

fn stream() -> (Vec<u8>, Vec<(Kind, Vec<u8>)>) {
    let packets = vec![
        (Kind::N, vec![7; 93]),
        (Kind::K, Vec::new()),
        (Kind::T, (0..=255).collect()),
        (Kind::Other(0), vec![1]),
        (Kind::A, vec![2; 48]),
    ];
    let mut bytes = Vec::new();
    for (kind, body) in &packets {
        // An empty frame before each.
        bytes.extend_from_slice(&[0; 4]);
        write_frame(&mut bytes, *kind, body).unwrap();
    }
    (bytes, packets)
}

/// Reads a stream in the given pieces; every packet, and no memory held between frames.
fn read_pieces(reader: &mut FrameReader, pieces: &mut [Vec<u8>]) -> Vec<(Kind, Vec<u8>)> {
    let mut found = Vec::new();
    for piece in pieces {
        let mut packets = reader.packets(piece);
        while let Some(packet) = packets.next().unwrap() {
            found.push((packet.kind, packet.body.to_vec()));
        }
    }
    found
}

#[test]
fn frames_may_be_torn_at_every_byte() {
    let (bytes, expected) = stream();
    for cut in 0..=bytes.len() {
        let mut reader = FrameReader::new();
        let (first, second) = bytes.split_at(cut);
        assert_eq!(read_pieces(&mut reader, &mut [first.to_vec(), second.to_vec()]), expected, "cut at {cut}");
        assert_eq!(reader.held(), 0);
    }
    let mut reader = FrameReader::new();
    let mut single: Vec<_> = bytes.iter().map(|byte| vec![*byte]).collect();
    assert_eq!(read_pieces(&mut reader, &mut single), expected);
}

#[test]
fn whole_frames_are_handed_out_where_they_were_received() {
    let (mut bytes, expected) = stream();
    let range = bytes.as_ptr_range();
    let mut reader = FrameReader::new();
    let mut packets = reader.packets(&mut bytes);
    for _ in expected {
        assert!(range.contains(&packets.next().unwrap().unwrap().body.as_ptr()));
    }
}

#[test]
fn an_idle_reader_owns_no_memory() {
    let (bytes, _) = stream();
    let mut reader = FrameReader::new();
    let (first, second) = bytes.split_at(50);
    read_pieces(&mut reader, &mut [first.to_vec()]);
    assert!(reader.held() > 0);
    read_pieces(&mut reader, &mut [second.to_vec()]);
    assert_eq!(format!("{reader:?}"), format!("{:?}", FrameReader::new()));
    assert_eq!(size_of::<FrameReader>(), size_of::<Vec<u8>>());
    assert_eq!(reader.capacity(), 0);
}

#[test]
fn a_caller_may_stop_between_packets_and_go_on_later() {
    let (mut bytes, expected) = stream();
    let mut reader = FrameReader::new();
    let mut found = Vec::new();
    {
        let mut packets = reader.packets(&mut bytes);
        let packet = packets.next().unwrap().unwrap();
        found.push((packet.kind, packet.body.to_vec()));
        assert_eq!(packets.remaining(), bytes_of(&expected[1..]));
    }
    assert_eq!(reader.held(), bytes_of(&expected[1..]));
    for _ in 1..expected.len() {
        let mut none = [];
        let mut packets = reader.packets(&mut none);
        let packet = packets.next().unwrap().unwrap();
        found.push((packet.kind, packet.body.to_vec()));
    }
    assert_eq!(found, expected);
    assert_eq!(reader.held(), 0);
}

fn bytes_of(packets: &[(Kind, Vec<u8>)]) -> usize {
    packets.iter().map(|(_, body)| 4 + 4 + 1 + body.len()).sum()
}

#[test]
fn a_frame_too_long_is_refused_before_anything_is_buffered() {
    let too_long = u32::try_from(MAX_PACKET + 1).unwrap().to_be_bytes();
    for pieces in [vec![too_long.to_vec()], too_long.iter().map(|byte| vec![*byte]).collect()] {
        let mut reader = FrameReader::new();
        let mut outcome = Ok(0);
        for mut piece in pieces {
            outcome = reader.packets(&mut piece).next().map(|packet| packet.map_or(0, |packet| packet.body.len()));
        }
        assert_eq!(outcome, Err(WireError::FrameTooLong(65_537)));
        assert_eq!(reader.held(), 0);
    }
}

#[test]
fn the_longest_frame_is_taken() {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Kind::T, &vec![3; MAX_NOISE]).unwrap();
    assert_eq!(bytes[..4], [0, 1, 0, 0]);
    assert_eq!(packets(&bytes), [(Kind::T, vec![3; MAX_NOISE])]);
    let error = write_frame(&mut bytes, Kind::T, &vec![3; MAX_NOISE + 1]).unwrap_err();
    assert_eq!(error, WireError::TooLong { length: 65_536, limit: 65_535 });
}

proptest! {
    #[test]
    fn any_tearing_gives_the_same_packets(mut cuts in prop::collection::vec(0usize..430, 0..20)) {
        let (bytes, expected) = stream();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut at = 0;
        for cut in cuts {
            let cut = cut.min(bytes.len());
            pieces.push(bytes[at..cut].to_vec());
            at = cut;
        }
        pieces.push(bytes[at..].to_vec());
        prop_assert_eq!(read_pieces(&mut FrameReader::new(), &mut pieces), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic_a_reader(
        mut pieces in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..40), 0..10)
    ) {
        let total: usize = pieces.iter().map(Vec::len).sum();
        let mut reader = FrameReader::new();
        for piece in &mut pieces {
            let mut packets = reader.packets(piece);
            while let Ok(Some(_)) = packets.next() {}
        }
        prop_assert!(reader.held() <= total);
    }
}
