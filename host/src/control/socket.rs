//! The socket file: made so that nobody else can ever connect, never taken from a living host.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::ControlError;
use super::limits::{GREETING_PATIENCE, PATH_BYTES, REQUEST_BYTES};
use super::lines::{Line, Lines};
use super::protocol::Greeting;

/// Which file a listener has, to remove no other's.
pub(super) type Identity = (u64, u64);

/// Makes the socket file, mode 0600, in place of what a killed host left behind.
///
/// It is bound inside a new folder that only its owner can enter and renamed into place when its mode
/// is right, so at no moment can another user connect, whatever the umask. That two hosts start at
/// once on one home is kept apart by the home's lock, not here.
pub(super) fn bind(path: &Path) -> Result<(UnixListener, Identity), ControlError> {
    let system = |what| move |why| ControlError::System { path: path.to_owned(), what, why };
    refuse_a_living_one(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = tempfile::Builder::new()
        .prefix(".control-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(folder)
        .map_err(system("make the control socket beside it"))?;
    let made = private.path().join("s");
    let listener = with_short_path(&made, |short| UnixListener::bind(short)).map_err(system("bind a socket"))?;
    fs::set_permissions(&made, Permissions::from_mode(0o600)).map_err(system("set mode 0600"))?;
    let found = fs::symlink_metadata(&made).map_err(system("look"))?;
    fs::rename(&made, path).map_err(system("put the control socket into place"))?;
    Ok((listener, (found.dev(), found.ino())))
}

/// Removes the socket file, if it is still this one.
pub(super) fn remove(path: &Path, identity: Identity) {
    if fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == identity) {
        // What cannot be removed is found stale and replaced by the next host.
        let _ = fs::remove_file(path);
    }
}

/// Connects to a socket file.
pub(super) fn connect(path: &Path) -> Result<UnixStream, ControlError> {
    with_short_path(path, |short| UnixStream::connect(short)).map_err(|why| match why.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NotRunning { socket: path.to_owned() }
        }
        _ => ControlError::System { path: path.to_owned(), what: "connect", why },
    })
}

fn refuse_a_living_one(path: &Path) -> Result<(), ControlError> {
    let socket = || path.to_owned();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(ControlError::System { path: socket(), what: "look", why }),
        Ok(found) if !found.file_type().is_socket() => return Err(ControlError::NoSocket { path: socket() }),
        Ok(_) => {}
    }
    match connect(path) {
        Err(ControlError::NotRunning { .. }) => Ok(()),
        Err(other) => Err(other),
        Ok(stream) => {
            // Somebody listens: it is alive even if it is too busy to greet.
            let line = Lines::new(stream).next(REQUEST_BYTES, Some(Instant::now() + GREETING_PATIENCE));
            let pid = match line {
                Ok(Line::Whole(line)) => serde_json::from_slice::<Greeting>(&line).map_or(0, |greeting| greeting.pid),
                _ => 0,
            };
            Err(ControlError::Live { socket: socket(), pid })
        }
    }
}

/// Runs `act` on a path short enough for a socket address: the path itself, or the same file through
/// a descriptor of its folder.
fn with_short_path<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= PATH_BYTES {
        return act(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return act(path) };
    let folder = File::open(folder)?;
    act(&PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}
