//! Reading a library once: it is copied first, and what is checked, hashed, probed and mapped is the copy.

use crate::plugin::error::Refusal;
use crate::plugin::limits::{MAX_LIBRARY_BYTES, READING_ROOM};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{File, FileType, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// SHA-256 of the part of a library that is loaded: which build it is. (Debug information, say, makes no other build.)
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildHash(pub [u8; 32]);

impl fmt::Display for BuildHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What tells a file from the one that had its name before, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    /// Device and inode.
    place: (u64, u64),
    /// Size in bytes.
    size: u64,
    /// When its content changed last: seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

impl FileStamp {
    /// The stamp of the file of this name; `None` where there is none that can be looked at.
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| FileStamp::new(&metadata))
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn new(metadata: &Metadata) -> Self {
        FileStamp {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A library's file, open.
pub struct LibraryFile {
    /// At its beginning.
    pub file: File,
    /// Which file.
    pub stamp: FileStamp,
}

/// Opens a library's file. Waits for nobody: a FIFO or device is refused at once.
///
/// # Errors
/// [`Refusal::Unreadable`], [`Refusal::NotAFile`], [`Refusal::TooLarge`].
pub fn open_library(path: &Path) -> Result<LibraryFile, Refusal> {
    let unreadable = |error: std::io::Error| Refusal::Unreadable(error.to_string());
    // NONBLOCK: opening a FIFO for reading would otherwise wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::NXIO) => return Err(Refusal::NotAFile("a socket or device".into())),
        Err(error) => return Err(unreadable(error.into())),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Refusal::NotAFile(kind_in_words(metadata.file_type()).into()));
    }
    if metadata.len() > MAX_LIBRARY_BYTES {
        return Err(Refusal::TooLarge { found: metadata.len(), most: MAX_LIBRARY_BYTES });
    }
    Ok(LibraryFile { file, stamp: FileStamp::new(&metadata) })
}

/// Reads the private copy of what is loaded of a library, which nobody changes any more.
///
/// # Errors
/// [`Refusal::Unreadable`], [`Refusal::TooLarge`].
pub fn read_library(copy: &Path) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::with_capacity(READING_ROOM);
    File::open(copy)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| Refusal::Unreadable(error.to_string()))?;
    match bytes.len() as u64 {
        // The file may have grown since it was opened.
        found if found > MAX_LIBRARY_BYTES => Err(Refusal::TooLarge { found, most: MAX_LIBRARY_BYTES }),
        _ => Ok(bytes),
    }
}

/// Which build these bytes are.
pub fn hash(bytes: &[u8]) -> BuildHash {
    BuildHash(Sha256::digest(bytes).into())
}

fn kind_in_words(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
