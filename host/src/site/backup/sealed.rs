//! A stream of bytes under a key that is used for it alone: chunks of ChaCha20-Poly1305 in the STREAM construction
//! (Hoang, Reyhanitabar, Rogaway and Vizár 2015), each with its number and a mark on the last. So it can be written and
//! read without holding it whole, and no chunk can be altered, left out, moved or cut off unnoticed.

use chacha20poly1305::aead::stream::{DecryptorBE32, EncryptorBE32};
use chacha20poly1305::{ChaCha20Poly1305, Key};
use std::io::{self, ErrorKind, Read, Write};
use zeroize::Zeroizing;

/// Bytes of a chunk that is not the last.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// A sealed one has a tag besides.
const SEALED_BYTES: usize = CHUNK_BYTES + 16;
/// The key is new for each stream, so what else makes a nonce unique need not be.
const PREFIX: [u8; 7] = [0; 7];

/// Key bytes.
pub const KEY_BYTES: usize = 32;

/// Seals what is written to it. It is whole only once [finished](Self::finish).
pub struct Sealer<W> {
    to: W,
    stream: EncryptorBE32<ChaCha20Poly1305>,
    chunk: Zeroizing<Vec<u8>>,
}

impl<W: Write> Sealer<W> {
    /// Under this key, which must never have been used.
    pub fn new(to: W, key: &[u8; KEY_BYTES]) -> Self {
        let stream = EncryptorBE32::new(Key::from_slice(key), &PREFIX.into());
        Sealer { to, stream, chunk: Zeroizing::new(Vec::with_capacity(SEALED_BYTES)) }
    }

    /// Seals the last chunk.
    ///
    /// # Errors
    /// Those of what it is written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.stream.encrypt_last_in_place(b"", &mut *self.chunk).map_err(|_| too_long())?;
        self.to.write_all(&self.chunk)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only now is it known that this chunk is not the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.stream.encrypt_next_in_place(b"", &mut *self.chunk).map_err(|_| too_long())?;
            let written = self.to.write_all(&self.chunk);
            // Also where it was not: whoever goes on after a fault fills another one.
            self.chunk.clear();
            written?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// A chunk that is not full yet stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads what was sealed. What it gives out is authentic; that nothing is missing is known at its end.
pub struct Unsealer<R> {
    from: R,
    state: State,
    chunk: Zeroizing<Vec<u8>>,
    /// How much of the chunk has been given out.
    given: usize,
    /// The byte after it, read to see whether it is the last.
    next: Option<u8>,
}

enum State {
    More(DecryptorBE32<ChaCha20Poly1305>),
    /// The last chunk has been read.
    Whole,
    Altered,
}

impl<R: Read> Unsealer<R> {
    /// Under this key.
    pub fn new(from: R, key: &[u8; KEY_BYTES]) -> Self {
        let state = State::More(DecryptorBE32::new(Key::from_slice(key), &PREFIX.into()));
        let chunk = Zeroizing::new(Vec::with_capacity(SEALED_BYTES + 1));
        Unsealer { from, state, chunk, given: 0, next: None }
    }

