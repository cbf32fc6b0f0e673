//! Signatures made in an event that is run more than once.
//!
//! ECDSA draws a random number for each signature, so two builds that sign the same text would differ in
//! nothing but that. What one run has signed, the next is given again.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Signatures by who signs (`None`: the agent) and the text's hash.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Signed(BTreeMap<(Option<String>, [u8; 32]), ByteBuf>);

impl Signed {
    /// The signature of this text, made by `sign` where it is not known.
    ///
    /// # Errors
    /// Those of `sign`.
    pub fn or_sign<E>(
        &mut self,
        user: Option<&str>,
        text: &[u8],
        sign: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let key = (user.map(str::to_owned), Sha256::digest(text).into());
        if let Some(known) = self.0.get(&key) {
            return Ok(known.to_vec());
        }
        let signature = sign()?;
        self.0.insert(key, ByteBuf::from(signature.clone()));
        Ok(signature)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_same_text_of_the_same_signer_has_one_signature() {
        let mut signed = Signed::default();
        let mut made = 0_u8;
        let mut sign = |user: Option<&str>, text: &[u8]| {
            signed.or_sign(user, text, || {
                made += 1;
                Ok::<_, ()>(vec![made])
            })
        };
        assert_eq!(sign(None, b"a").unwrap(), [1]);
        assert_eq!(sign(Some("bob"), b"a").unwrap(), [2]);
        assert_eq!(sign(None, b"b").unwrap(), [3]);
        assert_eq!(sign(None, b"a").unwrap(), [1]);
    }

    #[test]
    fn what_could_not_be_signed_is_tried_again() {
        let mut signed = Signed::default();
        assert_eq!(signed.or_sign(None, b"a", || Err("no")), Err("no"));
        assert_eq!(signed.or_sign(None, b"a", || Ok::<_, &str>(vec![1])), Ok(vec![1]));
    }
}
