//! Status codes (WAP-247 §8.13) and message states (§8.6).

use std::fmt;

/// A four-digit status code. An unknown one counts as the x000 of its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u16);

impl Code {
    pub const OK: Self = Self(1000);
    pub const ACCEPTED: Self = Self(1001);
    pub const BAD_REQUEST: Self = Self(2000);
    pub const FORBIDDEN: Self = Self(2001);
    pub const ADDRESS_ERROR: Self = Self(2002);
    pub const ADDRESS_NOT_FOUND: Self = Self(2003);
    pub const PUSH_ID_NOT_FOUND: Self = Self(2004);
    pub const CAPABILITIES_MISMATCH: Self = Self(2005);
    pub const DUPLICATE_PUSH_ID: Self = Self(2007);
    pub const CANCELLATION_NOT_POSSIBLE: Self = Self(2008);
    pub const INTERNAL_ERROR: Self = Self(3000);
    pub const NOT_IMPLEMENTED: Self = Self(3001);
    pub const VERSION_NOT_SUPPORTED: Self = Self(3002);
    pub const NOT_POSSIBLE: Self = Self(3003);
    pub const CAPABILITIES_NOT_AVAILABLE: Self = Self(3008);
    pub const NETWORK_NOT_AVAILABLE: Self = Self(3009);
    pub const BEARER_NOT_AVAILABLE: Self = Self(3010);
    pub const REPLACEMENT_NOT_SUPPORTED: Self = Self(3011);
    pub const SERVICE_FAILURE: Self = Self(4000);
    /// In a push-response not in the specification's table, but what deployed gateways answer when they are busy.
    pub const UNAVAILABLE: Self = Self(4001);

    #[must_use]
    pub fn is_success(self) -> bool {
        self.0 / 1000 == 1
    }

    /// What it means, in a few words; answers always carry a `desc`.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self.0 {
            1000 => "OK",
            1001 => "accepted for processing",
            2000 => "bad request",
            2001 => "forbidden",
            2002 => "address error",
            2003 => "address not found",
            2004 => "push-id not found",
            2005 => "capabilities mismatch",
            2006 => "required capabilities not supported",
            2007 => "duplicate push-id",
            2008 => "cancellation not possible",
            3000 => "internal server error",
            3001 => "not implemented",
            3002 => "version not supported",
            3003 => "not possible",
            3004 => "capability matching not supported",
            3005 => "multiple addresses not supported",
            3006 => "transformation failure",
            3007 => "specified delivery method not possible",
            3008 => "capabilities not available",
            3009 => "required network not available",
            3010 => "required bearer not available",
            3011 => "replacement not supported",
            4000 => "service failure",
            4001 => "service unavailable",
            4500 => "expired",
            4510 => "no members",
            5234 => "aborted by the terminal",
            5235 => "refused by the terminal",
            5236 => "the terminal cannot reach its destination",
            5237 => "the terminal is short of resources",
            5238 => "the terminal cannot process this content",
            code => match code / 1000 {
                1 => "success",
                2 => "request error",
                3 => "server error",
                4 => "service failure",
                5 => "aborted by the terminal",
                _ => "unknown",
            },
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// State of a message for one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Rejected,
    Pending,
    Delivered,
    Undeliverable,
    Expired,
    Aborted,
    Timeout,
    Cancelled,
    Unknown,
}

impl State {
    const NAMES: [(Self, &'static str); 9] = [
        (Self::Rejected, "rejected"),
        (Self::Pending, "pending"),
        (Self::Delivered, "delivered"),
        (Self::Undeliverable, "undeliverable"),
        (Self::Expired, "expired"),
        (Self::Aborted, "aborted"),
        (Self::Timeout, "timeout"),
        (Self::Cancelled, "cancelled"),
        (Self::Unknown, "unknown"),
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(state, _)| *state == self).map_or("unknown", |(_, name)| name)
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(state, _)| *state)
    }
}
