//! What a commit makes known: to the feed, by the broker, and to those who look on.

use crate::broker::Publisher;
use crate::clock::Millis;
use crate::feed::{Dispatched, Entry, Feed};
use crate::ids::Target;
use crate::signals::{self, MembershipEvent, PushEvent, Signals};
use crate::store::{Event, Hand, Standing, State};

use std::sync::Arc;

/// Characters of an address in an event.
const LONGEST: usize = 256;

/// First in the feed, then by the broker, so that a worker which missed the publish can see that it did.
pub fn announce(feed: Feed, publisher: Publisher, signals: Arc<Signals>) -> impl Fn(Vec<Event>) + Send + 'static {
    move |events| {
        let mut pushes = Vec::new();
        let mut told = Vec::new();
        let entries = events.into_iter().filter_map(|event| match event {
            Event::Dispatched(parcel) => {
                let place = publisher.place(&parcel.target);
                let entry = Entry::Dispatched(Dispatched::new(parcel.id(), &parcel.target, place));
                pushes.push((parcel, place));
                Some(entry)
            }
            Event::Joined { user, membership, hand } => {
                if let Target::Group(group) = &membership.target {
                    told.push(signals::Event::Join(membership_event(user.as_str(), group.as_str(), &hand)));
                }
                Some(Entry::Joined { user, membership })
            }
            Event::Left { user, flow, binding, group, hand } => {
                if let Some(group) = group {
                    told.push(signals::Event::Leave(membership_event(user.as_str(), group.as_str(), &hand)));
                }
                Some(Entry::Left { user, flow, binding })
            }
            Event::Cancelled(dispatches) => Some(Entry::Cancelled(dispatches.into())),
            Event::Stands(standing) => {
                tell(*standing, &mut told);
                None
            }
        });
        let entries: Vec<Entry> = entries.collect();
        if !entries.is_empty() {
            feed.append(entries);
        }
        for (parcel, place) in pushes {
            publisher.push(parcel, place);
        }
        told.into_iter().for_each(|event| signals.report(event));
    }
}

fn membership_event(user: &str, group: &str, hand: &Hand) -> MembershipEvent {
    MembershipEvent { user: user.into(), group: group.into(), by: hand.to_string() }
}

/// A push is taken, makes progress and ends; one that ends at once does two of that.
fn tell(standing: Standing, told: &mut Vec<signals::Event>) {
    let is_over = !matches!(standing.state, State::Scheduled | State::Pending);
    let is_new = standing.is_new;
    let push = push_event(standing);
    match (is_new, is_over) {
        (true, true) => told.extend([signals::Event::Push(push.clone()), signals::Event::Final(push)]),
        (true, false) => told.push(signals::Event::Push(push)),
        (false, true) => told.push(signals::Event::Final(push)),
        (false, false) => told.push(signals::Event::Progress(push)),
    }
}

fn push_event(standing: Standing) -> PushEvent {
    let seconds = standing.event_at.map(|end| seconds(end - standing.created_at.max(standing.due)));
    let (group, user) = match standing.target {
        Some(Target::Group(group)) => (Some(group.to_string()), None),
        Some(Target::User(user)) => (None, Some(user.to_string())),
        None => (None, None),
    };
    PushEvent {
        push_id: standing.push_id,
        initiator: standing.initiator,
        address: cut(standing.address),
        group,
        user,
        state: standing.state.name(),
        code: standing.code,
        recipients: standing.recipients,
        delivered: standing.delivered,
        refused: standing.refused,
        left: standing.gone,
        seconds,
        size: standing.size,
        request: standing.request,
        welcome: standing.is_welcome,
    }
}

/// An address may be as long as a request. What is kept of it in memory is not.
fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(at);
    }
    text
}

fn seconds(millis: Millis) -> f64 {
    millis.max(0) as f64 / 1_000.0
}
