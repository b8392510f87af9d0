//! Who has a push, who has not, and why: what the store knows, and who is connected now.

use std::collections::{BTreeMap, HashMap};

use super::{Gateway, InSight};
use crate::clock::{self, Millis};
use crate::ids::UserId;
use crate::parcel::{DispatchId, PushKey};
use crate::store::{Detail, Error, LastSeen, Recipient, State, Wanted, Why};

/// Why somebody has not got a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// None of the user's terminals was ever here.
    NeverConnected,
    /// None of them is here now.
    Away,
    /// It went out to one that is here, which has not answered.
    Sent,
    /// One is here, and others come first.
    Behind,
    TooLarge,
    Refused,
    SetAside,
    Left,
    Expired,
    Cancelled,
}

impl Reason {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::NeverConnected,
        Self::Away,
        Self::Sent,
        Self::Behind,
        Self::TooLarge,
        Self::Refused,
        Self::SetAside,
        Self::Left,
        Self::Expired,
        Self::Cancelled,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverConnected => "never-connected",
            Self::Away => "away",
            Self::Sent => "sent",
            Self::Behind => "behind",
            Self::TooLarge => "too-large",
            Self::Refused => "refused",
            Self::SetAside => "set-aside",
            Self::Left => "left",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The state of those that it is true of.
    fn state(self) -> State {
        match self {
            Self::NeverConnected | Self::Away | Self::Sent | Self::Behind | Self::SetAside => State::Pending,
            Self::TooLarge | Self::Refused => State::Aborted,
            Self::Left => State::Undeliverable,
            Self::Expired => State::Expired,
            Self::Cancelled => State::Cancelled,
        }
    }
}

/// One member, explained.
#[derive(Debug, Clone)]
pub struct Explained {
    pub user: String,
    pub address: String,
    pub state: State,
    pub code: u16,
    /// None where it has the push.
    pub reason: Option<Reason>,
    /// In words, where there are any beside those of the code.
    pub desc: String,
    pub at: Option<Millis>,
    pub connected: bool,
    pub last_seen: Option<Millis>,
}

/// Which of them are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub wanted: Wanted,
    pub reason: Option<Reason>,
}

/// Some of them, and where the next ones begin.
#[derive(Debug, Default)]
pub struct Page {
    pub recipients: Vec<Explained>,
    pub next: Option<(i64, i64)>,
}

/// Pushes that others wait behind which are named in one answer.
const NAMED: usize = 100;

/// Members that one look at the store finds where few of them are wanted, and such looks for one answer.
const LOOK: usize = 1_000;
const LOOKS: usize = 10;

impl Gateway {
    /// Members of a push from `after` on; `None` for an unknown push.
    pub async fn recipients(
        &self,
        initiator: &str,
        push_id: &str,
        asked: Asked,
        mut after: (i64, i64),
        limit: usize,
    ) -> Result<Option<Page>, Error> {
        // What a reason is true of narrows the look.
        let wanted = match asked.reason {
            Some(reason) if asked.wanted.has(reason.state()) => Wanted::In(reason.state()),
            Some(_) => return Ok(Some(Page::default())),
            None => asked.wanted,
        };
        let mut page = Page::default();
        for _ in 0..LOOKS {
            let look = if asked.reason.is_some() { LOOK } else { limit };
            let found =
                self.store.recipients(initiator.into(), push_id.into(), wanted, after, look, Detail::Full).await?;
            let Some(found) = found else { return Ok(None) };
            let places: Vec<(i64, i64)> = found.recipients.iter().map(|recipient| recipient.place).collect();
            for (explained, place) in self.explain(initiator, found.recipients).await.into_iter().zip(places) {
                if asked.reason.is_some_and(|reason| explained.reason != Some(reason)) {
                    continue;
                }
                page.recipients.push(explained);
                if page.recipients.len() >= limit {
                    page.next = Some(place);
                    return Ok(Some(page));
                }
            }
            page.next = found.next;
            match found.next {
                Some(next) if asked.reason.is_some() => after = next,
                _ => break,
            }
        }
        Ok(Some(page))
    }

