//! Where a request is from: what is known of its connection.

use std::net::SocketAddr;

use axum::http::Extensions;

/// Where a request came from: an extension of every request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remote {
    pub(super) address: SocketAddr,
    /// It came over TLS.
    pub(super) is_secure: bool,
}

/// Whom the certificate of the client names, where certificates do: an extension of its requests.
#[derive(Debug, Clone)]
pub(super) struct Certified(pub(super) String);

impl Remote {
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }
}
