//! TLS of the listeners: certificates from PEM files, read again when they change; and TLS towards others. rustls, with `ring`.
//!
//! What a device or an initiator is allowed to do does not depend on it.

mod client;
mod client_name;
mod self_signed;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};

pub use client::Trust;
pub use client_name::client_name;
pub use self_signed::{Made, self_signed};
pub use validity::{Validity, validity};

use crate::config::{self, ClientAuth};
use crate::watched_files::Stamps;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{key}: {}: {why}", .path.display())]
    File { key: &'static str, path: PathBuf, why: String },
    #[error("tls.cert and tls.key do not go together, or cannot be used: {0}")]
    Pair(rustls::Error),
    #[error("tls.client_ca cannot be used: {0}")]
    ClientCa(String),
}

/// What the listeners show, as it is now.
#[derive(Debug)]
pub struct Certificates {
    settings: config::Tls,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// When the files changed last.
    stamps: Stamps,
}

impl Certificates {
    /// None where no certificate is configured.
    pub fn load(settings: &config::Tls) -> Result<Option<Self>, Error> {
        if settings.cert.is_none() {
            return Ok(None);
        }
        let current = RwLock::new(read(settings)?);
        Ok(Some(Self { settings: settings.clone(), current }))
    }

    /// For a connection that begins now.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Reads the files again. Where one is faulty everything stays as it is.
    pub fn reload(&self) -> Result<(), Error> {
        let stamps = stamps(&self.settings);
        let fresh = read(&self.settings);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // What was faulty is looked at again when it has changed again.
        current.stamps = stamps;
        current.config = fresh?.config;
        Ok(())
    }

    /// Whether a file is another one than when it was looked at.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        stamps(&self.settings) != self.current.read().unwrap_or_else(PoisonError::into_inner).stamps
    }
}

fn stamps(settings: &config::Tls) -> Stamps {
    Stamps::of([&settings.cert, &settings.key, &settings.client_ca].into_iter().flatten())
}

fn read(settings: &config::Tls) -> Result<Current, Error> {
    // Before the files: what changes while they are read is read once more.
    let stamps = stamps(settings);
    let cert = settings.cert.as_deref().unwrap_or(Path::new(""));
    let key = settings.key.as_deref().unwrap_or(Path::new(""));
    let chain = certificates("tls.cert", cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| Error::File {
        key: "tls.key",
        path: key.into(),
        why: words(&error, "private key"),
    })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(Error::Pair)?;
    let builder = match (&settings.client_ca, settings.client_auth) {
        (Some(file), ClientAuth::Optional | ClientAuth::Required) => {
            let mut roots = RootCertStore::empty();
            for root in certificates("tls.client_ca", file)? {
                roots.add(root).map_err(|error| Error::ClientCa(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match settings.client_auth {
                ClientAuth::Required => verifier,
                ClientAuth::Optional | ClientAuth::Off => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| Error::ClientCa(error.to_string()))?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, secret).map_err(Error::Pair)?;
    // A fleet that reconnects goes on with tickets, which nothing has to be remembered for.
    config.ticketer = ring::Ticketer::new().map_err(Error::Pair)?;
    config.send_tls13_tickets = 1;
    Ok(Current { config: Arc::new(config), stamps })
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fail = |why: String| Error::File { key, path: path.into(), why };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| fail(words(&error, "certificate")))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|error| fail(words(&error, "certificate")))?;
    if found.is_empty() { Err(fail("there is no certificate in it (PEM)".into())) } else { Ok(found) }
}

fn words(error: &rustls::pki_types::pem::Error, what: &str) -> String {
    use rustls::pki_types::pem::Error as Pem;
    match error {
        Pem::Io(error) => error.to_string(),
        Pem::NoItemsFound => format!("there is no {what} in it (PEM)"),
        other => other.to_string(),
    }
}
