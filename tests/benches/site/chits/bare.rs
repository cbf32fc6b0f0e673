//! What one chit alone must cost whoever writes the program: a signature, a check, three commits one after another,
//! and a message from each side to the other. Two threads that do nothing else, each waiting for the other.

use super::floor::CORE;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tallyho_plugin::record::keys::KeyKind;
use tallyho_plugin::record::signing::{UserKey, verify_bytes};

/// Bytes of the command, of its answer, and of the messages there and back, as two sites send them.
const COMMAND: usize = 159;
const ANSWER: usize = 367;
const CHIT: usize = 753;
const LINK: usize = 598;

/// Pages of 4 KiB that the three commits of two sites write as a rule; where a table grows by a page, more.
const PAGES: [u64; 3] = [6, 9, 4];
const PAGE: usize = 4_096;

/// A store that commits by overwriting what is there already, by turns.
struct Log {
    file: File,
    next: u64,
}

impl Log {
    const SIZE: u64 = 1_024;

    fn new() -> Self {
        let mut file = tempfile::tempfile().expect("a temporary file can be made");
        file.write_all(&vec![7; Self::SIZE as usize * PAGE]).expect("the disk has room");
        file.sync_all().expect("the disk syncs");
        Log { file, next: 0 }
    }

    fn commit(&mut self, pages: u64) {
        for _ in 0..pages {
            self.file.write_all_at(&[7; PAGE], self.next % Self::SIZE * PAGE as u64).expect("there is room");
            self.next += 1;
        }
        self.file.sync_data().expect("the disk syncs");
    }
}

/// The payer's and the payee's threads, and the way to command the first.
pub struct Bare {
    door: UnixStream,
    sides: Vec<JoinHandle<()>>,
}

impl Bare {
    /// Two sides whose users' keys are of this kind.
    pub fn new(key: &str) -> Self {
        let kind = if key == "p521" { KeyKind::P521 } else { KeyKind::Ed25519 };
        let key = UserKey::generate(kind).expect("there are random bytes");
        let public = key.public().clone();
        let (door, hall) = UnixStream::pair().expect("a pair of sockets can be made");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let there = TcpStream::connect(address).expect("it listens");
        let (here, _) = listener.accept().expect("somebody dials");
        for socket in [&there, &here] {
            socket.set_nodelay(true).expect("the socket is open");
        }
        let signature = key.sign(CORE).expect("the key signs");
        let payer = thread::spawn(move || pay(hall, there, &key));
        let payee = thread::spawn(move || {
            let (mut payer, mut log) = (here, Log::new());
            while took(&mut payer, CHIT) {
                assert!(verify_bytes(&public, CORE, &signature));
                log.commit(PAGES[1]);
                payer.write_all(&[7; LINK]).expect("the payer takes it");
            }
        });
        Bare { door, sides: vec![payer, payee] }
    }

    /// Pays one; how long that takes until both sides have it for good.
    pub fn pay_one(&mut self) -> Duration {
        let begun = Instant::now();
        self.door.write_all(&[7; COMMAND]).expect("the payer takes it");
        // That it is signed and on its way, and that it has been linked.
        assert!(took(&mut self.door, ANSWER) && took(&mut self.door, ANSWER), "the payer is at work");
        begun.elapsed()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // Each ends once the one before it has.
        let _ = self.door.shutdown(std::net::Shutdown::Both);
        for side in self.sides.drain(..) {
            let _ = side.join();
        }
    }
}

fn pay(mut door: UnixStream, mut payee: TcpStream, key: &UserKey) {
    let mut log = Log::new();
    while took(&mut door, COMMAND) {
        assert!(key.sign(CORE).expect("the key signs").len() >= 64);
        log.commit(PAGES[0]);
        payee.write_all(&[7; CHIT]).expect("the payee takes it");
        door.write_all(&[7; ANSWER]).expect("somebody waits");
        assert!(took(&mut payee, LINK), "the payee answers");
        log.commit(PAGES[2]);
        door.write_all(&[7; ANSWER]).expect("somebody waits");
    }
}

/// Whether so many bytes have come; nothing comes from a side that has ended.
fn took(from: &mut impl Read, bytes: usize) -> bool {
    from.read_exact(&mut vec![0; bytes]).is_ok()
}
