//! JSON Web Tokens (RFC 7519) that somebody else has signed, as credentials of devices. Keys come from files and are read again
//! when those change. jsonwebtoken reads tokens and keys; the signatures are verified by `ring`, which TLS has anyway.

mod signature_check;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::clock;
use crate::config;
use crate::watched_files::Stamps;

/// Longest token in bytes.
pub const LONGEST: usize = 8_192;
/// Keys of all files together.
const MOST_KEYS: usize = 100;
/// Shortest secret of HS256 in bytes (RFC 7518 §3.2).
const SECRET_MIN: usize = 32;

#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {why}", .path.display())]
pub struct Error {
    key: &'static str,
    path: PathBuf,
    why: String,
}

/// What a key is known by.
pub type Fingerprint = [u8; 32];

/// Whom a token names, and until when (seconds since 1970 UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub user: String,
    /// Which key has signed it: see [`Jwt::keys`].
    pub key: Fingerprint,
    pub until: i64,
}

/// Verifies tokens.
#[derive(Debug)]
pub struct Jwt {
    settings: config::Jwt,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    keys: Arc<[Key]>,
    /// When the files changed last.
    stamps: Stamps,
}

/// A key is for one algorithm: a public key can never be taken for a secret.
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    fn fingerprint(&self) -> Fingerprint {
        signature_check::fingerprint(self.algorithm, &self.key)
    }
}

/// Without the key: it may be a secret.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Whether this can be a token of this kind: ours have no dot in them.
#[must_use]
pub fn is_one(token: &[u8]) -> bool {
    token.iter().filter(|byte| **byte == b'.').count() == 2
}

impl Jwt {
    /// None where no keys are configured.
    pub fn load(settings: &config::Jwt) -> Result<Option<Self>, Error> {
        if !settings.is_on() {
            return Ok(None);
        }
        signature_check::install();
        let current = RwLock::new(read(settings)?);
        Ok(Some(Self { settings: settings.clone(), current }))
    }

    /// The keys that verify something.
    #[must_use]
    pub fn keys(&self) -> HashSet<Fingerprint> {
        fingerprints(&self.current.read().unwrap_or_else(PoisonError::into_inner).keys)
    }

    /// Reads the files again; answers the keys that verify nothing any more. Where a file is faulty everything stays as it is.
    pub fn reload(&self) -> Result<Vec<Fingerprint>, Error> {
        let stamps = stamps(&self.settings);
        let fresh = read(&self.settings);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // What was faulty is looked at again when it has changed again.
        current.stamps = stamps;
        let before = fingerprints(&current.keys);
        current.keys = fresh?.keys;
        let after = fingerprints(&current.keys);
        Ok(before.difference(&after).copied().collect())
    }

    /// Whether a file is another one than when it was looked at.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        stamps(&self.settings) != self.current.read().unwrap_or_else(PoisonError::into_inner).stamps
    }

    /// Whom this token names; an error says why it is not taken, without anything of the token in it.
    pub fn verify(&self, token: &[u8]) -> Result<Verified, &'static str> {
        if token.len() > LONGEST {
            return Err("the JWT is too long");
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| "it is no JWT that can be read")?;
        if header.crit.is_some() {
            return Err("the JWT asks for extensions that nobody here knows (crit)");
        }
        let keys = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).keys);
        let fits = |key: &&Key| {
            key.algorithm == header.alg && (key.id.is_none() || header.kid.is_none() || key.id == header.kid)
        };
        let mut why = "no key fits the algorithm and the key id of the JWT";
        for key in keys.iter().filter(fits) {
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &self.validation(header.alg)) {
                Ok(decoded) => return self.named(&decoded.claims, key.fingerprint()),
                Err(error) => why = words(error.kind()),
            }
        }
        Err(why)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.settings.leeway.as_secs();
        validation.validate_nbf = true;
        let Self { settings: config::Jwt { issuer, audience, .. }, .. } = self;
        let mut required = vec!["exp"];
        if audience.is_empty() {
            validation.validate_aud = false;
        } else {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if !issuer.is_empty() {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn named(&self, claims: &Map<String, Value>, key: Fingerprint) -> Result<Verified, &'static str> {
        let user = claims.get(&self.settings.claim).and_then(Value::as_str);
        let user = user.ok_or("the JWT does not have the claim that names the user ID (jwt.claim), or not as text")?;
        // A number in JSON may have a fraction (RFC 7519 §2).
        #[allow(clippy::cast_possible_truncation)]
        let exp = claims.get("exp").and_then(|exp| exp.as_i64().or_else(|| exp.as_f64().map(|exp| exp as i64)));
        let until = exp.ok_or("the \"exp\" of the JWT is no time")?;
        let until = until.saturating_add(self.settings.leeway.as_secs().cast_signed());
        // On its second it is over as well (RFC 7519 §4.1.4); the library takes it for that second.
        if clock::now() >= until.saturating_mul(1_000) {
            return Err(EXPIRED);
        }
        Ok(Verified { user: user.to_owned(), key, until })
    }
}

const EXPIRED: &str = "the JWT has expired";

