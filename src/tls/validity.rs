//! Until when certificates are valid.

use std::path::Path;

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Error, certificates};

/// When a chain of certificates is valid, in seconds since 1970: all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: i64,
    pub until: i64,
}

/// Of all certificates in a PEM file.
pub fn validity(key: &'static str, path: &Path) -> Result<Validity, Error> {
    let mut whole = Validity { from: i64::MIN, until: i64::MAX };
    for der in certificates(key, path)? {
        let (_, one) = X509Certificate::from_der(&der).map_err(|error| Error::File {
            key,
            path: path.into(),
            why: format!("a certificate in it cannot be read: {error}"),
        })?;
        whole.from = whole.from.max(one.validity().not_before.timestamp());
        whole.until = whole.until.min(one.validity().not_after.timestamp());
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_chain_is_valid_as_long_as_its_shortest_certificate() {
        let make = |from, until| {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
            params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain.pem");
        std::fs::write(&path, make(2020, 2040) + &make(2001, 2030)).unwrap();
        let year = |year: i32| date_time_ymd(year, 1, 1).unix_timestamp();
        assert_eq!(validity("tls.cert", &path).unwrap(), Validity { from: year(2020), until: year(2030) });
        assert!(validity("tls.cert", dir.path()).unwrap_err().to_string().starts_with("tls.cert: "));
    }
}
