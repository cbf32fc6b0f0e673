//! The process of a plugin: this very program, started with a hidden argument.
//!
//! It lowers its own limits, is handed its two channels, loads the library as the host would, and serves until its
//! host ends it or has gone. One channel is for events, the other for signature checks named beforehand, which go on
//! meanwhile.

use super::channel::Channel;
use super::remote::{Remote, end, orphaned};
use super::words::{Parts, order, word};
use crate::plugin::Plugin;
use crate::plugin::error::Refusal;
use crate::plugin::loaded::{Build, LoadedPlugin};
use crate::plugin::open::{map, module, read_manifest};
use crate::plugin::probe::Stage;
use crate::plugin::read::BuildHash;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Resource, Rlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use tallyho_plugin::Fault;
use tallyho_plugin::abi::AbiStamp;
use tallyho_plugin::context::to_cbor;
use tallyho_plugin::record::Timestamp;

/// The hidden argument that makes the host's program the process of a plugin.
pub const PROCESS_ARGUMENT: &str = "__plugin-process";

/// What the process is to load, and with how much.
struct Wanted {
    copy: PathBuf,
    header_symbol: String,
    minor: u32,
    memory: u64,
}

/// Serves as a plugin's process and exits, if the program was started as one; call it early in `main`.
pub fn run_process_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == PROCESS_ARGUMENT) {
        match wanted(arguments) {
            Some(wanted) => serve(&wanted),
            None => std::process::exit(2),
        }
    }
}

fn wanted(mut arguments: impl Iterator<Item = OsString>) -> Option<Wanted> {
    let copy = arguments.next()?.into();
    let mut word = || arguments.next()?.into_string().ok();
    Some(Wanted { copy, header_symbol: word()?, minor: word()?.parse().ok()?, memory: word()?.parse().ok()? })
}

fn serve(wanted: &Wanted) -> ! {
    lower_limits(wanted.memory);
    outlive_requests();
    let channels = received().and_then(|(events, checks)| Ok((Channel::new(events)?, Channel::new(checks)?)));
    let Ok((mut events, checks)) = channels else { orphaned() };
    // Before the library's code runs: it may loop, and must not outlive its host.
    let Ok(()) = events.socket().and_then(watch) else { orphaned() };
    let plugin = match load(wanted, &mut events) {
        Ok(plugin) => Arc::new(plugin),
        Err(refusal) => {
            tell(&mut events, word::REFUSED, &serde_json::to_vec(&refusal).unwrap_or_default());
            std::process::exit(0)
        }
    };
    let own = Arc::clone(&plugin);
    let naming = thread::Builder::new().name("checks".to_owned()).spawn(move || name_checks(checks, &own));
    let Ok(_) = naming else { orphaned() };
    let manifest = to_cbor(plugin.manifest()).unwrap_or_default();
    tell(&mut events, word::READY, &manifest);
    handle_events(events, &plugin)
}

/// No core file, which a crash would fill the disk with, and no more memory than allowed. Where the system runs out of
/// it all the same, it is to end this process rather than the host.
fn lower_limits(memory: u64) {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = setrlimit(Resource::As, Rlimit { current: Some(memory), maximum: Some(memory) });
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

/// Whoever asks the site to end asks all its processes, as systemd does; but this one is needed until the host has
/// finished what has begun.
fn outlive_requests() {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        // A flag that nobody looks at, in place of the end.
        let _ = signal_hook::flag::register(signal, Arc::default());
    }
}

/// The channels for events and for checks, handed over through standard input.
fn received() -> io::Result<(UnixStream, UnixStream)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(io::stdin().as_fd(), &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = ancillary
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<OwnedFd>>(),
            _ => Vec::new(),
        })
        .map(UnixStream::from);
    let missing = || io::Error::other("no channel was handed over");
    Ok((sockets.next().ok_or_else(missing)?, sockets.next().ok_or_else(missing)?))
}

/// Ends this process when the host's end of the channel has gone, whatever the plugin is doing.
fn watch(socket: UnixStream) -> io::Result<()> {
    let watching = move || {
        loop {
            // Nothing is asked for: what is told all the same is that the other end has gone.
            let mut socket = [PollFd::new(&socket, PollFlags::empty())];
            match poll(&mut socket, None) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                _ => orphaned(),
            }
        }
    };
    thread::Builder::new().name("host".to_owned()).spawn(watching).map(drop)
}

/// The host's own way to a handler, without its probe: this is a process that may end.
fn load(wanted: &Wanted, events: &mut Channel) -> Result<LoadedPlugin, Refusal> {
    let stamp = AbiStamp { minor: wanted.minor, ..AbiStamp::of_this_build(true) };
    // Both ends take turns: each stage is heard before it begins.
    let mut now = |stage: Stage| {
        tell(events, word::NOW, &serde_json::to_vec(&stage).unwrap_or_default());
        if events.receive(None).is_err() {
            orphaned();
        }
    };
    now(Stage::Opening);
    let library = map(&wanted.copy)?;
    now(Stage::Checking);
    let module = module(&library, &wanted.header_symbol, &stamp)?;
    now(Stage::Manifest);
    let manifest = read_manifest(module)?;
    now(Stage::Creating);
    // Hash and size are the host's to know.
    let build = Build { hash: BuildHash([0; 32]), module, manifest, copy: wanted.copy.clone(), bytes: 0 };
    LoadedPlugin::create(Arc::new(build), Path::new(&wanted.copy), None)
}

fn tell(channel: &mut Channel, word: u8, text: &[u8]) {
    let sent = channel.send(None, |out| {
        out.push(word);
        out.extend_from_slice(text);
    });
    if sent.is_err() {
        orphaned();
    }
}

fn handle_events(mut channel: Channel, plugin: &LoadedPlugin) -> ! {
    loop {
        let Ok(()) = channel.receive(None) else { orphaned() };
        let mut frame = Parts(channel.frame());
        // What is copied here is the handler's to read, while the channel carries its calls.
        let (ordered, now) = (frame.byte(), frame.number().map(Timestamp));
        let (Ok(ordered), Ok(now)) = (ordered, now) else { orphaned() };
        let result = match ordered {
            order::HANDLE => {
                let (Ok(header), Ok(body)) = (frame.part(), frame.part()) else { orphaned() };
                let (header, body) = (header.to_vec(), body.to_vec());
                let mut services = Remote::new(&mut channel, now);
                let result = plugin.handle_bytes(&header, &body, &mut services);
                services.end(result)
            }
            order::MIGRATE => {
                let Ok(from) = frame.number() else { orphaned() };
                let mut services = Remote::new(&mut channel, now);
                let from = u32::try_from(from).unwrap_or_default();
                let result = plugin.migrate(from, &mut services).map(|()| Vec::new());
                services.end(result)
            }
            _ => orphaned(),
        };
        if result.is_err() {
            orphaned();
        }
    }
}

fn name_checks(mut channel: Channel, plugin: &LoadedPlugin) -> ! {
    loop {
        let Ok(()) = channel.receive(None) else { orphaned() };
        let mut frame = Parts(channel.frame());
        let checks = match (frame.byte(), frame.part(), frame.part()) {
            (Ok(order::PREPARE), Ok(header), Ok(body)) => plugin.prepare_bytes(header, body),
            _ => Err(Fault::host("no event whose checks could be named")),
        };
        if end(&mut channel, &[], checks).is_err() {
            orphaned();
        }
    }
}
