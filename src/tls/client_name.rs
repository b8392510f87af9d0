//! Whom a client certificate names.

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::config::ClientName;

/// The first name of this kind. The certificate has been verified; one that cannot be read names nobody.
#[must_use]
pub fn client_name(certificate: &[u8], field: ClientName) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    if field == ClientName::CommonName {
        return certificate.subject().iter_common_name().find_map(|name| Some(name.as_str().ok()?.to_owned()));
    }
    let names = certificate.subject_alternative_name().ok()??;
    let named = names.value.general_names.iter().find_map(|name| match (field, name) {
        (ClientName::SanUri, GeneralName::URI(name))
        | (ClientName::SanDns, GeneralName::DNSName(name))
        | (ClientName::SanEmail, GeneralName::RFC822Name(name)) => Some(*name),
        _ => None,
    });
    named.map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn each_kind_of_name_is_found() {
        let mut params = CertificateParams::new(vec!["meter-1.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "meter 1");
        params.subject_alt_names.push(SanType::URI("sip:meter-1@example".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("meter-1@example".try_into().unwrap()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let name = |field| client_name(certificate.der(), field);
        assert_eq!(name(ClientName::CommonName).as_deref(), Some("meter 1"));
        assert_eq!(name(ClientName::SanUri).as_deref(), Some("sip:meter-1@example"));
        assert_eq!(name(ClientName::SanDns).as_deref(), Some("meter-1.example"));
        assert_eq!(name(ClientName::SanEmail).as_deref(), Some("meter-1@example"));
        assert_eq!(client_name(b"no certificate", ClientName::CommonName), None);
        let bare = CertificateParams::new(Vec::<String>::new()).unwrap();
        let bare = bare.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(client_name(bare.der(), ClientName::SanUri), None);
    }
}