fn words(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidSignature => "the signature of the JWT is none of these keys'",
        ErrorKind::ExpiredSignature => EXPIRED,
        ErrorKind::ImmatureSignature => "the JWT is not valid yet (nbf)",
        ErrorKind::MissingRequiredClaim(_) => "the JWT lacks a claim that it has to have: exp, or what [jwt] names",
        ErrorKind::InvalidIssuer => "the JWT has another issuer than jwt.issuer",
        ErrorKind::InvalidAudience => "the JWT has another audience than jwt.audience",
        _ => "the JWT cannot be read",
    }
}

fn fingerprints(keys: &[Key]) -> HashSet<Fingerprint> {
    keys.iter().map(Key::fingerprint).collect()
}

/// All files, with the keys of the configuration that name them.
fn files(settings: &config::Jwt) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let jwks = settings.jwks.iter().map(|path| ("jwt.jwks", path));
    let keys = settings.keys.iter().map(|path| ("jwt.keys", path));
    jwks.chain(keys).chain(settings.secret.iter().map(|path| ("jwt.secret", path)))
}

fn stamps(settings: &config::Jwt) -> Stamps {
    Stamps::of(files(settings).map(|(_, path)| path))
}

fn read(settings: &config::Jwt) -> Result<Current, Error> {
    // Before the files: what changes while they are read is read once more.
    let stamps = stamps(settings);
    let mut keys = Vec::new();
    for (key, path) in files(settings) {
        let found = std::fs::read(path).map_err(|error| error.to_string()).and_then(|bytes| match key {
            "jwt.jwks" => of_set(&bytes),
            "jwt.keys" => blocks(&bytes)?.into_iter().map(of_pem).collect(),
            _ => of_secret(&bytes).map(|key| vec![key]),
        });
        keys.extend(found.map_err(|why| Error { key, path: path.clone(), why })?);
        if keys.len() > MOST_KEYS {
            let why = format!("with this file there are more than {MOST_KEYS} keys");
            return Err(Error { key, path: path.clone(), why });
        }
    }
    Ok(Current { keys: keys.into(), stamps })
}

fn of_secret(bytes: &[u8]) -> Result<Key, String> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.len() < SECRET_MIN {
        return Err(format!("a secret of HS256 has {SECRET_MIN} bytes at least, this one has {}", bytes.len()));
    }
    Ok(Key { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(bytes) })
}

/// The blocks of a PEM file: while keys are changed there may be several. A private key is nothing that belongs here.
fn blocks(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no PEM file".to_owned())?;
    if text.contains("PRIVATE KEY-----") {
        return Err("there is a private key in it: only its public key is needed, and belongs here".into());
    }
    const BEGIN: &str = "-----BEGIN ";
    let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    if starts.is_empty() {
        return Err(NO_KEY.into());
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    Ok(starts.iter().zip(ends).map(|(start, end)| &text.as_bytes()[*start..end]).collect())
}

const NO_KEY: &str = "there is no public key of RSA, EC P-256 or Ed25519 in it (PEM)";

fn of_pem(bytes: &[u8]) -> Result<Key, String> {
    let kinds = [
        (Algorithm::RS256, DecodingKey::from_rsa_pem(bytes)),
        (Algorithm::ES256, DecodingKey::from_ec_pem(bytes)),
        (Algorithm::EdDSA, DecodingKey::from_ed_pem(bytes)),
    ];
    let found = kinds.into_iter().find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
    let (algorithm, key) = found.ok_or(NO_KEY)?;
    let key = Key { id: None, algorithm, key };
    if signature_check::is_usable(key.algorithm, &key.key) { Ok(key) } else { Err(UNUSABLE.into()) }
}

const UNUSABLE: &str =
    "its key cannot be used: RSA needs 2,048 to 8,192 bits, and of elliptic curves there are P-256 and Ed25519";

/// Keys for other things and of other kinds are passed over (RFC 7517 §5).
fn of_set(bytes: &[u8]) -> Result<Vec<Key>, String> {
    #[derive(serde::Deserialize)]
    struct Said {
        keys: Vec<Value>,
    }
    let said: Said = serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
    let known = said.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let set = JwkSet { keys: known.collect() };
    let keys: Vec<Key> = set.keys.iter().filter_map(of_jwk).collect();
    if keys.is_empty() { Err("there is no key in it that can be used".into()) } else { Ok(keys) }
}

fn of_jwk(jwk: &Jwk) -> Option<Key> {
    if jwk.common.public_key_use.as_ref().is_some_and(|of| *of != PublicKeyUse::Signature) {
        return None;
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, KeyAlgorithm::HS256),
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|said| said != named) {
        return None;
    }
    let key = match &jwk.algorithm {
        AlgorithmParameters::RSA(parameters) => {
            let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
            DecodingKey::from_rsa_der(&signature_check::rsa_der(&part(&parameters.n)?, &part(&parameters.e)?))
        }
        _ => DecodingKey::from_jwk(jwk).ok()?,
    };
    let long_enough = algorithm != Algorithm::HS256 || key.try_get_as_bytes().is_ok_and(|key| key.len() >= SECRET_MIN);
    (long_enough && signature_check::is_usable(algorithm, &key)).then(|| Key {
        id: jwk.common.key_id.clone(),
        algorithm,
        key,
    })
}

/// Whether the files of this configuration can be used.
pub fn check(settings: &config::Jwt) -> Result<(), Error> {
    Jwt::load(settings).map(|_| ())
}

#[cfg(test)]
mod tests;