    /// Reads the next chunk; at the end there is none.
    fn fill(&mut self) -> io::Result<()> {
        self.given = 0;
        self.chunk.clear();
        let State::More(mut stream) = std::mem::replace(&mut self.state, State::Altered) else { return Err(altered()) };
        self.chunk.extend(self.next.take());
        let wanted = (SEALED_BYTES + 1 - self.chunk.len()) as u64;
        let read = (&mut self.from).take(wanted).read_to_end(&mut self.chunk);
        let opened = match read {
            Err(error) => Err(error),
            Ok(_) if self.chunk.len() > SEALED_BYTES => {
                self.next = self.chunk.pop();
                let opened = stream.decrypt_next_in_place(b"", &mut *self.chunk).map_err(|_| altered());
                opened.map(|()| State::More(stream))
            }
            Ok(_) => stream.decrypt_last_in_place(b"", &mut *self.chunk).map_err(|_| altered()).map(|()| State::Whole),
        };
        // What did not open is given to nobody.
        self.state = opened.inspect_err(|_| self.chunk.clear())?;
        Ok(())
    }
}

impl<R: Read> Read for Unsealer<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.chunk.len() && !buffer.is_empty() {
            match self.state {
                State::More(_) => self.fill()?,
                State::Whole => return Ok(0),
                State::Altered => return Err(altered()),
            }
        }
        let left = &self.chunk[self.given..];
        let taken = left.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&left[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

fn altered() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it was altered, or a part of it is missing")
}

/// More than 2^32 chunks, which are 256 TiB.
fn too_long() -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, "it is too long to be sealed")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: [u8; KEY_BYTES] = [5; KEY_BYTES];

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), &KEY);
        sealer.write_all(plain).unwrap();
        sealer.finish().unwrap()
    }

    fn opened(sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Unsealer::new(sealed, &KEY).read_to_end(&mut plain).map(|_| plain)
    }

    fn plain(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at / 7 % 251) as u8).collect()
    }

    #[test]
    fn what_was_sealed_comes_back_whatever_its_length() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5] {
            let plain = plain(length);
            let sealed = sealed(&plain);
            assert_eq!(sealed.len(), length + 16 * length.div_ceil(CHUNK_BYTES).max(1), "{length}");
            assert!(opened(&sealed).unwrap() == plain, "{length}");
        }
    }

    #[test]
    fn any_chacha20_poly1305_opens_it_by_the_description_of_the_form() {
        use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
        let plain = plain(2 * CHUNK_BYTES + 3);
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &KEY).unwrap());
        let mut opened = Vec::new();
        for (number, chunk) in sealed(&plain).chunks(SEALED_BYTES).enumerate() {
            let mut nonce = [0; 12];
            nonce[7..11].copy_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
            nonce[11] = u8::from(number == 2);
            let mut chunk = chunk.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            opened.extend_from_slice(key.open_in_place(nonce, Aad::empty(), &mut chunk).unwrap());
        }
        assert!(opened == plain);
    }

    #[test]
    fn who_writes_on_after_a_fault_is_told_of_the_next() {
        let mut full = [0; SEALED_BYTES + 10];
        let mut sealer = Sealer::new(&mut full[..], &KEY);
        let plain = plain(CHUNK_BYTES);
        sealer.write_all(&plain).unwrap();
        sealer.write_all(&plain).unwrap();
        let written: Vec<io::Result<()>> = (0..4).map(|_| sealer.write_all(&plain)).collect();
        assert!(written.iter().filter(|written| written.is_err()).count() >= 2, "{written:?}");
        assert!(sealer.finish().is_err());
    }

    #[test]
    fn who_reads_on_after_a_fault_is_not_told_that_it_has_ended() {
        let whole = sealed(&plain(2 * CHUNK_BYTES));
        let mut unsealer = Unsealer::new(&whole[..SEALED_BYTES + 30], &KEY);
        let mut plain = vec![0; CHUNK_BYTES];
        unsealer.read_exact(&mut plain).unwrap();
        for _ in 0..2 {
            assert_eq!(unsealer.read(&mut plain).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }

    #[test]
    fn nothing_can_be_altered_left_out_moved_cut_off_or_added() {
        let whole = sealed(&plain(3 * CHUNK_BYTES + 5));
        let refused = |bytes: &[u8]| opened(bytes).unwrap_err().kind() == ErrorKind::InvalidData;
        for at in [0, CHUNK_BYTES, SEALED_BYTES, 2 * SEALED_BYTES + 9, whole.len() - 1] {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(refused(&altered), "{at}");
        }
        for length in [0, 15, 16, SEALED_BYTES - 1, SEALED_BYTES, 3 * SEALED_BYTES, whole.len() - 1] {
            assert!(refused(&whole[..length]), "cut off at {length}");
        }
        let (one, two) = (&whole[..SEALED_BYTES], &whole[SEALED_BYTES..2 * SEALED_BYTES]);
        let rest = &whole[2 * SEALED_BYTES..];
        assert!(refused(&[two, one, rest].concat()), "moved");
        assert!(refused(&[one, rest].concat()), "left out");
        assert!(refused(&[whole.as_slice(), b"x"].concat()), "added");
        let last = &whole[3 * SEALED_BYTES..];
        assert!(refused(&[whole.as_slice(), last].concat()), "repeated");
    }
}
