//! The clock of this machine and its limit on open files.

use super::finding::Finding;
use crate::clock;
use crate::config::Config;

/// 2024-01-01T00:00:00Z in milliseconds: no papcast is older.
const PLAUSIBLE: i64 = 1_704_067_200_000;
/// Files that a gateway has open besides its connections.
const OTHER_FILES: u64 = 256;

pub(super) fn year() -> Finding {
    let now = clock::now();
    let said = clock::format_utc(now);
    if now < PLAUSIBLE {
        let what = "that cannot be; set it, or pushes expire at the wrong time (NTP)";
        return Finding::fail("clock", format!("{said}: {what}"));
    }
    Finding::ok("clock", said)
}

/// The gateway raises its own limit as far as the hard one; a service manager may give it another one than this shell has.
pub(super) fn open_files(config: &Config) -> Finding {
    let name = "open files";
    let connections = config.mqtt.max_connections as u64;
    let wanted = connections + config.http.max_connections as u64 + OTHER_FILES;
    match rlimit::getrlimit(rlimit::Resource::NOFILE) {
        Ok((_, hard)) if hard < wanted => {
            let what = format!("{hard} allowed, mqtt.max_connections = {connections} needs {wanted}");
            Finding::warn(name, format!("{what}; raise the limit (LimitNOFILE, ulimit -Hn), or lower that"))
        }
        Ok((_, hard)) => Finding::ok(name, format!("{hard} allowed, {wanted} needed at most")),
        Err(error) => Finding::warn(name, format!("the limit cannot be read: {error}")),
    }
}
