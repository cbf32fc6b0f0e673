#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn pair() -> (Channel, Channel) {
    let (one, other) = UnixStream::pair().unwrap();
    (Channel::new(one).unwrap(), Channel::new(other).unwrap())
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(50))
}

#[test]
fn frames_of_any_size_cross_one_after_another() {
    let (mut here, mut there) = pair();
    let echo = thread::spawn(move || {
        while there.receive(None).is_ok() {
            let frame = there.frame().to_vec();
            there.send(None, |out| out.extend_from_slice(&frame)).unwrap();
        }
    });
    for length in [0, 1, 600, FRAME_ROOM - HEAD, FRAME_ROOM, 1 << 20, 5, MAX_FRAME] {
        let bytes = vec![(length % 251) as u8; length];
        here.send(None, |out| out.extend_from_slice(&bytes)).unwrap();
        here.receive(None).unwrap();
        assert!(here.frame() == bytes, "{length}");
    }
    assert!(matches!(here.send(None, |out| out.resize(MAX_FRAME + 99, 0)), Err(Broken::Bad(_))));
    drop(here);
    echo.join().unwrap();
}

#[test]
fn a_length_beyond_the_bound_is_refused_before_anything_is_read() {
    let (mut here, there) = pair();
    (&there.socket).write_all(&u32::MAX.to_le_bytes()).unwrap();
    let error = here.receive(soon()).unwrap_err();
    assert!(matches!(error, Broken::Bad(_)), "{error}");
    assert_eq!(here.inbox.len(), FRAME_ROOM);
}

#[test]
fn a_large_length_takes_no_memory_until_the_bytes_come() {
    let (mut here, there) = pair();
    (&there.socket).write_all(&(MAX_FRAME as u32).to_le_bytes()).unwrap();
    assert!(matches!(here.receive(soon()), Err(Broken::Late)));
    assert_eq!(here.inbox.len(), FRAME_ROOM);
}

#[test]
fn an_end_that_has_gone_is_not_waited_for() {
    let (mut here, there) = pair();
    (&there.socket).write_all(&[9, 0, 0, 0, 1]).unwrap();
    drop(there);
    assert!(matches!(here.receive(None), Err(Broken::Closed)));
    assert!(matches!(here.send(None, |out| out.push(1)), Err(Broken::Closed)));
}

#[test]
fn an_end_that_reads_nothing_is_not_waited_for_either() {
    let (mut here, _there) = pair();
    assert!(matches!(here.send(soon(), |out| out.resize(8 << 20, 0)), Err(Broken::Late)));
}

proptest! {
    #[test]
    fn whatever_comes_is_one_frame_or_a_fault(bytes: Vec<u8>) {
        let (mut here, there) = pair();
        (&there.socket).write_all(&bytes).unwrap();
        drop(there);
        match here.receive(None) {
            Ok(()) => prop_assert_eq!(here.frame(), &bytes[HEAD..]),
            Err(error) => prop_assert!(matches!(error, Broken::Closed | Broken::Bad(_)), "{}", error),
        }
    }
}
