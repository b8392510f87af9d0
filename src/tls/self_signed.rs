//! A certificate authority of one's own, with a server and a client certificate: for a first try, not for good.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("the certificates cannot be made: {0}")]
    Making(#[from] rcgen::Error),
    #[error("{}: cannot be written: {source}; nothing is written over, so choose another folder or remove it", .path.display())]
    Writing { path: PathBuf, source: std::io::Error },
}

/// The files.
#[derive(Debug)]
pub struct Made {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
    pub client_cert: PathBuf,
    pub client_key: PathBuf,
}

/// Days that they hold.
const DAYS: i64 = 825;

/// Makes them in a folder, which may be there; no file is written over. The server is known by these names and addresses.
pub fn self_signed(folder: &Path, names: &[String], client: &str) -> Result<Made, Failed> {
    let ca_key = KeyPair::generate()?;
    let mut ca = params(Vec::new(), "papcast test CA")?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    let signed = |names: Vec<String>, common: &str, usage| -> Result<(String, String), Failed> {
        let key = KeyPair::generate()?;
        let mut params = params(names, common)?;
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    };
    let common = names.first().map_or("papcast", String::as_str);
    let (cert, key) = signed(names.to_vec(), common, ExtendedKeyUsagePurpose::ServerAuth)?;
    let (client_cert, client_key) = signed(Vec::new(), client, ExtendedKeyUsagePurpose::ClientAuth)?;
    std::fs::create_dir_all(folder).map_err(|source| Failed::Writing { path: folder.into(), source })?;
    let write = |name: &str, text: &str, mode| write_new(&folder.join(name), text, mode);
    Ok(Made {
        // First those that nothing can be done with alone.
        ca: write("ca.pem", &ca_cert.pem(), 0o644)?,
        cert: write("server.pem", &cert, 0o644)?,
        key: write("server-key.pem", &key, 0o600)?,
        client_cert: write("client.pem", &client_cert, 0o644)?,
        client_key: write("client-key.pem", &client_key, 0o600)?,
    })
}

fn params(names: Vec<String>, common: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common);
    let now = time::OffsetDateTime::now_utc();
    // Clocks differ.
    params.not_before = now - time::Duration::days(1);
    params.not_after = now + time::Duration::days(DAYS);
    Ok(params)
}

/// A file that was not there; keys are their owner's alone.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<PathBuf, Failed> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|source| Failed::Writing { path: path.into(), source })?;
    Ok(path.into())
}
