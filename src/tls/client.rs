//! TLS towards others: receivers of notifications, and gateways that commands talk to.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Error, certificates};

/// Whom to trust: the authorities of the system, or those of one file and nobody else.
#[derive(Debug, Default)]
pub struct Trust {
    file: Option<PathBuf>,
    /// Read when it is needed first: the system has many, and most gateways need none.
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Trust {
    /// The file is read now, so that a faulty one is known at once.
    pub fn new(file: Option<&Path>, key: &'static str) -> Result<Self, Error> {
        let trust = Self { file: file.map(Into::into), config: OnceLock::new() };
        if let Some(file) = file {
            certificates(key, file)?;
        }
        Ok(trust)
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config.get_or_init(|| build(self.file.as_deref())).clone()
    }

    /// Shakes hands with the server of this name.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.config().map_err(std::io::Error::other)?;
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(config).connect(name, stream).await
    }
}

fn build(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for root in certificates("the CA file", file).map_err(|error| error.to_string())? {
                roots.add(root).map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        None => {
            // Some of a system's are odd, and are left out.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("the system has no certificate authorities (ca-certificates)".into());
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
