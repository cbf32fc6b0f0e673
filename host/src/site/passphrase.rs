//! A passphrase from a terminal or a file descriptor: never from an argument, which every user of the
//! machine can read in the list of processes.

use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use zeroize::Zeroizing;

use super::limits::{PASSPHRASE_MAX, PASSPHRASE_MIN};

/// Why there is no passphrase. The operator's to mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing came.
    #[error("the passphrase is empty; type it, or give --passphrase-fd a descriptor with one line")]
    Empty,
    /// More came than a passphrase has.
    #[error("the passphrase is longer than {PASSPHRASE_MAX} bytes; is it the right file?")]
    Long,
    /// Too weak to protect keys.
    #[error("the passphrase has {0} bytes: expected {PASSPHRASE_MIN} or more, such as five words drawn by dice")]
    Short(usize),
    /// The second one differs.
    #[error("the two passphrases differ; type the same one twice")]
    Differ,
    /// Not text.
    #[error("the passphrase is no UTF-8 text")]
    NoText,
    /// No terminal to ask on.
    #[error(
        "there is no terminal to ask on; give a file descriptor to read it from, for example --passphrase-fd 3 3< FILE"
    )]
    NoTerminal,
    /// The system refused.
    #[error("the passphrase cannot be read: {0}")]
    System(#[from] io::Error),
}

/// Reads one line, without its end mark, and nothing beyond it.
///
/// # Errors
/// [`PassphraseError`].
pub fn read(source: &mut dyn Read) -> Result<Zeroizing<String>, PassphraseError> {
    // Room for all of it from the start: growing would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(PASSPHRASE_MAX + 1));
    let mut byte = Zeroizing::new([0_u8]);
    while source.read(&mut *byte)? == 1 && byte[0] != b'\n' {
        if line.len() > PASSPHRASE_MAX {
            return Err(PassphraseError::Long);
        }
        line.push(byte[0]);
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match std::str::from_utf8(&line) {
        Ok("") => Err(PassphraseError::Empty),
        Ok(text) if text.len() > PASSPHRASE_MAX => Err(PassphraseError::Long),
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(PassphraseError::NoText),
    }
}

/// Whether a passphrase is fit to protect what is written with it.
///
/// # Errors
/// [`PassphraseError::Short`].
pub fn check_new(passphrase: &str) -> Result<(), PassphraseError> {
    if passphrase.len() < PASSPHRASE_MIN { Err(PassphraseError::Short(passphrase.len())) } else { Ok(()) }
}

/// The terminal of this process, whatever its standard input is.
///
/// # Errors
/// [`PassphraseError::NoTerminal`].
pub fn terminal() -> Result<File, PassphraseError> {
    File::options().read(true).write(true).open("/dev/tty").map_err(|_| PassphraseError::NoTerminal)
}

/// Asks on a terminal, without showing what is typed.
///
/// # Errors
/// [`PassphraseError`].
pub fn ask(terminal: &File, prompt: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let _silence = Silence::of(terminal)?;
    let (mut source, mut sink) = (terminal, terminal);
    write!(sink, "{prompt}: ")?;
    let answer = read(&mut source);
    writeln!(sink)?; // the one typed was not shown
    answer
}

/// Asks for a new passphrase, twice.
///
/// # Errors
/// [`PassphraseError`].
pub fn ask_new(terminal: &File) -> Result<Zeroizing<String>, PassphraseError> {
    let first = ask(terminal, "New passphrase")?;
    check_new(&first)?;
    let second = ask(terminal, "The same again")?;
    if first == second { Ok(first) } else { Err(PassphraseError::Differ) }
}

/// A terminal that shows nothing of what is typed, until dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn of(terminal: &'a File) -> Result<Self, PassphraseError> {
        if !isatty(terminal.as_fd()) {
            return Err(PassphraseError::NoTerminal);
        }
        let before = tcgetattr(terminal).map_err(io::Error::from)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // What was typed ahead was shown, so it is no secret: thrown away.
        tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(io::Error::from)?;
        Ok(Silence { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that has gone away needs no restoring.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::os::unix::ffi::OsStrExt;

    fn read_bytes(mut bytes: &[u8]) -> Result<String, PassphraseError> {
        read(&mut bytes).map(|text| text.to_string())
    }

    #[test]
    fn one_line_is_read_and_nothing_beyond_it() {
        let mut source: &[u8] = b"correct horse\nand more";
        assert_eq!(read(&mut source).unwrap().as_str(), "correct horse");
        assert_eq!(source, b"and more");
        assert_eq!(read_bytes(b"no end mark").unwrap(), "no end mark");
        assert_eq!(read_bytes(b"from a dos file\r\n").unwrap(), "from a dos file");
        assert_eq!(read_bytes("  blanks and \u{fc} count ".as_bytes()).unwrap(), "  blanks and \u{fc} count ");
    }

    #[test]
    fn what_is_no_passphrase_is_refused() {
        assert!(matches!(read_bytes(b""), Err(PassphraseError::Empty)));
        assert!(matches!(read_bytes(b"\r\nx"), Err(PassphraseError::Empty)));
        assert!(matches!(read_bytes(&[0xff, b'\n']), Err(PassphraseError::NoText)));
        assert_eq!(read_bytes(&[b'x'; PASSPHRASE_MAX]).unwrap().len(), PASSPHRASE_MAX);
        assert!(matches!(read_bytes(&[b'x'; PASSPHRASE_MAX + 1]), Err(PassphraseError::Long)));
        assert!(matches!(read(&mut io::repeat(b'x')), Err(PassphraseError::Long)), "a stream without end ends");
        assert!(matches!(check_new("1234567"), Err(PassphraseError::Short(7))));
        check_new("12345678").unwrap();
    }

    #[test]
    fn a_file_is_no_terminal() {
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(ask(&file, "Passphrase"), Err(PassphraseError::NoTerminal)));
    }

    /// A terminal, and the keyboard and screen of whoever sits at it.
    fn pair() -> (File, File) {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        use std::os::unix::fs::OpenOptionsExt;
        let flags = i32::try_from(OpenptFlags::NOCTTY.bits()).unwrap();
        (File::options().read(true).write(true).custom_flags(flags).open(path).unwrap(), File::from(person))
    }

    /// What the screen shows until `end` stands there.
    fn seen(person: &mut File, end: &str) -> String {
        let mut shown = Vec::new();
        while !shown.ends_with(end.as_bytes()) {
            let mut byte = [0];
            person.read_exact(&mut byte).unwrap();
            shown.push(byte[0]);
        }
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn what_is_typed_on_a_terminal_is_not_shown_and_the_terminal_is_restored() {
        let (terminal, mut person) = pair();
        let echo = |terminal: &File| tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO);
        assert!(echo(&terminal));
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask_new(&terminal));
            assert_eq!(seen(&mut person, ": "), "New passphrase: ");
            person.write_all(b"correct horse\n").unwrap();
            assert_eq!(seen(&mut person, ": "), "\r\nThe same again: ");
            person.write_all(b"correct horse\n").unwrap();
            assert_eq!(asking.join().unwrap().unwrap().as_str(), "correct horse");
        });
        assert!(echo(&terminal));
    }

    #[test]
    fn a_new_passphrase_must_be_typed_the_same_twice() {
        let (terminal, mut person) = pair();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask_new(&terminal));
            seen(&mut person, ": ");
            person.write_all(b"correct horse\n").unwrap();
            seen(&mut person, ": ");
            person.write_all(b"another horse\n").unwrap();
            assert!(matches!(asking.join().unwrap(), Err(PassphraseError::Differ)));
        });
    }
}
