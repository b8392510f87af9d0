//! What became of a push, as its initiator and operators see it.

use std::borrow::Cow;

use super::state::State;
use super::submission::{Notify, Priority};
use crate::clock::Millis;
use crate::ids::Target;
use crate::pap::address::{self, Address, Client, Kind};
use crate::parcel::{DispatchId, FlowId, PushKey};

/// A result notification that is due.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The row it is known by.
    pub dispatch: i64,
    pub notify: Notify,
    pub push_id: String,
    pub created_at: Millis,
    pub begun_at: Millis,
    pub attempts: u32,
    pub confirmed: bool,
    pub priority: Priority,
    pub address: AddressView,
}

/// Somebody who does not receive the result notifications that are posted to it.
#[derive(Debug, Clone)]
pub struct FailingReceiver {
    /// Host and port.
    pub receiver: String,
    /// Notifications that are tried again, and those that are not.
    pub waiting: u64,
    pub given_up: u64,
    /// Why one of them failed last.
    pub failure: String,
    /// When the next one is due.
    pub next_at: Option<Millis>,
}

/// How many members had a push by a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressPoint {
    pub at: Millis,
    pub delivered: u64,
}

/// How far a push has come, as lists are filtered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushStage {
    /// One of its addresses is not due yet.
    Scheduled,
    /// One is being delivered.
    Pending,
    /// All of them are over.
    Finished,
}

impl PushStage {
    pub const ALL: [Self; 3] = [Self::Scheduled, Self::Pending, Self::Finished];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Pending => "pending",
            Self::Finished => "finished",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// One push as its initiator sees it.
#[derive(Debug, Clone)]
pub struct PushView {
    pub key: PushKey,
    pub push_id: String,
    pub initiator: String,
    pub created_at: Millis,
    pub content_type: String,
    pub size: u64,
    /// Counted when acknowledged, not when written.
    pub confirmed: bool,
    pub priority: Priority,
    pub addresses: Vec<AddressView>,
}

#[derive(Debug, Clone)]
pub struct AddressView {
    pub address: String,
    pub state: State,
    pub code: u16,
    pub recipients: u64,
    pub delivered: u64,
    pub refused: u64,
    pub gone: u64,
    pub event_at: Option<Millis>,
    /// Whom it went to; only where a push is looked at, and none for an address that was not known.
    pub target: Option<Target>,
    /// Its result notification, while that is not received; only where a push is looked at.
    pub notification: Option<NotificationView>,
    /// When its members had it; only where a push is looked at.
    pub times: DeliveryTimes,
    /// New members of the group who got it as its last push: they are not among the recipients.
    pub welcomed: u64,
}

/// When members of a group had a push.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryTimes {
    pub first: Option<Millis>,
    /// Half of them.
    pub half: Option<Millis>,
    /// 95 of 100.
    pub most: Option<Millis>,
    /// The last one so far.
    pub last: Option<Millis>,
}

/// A result notification that nobody has received so far.
#[derive(Debug, Clone)]
pub struct NotificationView {
    pub given_up: bool,
    pub attempts: u32,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// When the next attempt is due.
    pub next_at: Millis,
}

/// One member of one dispatch.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub user: String,
    pub address: String,
    pub state: State,
    pub code: u16,
    pub why: Why,
    /// The same in words, where there are any beside those of the code.
    pub words: Cow<'static, str>,
    pub at: Option<Millis>,
    /// The dispatch, as its terminals know it.
    pub id: DispatchId,
    /// Where the page after this one begins.
    pub place: (i64, i64),
    /// Bytes of the content.
    pub size: u64,
    pub seen: LastSeen,
}

/// Why a member has not got a push, as far as the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It has.
    Has,
    /// It is larger than what a terminal takes.
    TooLarge,
    Refused,
    SetAside,
    Left,
    Expired,
    Cancelled,
    /// It is owed, and nobody has said anything.
    Owed,
}

/// What is known of the terminals of a member.
#[derive(Debug, Clone, Default)]
pub struct LastSeen {
    pub at: Option<Millis>,
    /// Why the last connection ended, in words.
    pub gone: Option<String>,
    /// Bytes of the largest packet that the terminal seen last takes, where it said so.
    pub maximum_packet: Option<u32>,
    /// It has acknowledged something, or has a session: it was here, however long ago.
    pub was_here: bool,
}

/// Somebody whom a push would reach.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The row of the user, after which the next page begins; 0 where it has none yet.
    pub id: FlowId,
    pub user: String,
    /// Bytes of the largest packet that the terminal seen last takes, where it said so.
    pub maximum_packet: Option<u32>,
}

/// Which recipients are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// Those who have not got it, whatever the reason.
    Missing,
    In(State),
}

impl Wanted {
    #[must_use]
    pub fn has(self, state: State) -> bool {
        match self {
            Self::All => true,
            Self::Missing => state != State::Delivered,
            Self::In(wanted) => state == wanted,
        }
    }
}

/// How much is wanted of each recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Full,
    /// Only what a count of reasons needs: no words, no times.
    Reasons,
}

#[derive(Debug, Clone, Default)]
pub struct RecipientPage {
    pub recipients: Vec<Recipient>,
    /// Position and binding of the last one looked at, where there may be more.
    pub next: Option<(i64, i64)>,
}

/// PAP 2002: address error.
const UNKNOWN: u16 = 2002;

impl AddressView {
    /// How many of how many, and what became of the others.
    #[must_use]
    pub fn describe(&self) -> String {
        if self.state == State::Rejected && self.code == UNKNOWN {
            let why = match address::parse(&self.address) {
                Ok(Address::Client(Client { kind: Kind::Other(kind), .. })) => format!("TYPE={kind} is not served"),
                _ => "no group or user of this name was known".into(),
            };
            return format!("{why}; the push went to its other addresses");
        }
        let mut desc = format!("{} of {}", self.delivered, self.recipients);
        for (count, what) in [(self.refused, "refused"), (self.gone, "left the group")] {
            if count > 0 {
                desc.push_str(&format!(", {count} {what}"));
            }
        }
        if self.state == State::Scheduled {
            desc.push_str(", not due yet");
        }
        desc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(address: &str) -> String {
        let address = AddressView {
            address: address.into(),
            state: State::Rejected,
            code: UNKNOWN,
            recipients: 0,
            delivered: 0,
            refused: 0,
            gone: 0,
            event_at: None,
            target: None,
            notification: None,
            times: DeliveryTimes::default(),
            welcomed: 0,
        };
        address.describe()
    }

    #[test]
    fn a_skipped_address_of_a_type_that_is_not_served_was_called_an_unknown_name() {
        assert_eq!(
            rejected("WAPPUSH=12345678/TYPE=MAN@p"),
            "TYPE=MAN is not served; the push went to its other addresses"
        );
        assert!(rejected("group:nowhere").starts_with("no group or user of this name was known;"));
    }
}
