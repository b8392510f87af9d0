//! What counts as one address where something is counted for each.

use std::net::IpAddr;

/// An IPv6 subscriber has a whole /64; IPv4 inside IPv6 is IPv4.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_subscriber_is_one_whatever_his_address() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(subscriber(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(subscriber(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        assert_eq!(subscriber(ip("10.0.0.1")), ip("10.0.0.1"));
    }
}
