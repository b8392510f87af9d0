//! Certificate and key of the TLS listeners. That they go together is part of the check of the configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::clock;
use crate::config::Tls;
use crate::tls::{self, Validity};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// A certificate that is valid no longer than this is to be renewed, in days.
const SOON: i64 = 14;

pub(super) fn check(settings: &Tls) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = [("tls.cert", &settings.cert), ("tls.client_ca", &settings.client_ca)];
    for (key, path) in files {
        if let Some(path) = path {
            findings.push(match tls::validity(key, path) {
                Ok(validity) => judge(key, path, validity, clock::now()),
                Err(error) => Finding::fail(key, error.to_string()),
            });
        }
    }
    findings.extend(settings.key.as_deref().map(secret));
    findings
}

fn judge(key: &str, path: &Path, validity: Validity, now: i64) -> Finding {
    let name = path.display();
    let (from, until) = (validity.from.saturating_mul(1000), validity.until.saturating_mul(1000));
    let day = clock::format_utc(until);
    if now < from {
        return Finding::fail(
            key,
            format!("{name}: not valid before {}; is the clock right?", clock::format_utc(from)),
        );
    }
    let days = (until - now) / DAY;
    match until - now {
        ..=0 => Finding::fail(key, format!("{name}: expired at {day}; renew it, papcast reads it again by itself")),
        left if left <= SOON * DAY => Finding::warn(key, format!("{name}: expires in {days} days, at {day}; renew it")),
        _ => Finding::ok(key, format!("{name}: valid until {day}")),
    }
}

fn secret(path: &Path) -> Finding {
    let name = path.display();
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Err(error) => Finding::fail("tls.key", format!("{name}: cannot be read: {error}")),
        Ok(metadata) if metadata.permissions().mode() & 0o004 != 0 => {
            Finding::warn("tls.key", format!("{name}: can be read by everybody; chmod o-r {name}"))
        }
        Ok(_) => Finding::ok("tls.key", format!("{name}: can be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_certificate_is_told_before_it_has_expired() {
        let validity = Validity { from: 1_000_000_000, until: 1_000_000_000 + 30 * 86_400 };
        let at = |days: i64| judge("tls.cert", Path::new("c.pem"), validity, 1_000_000_000_000 + days * DAY).state;
        let found = [at(-1), at(1), at(15), at(16), at(29), at(30), at(31)];
        use State::{Fail, Ok, Warn};
        assert_eq!(found, [Fail, Ok, Ok, Warn, Warn, Fail, Fail]);
    }
}
