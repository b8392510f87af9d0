//! The limit on open files: one for each connection.

use crate::config::{self, Config};

/// A limit on open files below this is low, whatever was asked for.
const FEW_FILES: u64 = 4_096;

/// One file descriptor for each connection: as many as the system gives. That these are fewer than the default allows for is
/// so on most machines, and matters where somebody has asked for a number of connections.
pub fn raise_limit(settings: &Config) {
    let wanted = (settings.mqtt.max_connections + settings.http.max_connections + 256) as u64;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(files) if files < wanted => {
            let built_in = config::load(None, [], &[]).map(|default| default.mqtt.max_connections);
            if files < FEW_FILES || built_in.is_ok_and(|number| number != settings.mqtt.max_connections) {
                let text = "the limit on open files is lower than what the connections need; raise it (ulimit -n, LimitNOFILE)";
                tracing::warn!(files, wanted, "{text}");
            } else {
                tracing::debug!(files, wanted, "fewer open files than connections are allowed");
            }
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit on open files could not be raised"),
    }
}
