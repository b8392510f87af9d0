//! Who asks for `$push/trace/<group>` on a worker. Pure but for the wait.

use std::cell::RefCell;

use tokio::sync::Notify;

use crate::signals::Reader;

pub(super) const PREFIX: &str = "$push/trace/";

/// Whether a filter asks for what happens to groups.
pub(super) fn is_trace(filter: &str) -> bool {
    filter.starts_with(PREFIX)
}

/// Wakes the task that sends events; events count from the moment on at which somebody asked for them.
#[derive(Debug, Default)]
pub(super) struct Tracing {
    reader: RefCell<Option<Reader>>,
    news: Notify,
}

impl Tracing {
    /// Somebody on this worker asks for events.
    pub(super) fn begin(&self, reader: impl FnOnce() -> Reader) {
        let mut waiting = self.reader.borrow_mut();
        if waiting.is_none() {
            *waiting = Some(reader());
        }
        self.news.notify_one();
    }

    pub(super) async fn next(&self) -> Reader {
        loop {
            if let Some(reader) = self.reader.borrow_mut().take() {
                return reader;
            }
            self.news.notified().await;
        }
    }
}
