//! IP addresses and networks, as a setting names them: `"10.0.0.7"`, `"10.0.0.0/8"`, `["10.0.0.0/8", "fd00::/8"]`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error};

use super::units;

/// Addresses of which something is said; none by default.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether an address is one of them. IPv4 inside IPv6 is IPv4.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = units::one_or_many(deserializer, "a network such as \"10.0.0.0/8\", or a list of them")?;
        let parse = |text: &String| {
            let whole = text.parse::<IpAddr>().map(IpNet::from);
            whole.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
                D::Error::custom(format!("{text:?} is not an IP address or a network such as \"10.0.0.0/8\""))
            })
        };
        texts.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_named_alone_and_in_lists() {
        #[derive(serde::Deserialize)]
        struct Said {
            from: Networks,
        }
        let said = |text: &str| toml::from_str::<Said>(text).map(|said| said.from);
        let networks = said("from = [\"10.0.0.0/8\", \"192.0.2.7\", \"fd00::/8\"]").unwrap();
        for (address, expected) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(networks.has(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!said("from = \"\"").unwrap().has([10, 0, 0, 1].into()));
        assert!(said("from = \"10.0.0.0/33\"").is_err_and(|error| error.to_string().contains("10.0.0.0/33")));
    }
}
