//! Signatures of JSON Web Tokens, verified by `ring`: what jsonwebtoken brings itself would be a second set of cryptography.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::{digest, hmac, signature};

static RING: CryptoProvider =
    CryptoProvider { signer_factory: sign, verifier_factory: verify, key_utils: KeyUtils::new_unimplemented() };

/// Makes this what jsonwebtoken verifies with, in the whole process.
pub(super) fn install() {
    // Not for the first time: it is there.
    let _ = RING.install_default();
}

/// Papcast makes no such tokens.
fn sign(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verify(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if !matches!(algorithm, Algorithm::HS256 | Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
        return Err(ErrorKind::UnsupportedAlgorithm.into());
    }
    Ok(Box::new(Check { algorithm: *algorithm, key: key.clone() }))
}

/// Shortest key of RSA in bytes, with what DER puts around the modulus: `ring` takes 2,048 to 8,192 bits.
const RSA_SHORTEST: usize = 256;

/// Whether a key is one of its algorithm, as far as its length tells.
pub(super) fn is_usable(algorithm: Algorithm, key: &DecodingKey) -> bool {
    let Ok(key) = key.try_get_as_bytes() else { return false };
    match algorithm {
        Algorithm::RS256 => key.len() > RSA_SHORTEST,
        // An uncompressed point.
        Algorithm::ES256 => key.len() == 65 && key[0] == 4,
        Algorithm::EdDSA => key.len() == 32,
        Algorithm::HS256 => true,
        _ => false,
    }
}

/// What a key is known by: SHA-256 of it and of what it is for.
pub(super) fn fingerprint(algorithm: Algorithm, key: &DecodingKey) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(format!("{algorithm:?} ").as_bytes());
    context.update(key.try_get_as_bytes().unwrap_or_default());
    let mut print = [0; 32];
    print.copy_from_slice(context.finish().as_ref());
    print
}

/// An RSA key as `ring` takes it: `RSAPublicKey` in DER (RFC 8017 §A.1.1).
pub(super) fn rsa_der(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let both = [der(INTEGER, &positive(modulus)), der(INTEGER, &positive(exponent))].concat();
    der(SEQUENCE, &both)
}

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// Without zeros at its beginning, but for the one that says that it is not negative.
fn positive(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    let sign: &[u8] = if digits.first().is_none_or(|first| first & 0x80 != 0) { &[0] } else { &[] };
    [sign, digits].concat()
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let length = match digits.as_slice() {
        [] => vec![0],
        [short] if *short < 0x80 => vec![*short],
        long => [&[0x80 | long.len() as u8], long].concat(),
    };
    [&[tag][..], &length, content].concat()
}

struct Check {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl ::signature::Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> std::result::Result<(), ::signature::Error> {
        let key = self.key.try_get_as_bytes().map_err(|_| ::signature::Error::new())?;
        let by: &dyn signature::VerificationAlgorithm = match self.algorithm {
            Algorithm::HS256 => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, key);
                return hmac::verify(&secret, message, given).map_err(|_| ::signature::Error::new());
            }
            Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDSA => &signature::ED25519,
            _ => return Err(::signature::Error::new()),
        };
        let verified = signature::UnparsedPublicKey::new(by, key).verify(message, given);
        verified.map_err(|_| ::signature::Error::new())
    }
}
