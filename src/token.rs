//! Tokens: what devices, initiators and operators sign in with. They are random, so a fast keyed hash of them is enough to
//! store: a slow one, as for passwords that people choose, would take minutes when a fleet reconnects.
//!
//! `ring` makes and hashes them: it is what TLS needs as well, and one library for cryptography is enough.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::caller::Kind;

/// Random bytes of a token: 192 bits.
const BYTES: usize = 24;
/// Bytes of a key.
const KEY: usize = 32;

/// A token as it is shown, this once.
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The system has no random numbers.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

impl Token {
    /// What it begins with says what it is for, to people and to scanners that look for secrets in what is published.
    pub fn new(kind: Kind) -> Result<Self, NoRandom> {
        Ok(Self(format!("pc{}_{}", &kind.name()[..1], random_text()?)))
    }

    /// The text itself, for the one who asked for it.
    #[must_use]
    pub fn reveal(self) -> String {
        self.0
    }
}

/// A secret that is made for a while, such as a session's.
pub fn random_text() -> Result<String, NoRandom> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256 of such a secret: enough to know it again by, and a look-up of it tells nothing by its time.
#[must_use]
pub fn digest(secret: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, secret).as_ref());
    hash
}

/// Hashes tokens with the key of a store.
pub struct Hasher(hmac::Key);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher(…)")
    }
}

/// HMAC-SHA-256 of a token.
pub type Hash = [u8; 32];

impl Hasher {
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A key for a new store.
    pub fn new_key() -> Result<Vec<u8>, NoRandom> {
        let mut key = vec![0; KEY];
        SystemRandom::new().fill(&mut key).map_err(|_| NoRandom)?;
        Ok(key)
    }

    /// Whoever does not know the key cannot tell what a token hashes to, so the look-up of a hash tells nothing by its time.
    #[must_use]
    pub fn hash(&self, token: &[u8]) -> Hash {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.0, token).as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_random_and_not_shown() {
        let (one, other) = (Token::new(Kind::Device).unwrap(), Token::new(Kind::Device).unwrap());
        assert_eq!(format!("{one:?}"), "Token(…)");
        let (one, other) = (one.reveal(), other.reveal());
        assert_ne!(one, other);
        assert!(one.starts_with("pcd_") && one.len() == 4 + 32, "{one}");
        assert!(Token::new(Kind::Operator).unwrap().reveal().starts_with("pco_"));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_hash_is_hmac_sha_256() {
        let hash = Hasher::new(b"Jefe").hash(b"what do ya want for nothing?");
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
