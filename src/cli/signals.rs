//! The wish to stop, for commands that clean up before they end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, SIGTERM, or a shell that was closed.
pub(super) struct Interrupt([Signal; 3]);

impl Interrupt {
    /// From now on these signals do not end the process by themselves.
    pub(super) fn watch() -> std::io::Result<Self> {
        let on = |kind| signal(kind);
        Ok(Self([on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?]))
    }

    /// Returns when one of them has come. May be dropped and asked again.
    pub(super) async fn came(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
