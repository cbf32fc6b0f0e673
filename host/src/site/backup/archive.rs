//! What a backup has inside: a tar archive with four files in this order, so that it can be read as it comes. Whoever
//! has the key can take it apart with any tool.
//!
//! | file | what |
//! |---|---|
//! | `backup.json` | whose it is, and when it was made: [`Label`] |
//! | `keys.json` | the private keys, as a JWK set (see [`keys_export`](crate::site::keys_export)) |
//! | `tallyho.toml` | the configuration |
//! | `site.db` | the store |

use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};
use tallyho_plugin::record::AgentId;
use zeroize::Zeroizing;

/// Whose a backup is, and when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The site's agent.
    pub agent: AgentId,
    /// When the store was copied, in the form of the protocol's records.
    pub made: String,
    /// The version of the program that made it.
    pub program: String,
}

/// The files, in their order.
pub const LABEL: &str = "backup.json";
/// See [`LABEL`].
pub const KEYS: &str = "keys.json";
/// See [`LABEL`].
pub const CONFIG: &str = "tallyho.toml";
/// See [`LABEL`].
pub const STORE: &str = "site.db";

/// Writes the files.
pub struct Packer<W: Write>(tar::Builder<W>);

impl<W: Write> Packer<W> {
    /// To this.
    pub fn new(to: W) -> Self {
        Packer(tar::Builder::new(to))
    }

    /// Writes the next file, which has so many bytes.
    ///
    /// # Errors
    /// Those of what it is written to, or read from.
    pub fn add(&mut self, name: &str, bytes: u64, content: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_entry_type(tar::EntryType::Regular);
        self.0.append_data(&mut header, name, content.take(bytes))
    }

    /// Writes the end.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn finish(self) -> io::Result<W> {
        self.0.into_inner()
    }
}

/// Reads an archive: gives each file to `take`, which reads all of it, by name, with its size.
///
/// # Errors
/// Those of `take` and of what it is read from; `InvalidData` where it has other files, or in another order.
pub fn unpack<E: From<io::Error>>(
    from: impl Read,
    mut take: impl FnMut(&str, u64, &mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    let mut archive = tar::Archive::new(from);
    let mut expected = [LABEL, KEYS, CONFIG, STORE].into_iter();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = expected.next().filter(|name| {
            entry.header().entry_type() == tar::EntryType::Regular && entry.path_bytes() == name.as_bytes()
        });
        let Some(name) = name else {
            let found = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            return Err(wrong(&format!("it has an unexpected file {found:?}")).into());
        };
        let size = entry.size();
        take(name, size, &mut entry)?;
    }
    if let Some(missing) = expected.next() {
        return Err(wrong(&format!("it has no {missing}")).into());
    }
    // To the end, where it shows whether it is whole.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

/// Reads a small file into memory that is wiped.
///
/// # Errors
/// Those of reading; `InvalidData` where it has more than `most` bytes.
pub fn small(name: &str, bytes: u64, content: &mut dyn Read, most: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(bytes).ok().filter(|_| bytes <= most);
    let length = length.ok_or_else(|| wrong(&format!("its {name} has {bytes} bytes of at most {most}")))?;
    let mut read = Zeroizing::new(vec![0; length]);
    content.read_exact(&mut read)?;
    Ok(read)
}

/// That it is no archive of this kind.
pub fn wrong(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
