//! What is owed to a binding, and how far its terminal has got.

use std::sync::Arc;

use super::membership::Hand;
use super::standing::Standing;
use crate::clock::Millis;
use crate::ids::{GroupId, UserId};
use crate::parcel::{BindingId, DispatchId, FlowId, Membership, Parcel, Seq};

/// What a commit changed, for those who must hear of it at once.
#[derive(Debug)]
pub enum Event {
    /// A push went out to a flow.
    Dispatched(Arc<Parcel>),
    /// A user is a member of a flow by a new binding.
    Joined { user: UserId, membership: Membership, hand: Hand },
    /// A binding was closed.
    Left { user: UserId, flow: FlowId, binding: BindingId, group: Option<GroupId>, hand: Hand },
    /// These dispatches are not to be sent any more.
    Cancelled(Vec<DispatchId>),
    /// A push to one address was taken, was answered by members, or has ended.
    Stands(Box<Standing>),
}

/// How far one binding's terminal has got, with what the cursor alone would say wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorMove {
    pub binding: BindingId,
    /// Up to here this terminal has spoken before, or never will.
    pub from: Seq,
    /// All up to here is resolved.
    pub upto: Seq,
    pub exceptions: Vec<Exception>,
}

impl CursorMove {
    /// Adds what the same session said next.
    pub fn follow(&mut self, next: Self) {
        self.upto = next.upto;
        for exception in next.exceptions {
            if !self.exceptions.contains(&exception) {
                self.exceptions.push(exception);
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    pub seq: Seq,
    pub kind: ExceptionKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceptionKind {
    /// Acknowledged although something before it is not.
    Got,
    /// The terminal refused it, with this PAP code.
    Refused { code: u16 },
    /// It is set aside: the cursor passes it, and it has not been got.
    Aside,
    /// `seq..=upto` never reached the terminal: expired or cancelled before.
    Skipped { upto: Seq },
}

/// A portion of what a binding is owed.
#[derive(Debug, Clone, Default)]
pub struct Portion {
    pub parcels: Vec<Owed>,
    /// Everything of the flow up to here has been looked at.
    pub scanned: Seq,
    /// There is more after `scanned`.
    pub more: bool,
}

/// One parcel that is owed.
#[derive(Debug, Clone)]
pub struct Owed {
    pub parcel: Arc<Parcel>,
    /// What became of this push by another of its addresses, if the user has answered it there.
    pub settled: Option<Settled>,
    /// It was under way to this member when it was replaced, and may come again although it is cancelled for the others.
    pub held: bool,
}

/// How a push was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Got,
    Refused { code: u16 },
}

/// A question for [`Portion`].
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    pub binding: BindingId,
    pub after: Seq,
    pub limit: usize,
    /// Stop once the bodies are this many bytes; at least one parcel is answered.
    pub max_bytes: usize,
    pub now: Millis,
}