    /// How many have it, and how many have not for which reason; `None` for an unknown push.
    pub async fn count_recipients(
        &self,
        initiator: &str,
        push_id: &str,
    ) -> Result<Option<BTreeMap<&'static str, u64>>, Error> {
        // One at a time: it looks at all members.
        let _turn = self.counting.lock().await;
        let Some(push) = self.store.push(initiator.into(), push_id.into()).await? else { return Ok(None) };
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        counts.insert("delivered", push.addresses.iter().map(|address| address.delivered).sum());
        let mut after = (0, 0);
        loop {
            let (initiator, push_id) = (initiator.to_owned(), push_id.to_owned());
            let look = self.store.recipients(initiator, push_id, Wanted::Missing, after, usize::MAX, Detail::Reasons);
            let Some(found) = look.await? else { return Ok(None) };
            let in_sight = self.in_sight(&found.recipients).await;
            for one in &found.recipients {
                // Where nobody is here nobody has to be looked for.
                let now = if in_sight.is_empty() { None } else { whom(one).and_then(|whom| in_sight.get(&whom)) };
                if let Some(reason) = reason(one, now) {
                    *counts.entry(reason.name()).or_default() += 1;
                }
            }
            match found.next {
                Some(next) => after = next,
                None => return Ok(Some(counts)),
            }
        }
    }

    async fn in_sight(&self, recipients: &[Recipient]) -> HashMap<(UserId, DispatchId), InSight> {
        self.terminals().look(recipients.iter().filter_map(whom).collect()).await
    }

    async fn explain(&self, initiator: &str, recipients: Vec<Recipient>) -> Vec<Explained> {
        let in_sight = self.in_sight(&recipients).await;
        // Where nobody is here nobody has to be looked for.
        let seen = |one: &Recipient| if in_sight.is_empty() { None } else { in_sight.get(&whom(one)?).copied() };
        // What keeps them waiting may be a push to somebody else, too: their terminals have one window for all.
        let oldest = in_sight.values().filter(|seen| seen.sent_at.is_none());
        let names = self.push_ids(initiator, oldest.filter_map(|seen| seen.oldest).collect()).await;
        let explain_one = |one: Recipient| {
            let now = seen(&one);
            let first = now.and_then(|seen| seen.oldest).and_then(|push| names.get(&push));
            explain(one, now, first.map(String::as_str))
        };
        recipients.into_iter().map(explain_one).collect()
    }

    /// The push-ids of those of some pushes that are this initiator's own: nobody is told of another one's.
    async fn push_ids(&self, initiator: &str, mut pushes: Vec<PushKey>) -> HashMap<PushKey, String> {
        pushes.sort_unstable();
        pushes.dedup();
        let mut names = HashMap::new();
        for push in pushes.into_iter().take(NAMED) {
            if let Ok(Some(name)) = self.store.own_push_id(initiator.into(), push).await {
                names.insert(push, name);
            }
        }
        names
    }
}

/// A member and a push, as the terminals know them.
fn whom(one: &Recipient) -> Option<(UserId, DispatchId)> {
    Some((UserId::parse(&one.user).ok()?, one.id))
}

/// Why a member has not got it; none for one who has.
fn reason(recipient: &Recipient, now: Option<&InSight>) -> Option<Reason> {
    Some(match recipient.why {
        Why::Has => return None,
        Why::TooLarge => Reason::TooLarge,
        Why::Refused => Reason::Refused,
        Why::SetAside => Reason::SetAside,
        Why::Left => Reason::Left,
        Why::Expired => Reason::Expired,
        Why::Cancelled => Reason::Cancelled,
        Why::Owed => match now {
            Some(InSight { sent_at: Some(_), .. }) => Reason::Sent,
            Some(_) => Reason::Behind,
            None if recipient.seen.at.is_some() || recipient.seen.was_here => Reason::Away,
            None => Reason::NeverConnected,
        },
    })
}

/// `first`: the push that keeps its terminals busy, where that may be named.
fn explain(recipient: Recipient, now: Option<InSight>, first: Option<&str>) -> Explained {
    let reason = reason(&recipient, now.as_ref());
    let desc = match recipient.why {
        Why::Has => String::new(),
        Why::TooLarge => too_large(&recipient),
        Why::Owed => owed(&recipient.seen, now, first),
        Why::Refused | Why::SetAside | Why::Left | Why::Expired | Why::Cancelled => recipient.words.into_owned(),
    };
    Explained {
        user: recipient.user,
        address: recipient.address,
        state: recipient.state,
        code: recipient.code,
        reason,
        desc,
        at: recipient.at,
        connected: now.is_some(),
        last_seen: if now.is_some() { Some(clock::now()) } else { recipient.seen.at },
    }
}

/// Why somebody has not got it who is owed it, in words.
fn owed(seen: &LastSeen, now: Option<InSight>, first: Option<&str>) -> String {
    match (now, first) {
        (Some(InSight { sent_at: Some(at), times: 0 | 1, .. }), _) => {
            format!("sent at {}, and not acknowledged", clock::format_utc(at))
        }
        (Some(InSight { sent_at: Some(at), times, .. }), _) => {
            format!("sent {times} times, last at {}, and not acknowledged", clock::format_utc(at))
        }
        (Some(_), Some(first)) => {
            format!("connected, and waits behind the push {first:?}, which is not acknowledged")
        }
        (Some(InSight { oldest: Some(_), .. }), None) => {
            "connected, and waits behind another push, which is not acknowledged".into()
        }
        (Some(_), None) => "connected; it is about to be sent, or its acknowledgement to be written down".into(),
        (None, _) => match seen.at {
            Some(at) => {
                let why = seen.gone.as_ref().map(|gone| format!(": {gone}")).unwrap_or_default();
                format!("away since {}{why}", clock::format_utc(at))
            }
            None if seen.was_here => "away for longer than store.retention".into(),
            None => "no terminal of this user was ever here".into(),
        },
    }
}

fn too_large(recipient: &Recipient) -> String {
    let words = &recipient.words;
    match recipient.seen.maximum_packet {
        Some(most) if u64::from(most) < recipient.size => {
            format!("too large: {} bytes, and its terminal takes packets of {most}", recipient.size)
        }
        Some(most) => format!("{words}: {} bytes and its headers; it takes packets of {most}", recipient.size),
        None => format!("{words}: {} bytes", recipient.size),
    }
}
