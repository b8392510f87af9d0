//! Where a notification may go. An initiator names the URL, so it must not be used to reach what only the gateway can:
//! the name is resolved, every address is checked, and the connection is made to a checked one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::Uri;

use crate::pap::fragment::mask_user_info;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    #[error("{0:?} is neither an http nor an https URL")]
    NotHttp(String),
    #[error("{0} is a private address (notify.allow_private)")]
    Private(String),
}

/// Checks a URL as far as that can be done without resolving its name.
pub(crate) fn check_url(url: &str, allow_private: bool) -> Result<Uri, UrlError> {
    let no = || UrlError::NotHttp(mask_user_info(url).chars().take(200).collect());
    let uri: Uri = url.trim().parse().map_err(|_| no())?;
    let host = uri.host().filter(|_| matches!(uri.scheme_str(), Some("http" | "https"))).ok_or_else(no)?;
    let authority = uri.authority().ok_or_else(no)?;
    // A port that is none, such as 99999, would be left out in silence.
    let named = authority.as_str().len() > host.len();
    if authority.as_str().contains('@') || (named && authority.port_u16().is_none_or(|port| port == 0)) {
        return Err(no());
    }
    if let Ok(address) = bare(host).parse::<IpAddr>()
        && !allow_private
        && !is_public(address)
    {
        return Err(UrlError::Private(host.to_owned()));
    }
    Ok(uri)
}

/// Host and port of a URL, in one spelling: whoever is behind them is one receiver.
pub(crate) fn receiver(uri: &Uri) -> String {
    let host = bare(uri.host().unwrap_or_default()).to_ascii_lowercase();
    let host = host.parse::<IpAddr>().map_or(host, |address| address.to_string());
    format!("{} {}", host.trim_end_matches('.'), port(uri))
}

/// The port of a URL, or that of its scheme.
pub(super) fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 })
}

/// A host without the brackets of an IPv6 literal.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// The first of the resolved addresses, if none of them is private: a name that leads to both is not trusted.
pub(super) fn choose(addresses: &[SocketAddr], allow_private: bool) -> Result<SocketAddr, UrlError> {
    if let Some(private) = addresses.iter().find(|address| !allow_private && !is_public(address.ip())) {
        return Err(UrlError::Private(private.ip().to_string()));
    }
    addresses.first().copied().ok_or_else(|| UrlError::NotHttp("a name without an address".into()))
}

/// Neither loopback nor private, link-local, shared, multicast, documentation or reserved (the special-purpose registries
/// of RFC 6890); IPv4 inside IPv6 counts as IPv4.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3. Carved out of it: protocol assignments with Teredo (2001::/23), and documentation.
    let assigned = first == 0x2001 && (second < 0x0200 || second == 0x0DB8);
    (0x2000..0x4000).contains(&first) && !assigned && !(first == 0x3FFF && second < 0x1000)
}

/// IPv4-mapped and -compatible addresses, 6to4 and NAT64.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        [0, 0, 0, 0, 0, 0xFFFF | 0, high, low] if (high, low) != (0, 1) || s[5] != 0 => Some(from(high, low)),
        [0x2002, high, low, ..] => Some(from(high, low)),
        [0x0064, 0xFF9B, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_urls_to_public_places() {
        for good in [
            "http://pi.example/notify",
            "http://203.0.114.9:8080/",
            "http://[2606:4700::1111]/x",
            " http://pi.example ",
            "http://[2606:4700::1111]:8080",
        ] {
            assert!(check_url(good, false).is_ok(), "{good}");
        }
        for bad in [
            "",
            "pi.example",
            "/relative",
            "ftp://pi.example/",
            "ftp://x/",
            "http://user:secret@pi.example/",
            "file:///etc/passwd",
            "http://pi.example:99999/",
            "http://pi.example:0/",
            "http://[2606:4700::1111]:99999/",
        ] {
            assert!(matches!(check_url(bad, true), Err(UrlError::NotHttp(_))), "{bad}");
        }
        for private in [
            "http://127.0.0.1:7778/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://255.255.255.255/",
            "http://224.0.0.1/",
            "http://198.18.0.1/",
            "http://[::1]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://[64:ff9b::a00:1]/",
            "http://[::]/",
            "http://[ff02::1]/",
            "http://[2001:db8::1]/",
            "http://192.88.99.1/",
            "http://[2001:0:7f00:1::1]/",
            "http://[3fff::1]/",
        ] {
            assert!(matches!(check_url(private, false), Err(UrlError::Private(_))), "{private}");
            assert!(check_url(private, true).is_ok(), "{private}");
        }
    }

    #[test]
    fn a_receiver_is_one_however_its_url_is_spelled() {
        let of = |url: &str| receiver(&check_url(url, true).unwrap());
        for url in
            ["http://pi.example?n=1", "http://PI.example./x", "http://pi.example:80/", "http://pi.example:080/?a"]
        {
            assert_eq!(of(url), "pi.example 80", "{url}");
        }
        assert_eq!(of("http://[2606:4700:0::1111]:81"), "2606:4700::1111 81");
        let error = check_url("http://user:secret@pi.example/", false).unwrap_err().to_string();
        assert!(error.contains("***@pi.example") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_name_that_leads_inside_is_not_followed() {
        let public: SocketAddr = "203.0.114.9:80".parse().unwrap();
        let private: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(choose(&[public], false), Ok(public));
        assert!(choose(&[public, private], false).is_err(), "one of them is enough to refuse");
        assert_eq!(choose(&[private], true), Ok(private));
        assert!(choose(&[], true).is_err());
    }
}
