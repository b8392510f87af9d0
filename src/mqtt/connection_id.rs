//! How connections are named, within a worker and between workers.

/// A connection within its worker; never used twice.
pub(super) type ConnId = u64;

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ConnRef {
    pub(super) worker: usize,
    pub(super) id: ConnId,
}
