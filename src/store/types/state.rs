//! The states of one push to one address.

/// States of one push to one address, as PAP names them. From `Delivered` on they are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its deliver-after; PAP says `pending`.
    Scheduled,
    Pending,
    Delivered,
    Undeliverable,
    Expired,
    Aborted,
    Timeout,
    Cancelled,
    Rejected,
}

impl State {
    /// The state with this PAP name; none for what is no state of a dispatch.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().skip(1).find(|state| state.name() == name).copied()
    }

    const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Pending,
        Self::Delivered,
        Self::Undeliverable,
        Self::Expired,
        Self::Aborted,
        Self::Timeout,
        Self::Cancelled,
        Self::Rejected,
    ];

    pub(in crate::store) fn number(self) -> i64 {
        Self::ALL.iter().position(|state| *state == self).map_or(0, |at| at as i64)
    }

    pub(in crate::store) fn from_number(number: i64) -> Self {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied()).unwrap_or(Self::Pending)
    }

    /// The PAP name (WAP-247 §8.6).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled | Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Undeliverable => "undeliverable",
            Self::Expired => "expired",
            Self::Aborted => "aborted",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}
