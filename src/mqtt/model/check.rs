//! What must hold: at every arrival, between any two steps, and when nothing is left to do.

use std::collections::BTreeSet;

use super::terminal::{Arrived, Connection};
use super::world::{World, user_of};
use super::{CLOSES, DROPS, TERMINALS, To};
use crate::store::{AddressView, State};

/// How often everything is done that can be done, until nothing changes any more.
const ROUNDS: usize = 500;

fn parse(topic: &str) -> To {
    match topic.split_at(topic.len() - 1) {
        ("groups/g", number) => To::Group(number.parse().unwrap()),
        ("users/u", number) => To::User(number.parse().unwrap()),
        _ => panic!("no topic of the model: {topic}"),
    }
}

/// One recipient as the listing has it.
struct Listed {
    to: To,
    user: usize,
    state: State,
    reason: std::borrow::Cow<'static, str>,
}

impl World {
    pub(super) fn check_arrival(&mut self, number: usize, arrived: &Arrived) {
        let Arrived { topic, push, .. } = arrived;
        let (to, who) = (parse(topic), user_of(number));
        let seq = self.seqs[&(*push, topic.clone())];
        let known = &self.pushes[*push];
        assert!(known.to.contains(&to), "push {push} is not addressed to {to:?}");
        assert!(known.owed[&to].contains(&who), "u{who} is not owed push {push} by {to:?}, or has left");
        assert!(known.deadline > self.now, "push {push} has expired");
        if let Some(holders) = known.taken_back.get(&to) {
            assert!(
                holders.contains(&who),
                "push {push} by {to:?} was taken back before u{who} had it, and came to terminal {number}"
            );
        }
        let terminal = self.terminals[number].as_mut().unwrap();
        assert!(terminal.seen.insert(*push), "push {push} twice on one connection of u{who}");
        assert!(!terminal.known.contains(push), "push {push} again, although u{who} had answered it before");
        let last = terminal.last.insert(topic.clone(), seq).unwrap_or_default();
        let aside = self.aside.contains(&(who, *push));
        assert!(last < seq || aside, "push {push} of {topic} out of order");
    }

    async fn view(&self, push: usize) -> Option<Vec<(To, AddressView)>> {
        let view = self.store().push("i".into(), push.to_string()).await.unwrap()?;
        Some(
            self.pushes.get(push).map_or_else(Vec::new, |known| known.to.iter().copied().zip(view.addresses).collect()),
        )
    }

    /// The addresses of a push that are over, or all of a push that is forgotten.
    pub(super) async fn finals(&self, push: usize) -> BTreeSet<To> {
        match self.view(push).await {
            Some(view) => {
                let over = view.iter().filter(|(_, one)| !matches!(one.state, State::Scheduled | State::Pending));
                over.map(|(to, _)| *to).collect()
            }
            None => self.pushes[push].to.iter().copied().collect(),
        }
    }

    async fn recipients(&self, push: usize) -> Vec<Listed> {
        let page = self
            .store()
            .recipients(
                "i".into(),
                push.to_string(),
                crate::store::Wanted::All,
                (0, 0),
                1_000,
                crate::store::Detail::Full,
            )
            .await
            .unwrap();
        let page = page.unwrap_or_default();
        let to = |address: &str| match address.strip_suffix(')').unwrap().split_once('(').unwrap() {
            ("Group", number) => To::Group(number.parse().unwrap()),
            (_, number) => To::User(number.parse().unwrap()),
        };
        let listed = page.recipients.into_iter().map(|one| Listed {
            to: to(&one.address),
            user: one.user[1..].parse().unwrap(),
            state: one.state,
            reason: one.words,
        });
        listed.collect()
    }

    pub(super) async fn listed(&self, push: usize) -> BTreeSet<(To, usize)> {
        self.recipients(push).await.into_iter().map(|one| (one.to, one.user)).collect()
    }

    /// Counters and listing say the same, and nobody is listed as having what he never acknowledged.
    pub(super) async fn check_counters(&self) {
        for number in 0..self.pushes.len() {
            let Some(view) = self.view(number).await else { continue };
            let listed = self.recipients(number).await;
            for (to, address) in view {
                let of: Vec<&Listed> = listed.iter().filter(|one| one.to == to).collect();
                let count = |test: &dyn Fn(&Listed) -> bool| of.iter().filter(|one| test(one)).count() as u64;
                let said = (
                    of.len() as u64,
                    count(&|one| one.state == State::Delivered),
                    count(&|one| ["refused by the terminal", "its terminal cannot take it"].contains(&&*one.reason)),
                );
                let rows: Vec<_> = of.iter().map(|one| (one.user, one.state, &*one.reason)).collect();
                let counted = (address.recipients, address.delivered, address.refused);
                assert_eq!(said, counted, "all, got, refused of push {number} to {to:?}, and {rows:?}");
                let left = count(&|one| one.reason.starts_with("left the group"));
                assert_eq!(left, address.gone, "{address:?}, and {rows:?}");
                for one in of.iter().filter(|one| one.state == State::Delivered) {
                    let got = self.got.contains(&(one.user, number));
                    assert!(got, "push {number} is listed as delivered to u{}, who never had it", one.user);
                }
            }
        }
    }

    /// Everybody is there, everything arrives, everything is acknowledged.
    pub(super) async fn come_to_rest(&mut self) {
        let mut idle = [0; TERMINALS];
        for round in 0..ROUNDS {
            self.publish_all().await;
            self.time_passes().await;
            for (number, idle) in idle.iter_mut().enumerate() {
                // Who drops what is in its way is ended after a while, and comes again.
                let stuck = |terminal: &Connection| terminal.session.stuck_since().is_some();
                if round % 5 == 4 && number == DROPS && self.terminals[number].as_ref().is_some_and(stuck) {
                    self.disconnect(number).await;
                }
                self.connect(number).await;
                self.fetch(number, true).await;
                self.hang_up().await;
                match &self.terminals[number] {
                    Some(terminal) if !terminal.open.is_empty() => *idle = 0,
                    Some(terminal) if terminal.fetched.is_none() && !terminal.session.is_behind() => *idle += 1,
                    // It closes on the same push for ever, and takes what else there is in between.
                    _ if number == CLOSES && self.closed_on_the_last => *idle += 1,
                    _ => *idle = 0,
                }
                self.answer(number, 0, false);
            }
            self.settle().await;
            // What is set aside is tried when there is nothing else to do, by who closes one at a time.
            if idle.iter().enumerate().all(|(number, idle)| *idle >= if number == CLOSES { 20 } else { 3 }) {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    pub(super) async fn check_outcome(&self) {
        self.check_counters().await;
        for (number, push) in self.pushes.iter().enumerate() {
            let Some(view) = self.view(number).await else { continue };
            for (to, address) in view {
                let owed = &push.owed[&to];
                let expected: Vec<usize> = match push.taken_back.get(&to) {
                    Some(holders) => {
                        let keeps = |who: &&usize| !self.dropped.contains(&(**who, number));
                        owed.intersection(holders).filter(keeps).copied().collect()
                    }
                    None => owed.iter().copied().collect(),
                };
                if push.deadline <= self.now {
                    continue;
                }
                for who in expected {
                    if !self.takes(who, number) {
                        continue;
                    }
                    let answered = self.durable.contains(&(who, number));
                    assert!(answered, "u{who} never got push {number} by {to:?}: {address:?}");
                }
                if owed.iter().any(|who| !self.takes(*who, number)) {
                    continue; // It may be set aside until its deadline.
                }
                let over = !matches!(address.state, State::Scheduled | State::Pending);
                assert!(over, "push {number} to {to:?} is not over although everybody has answered: {address:?}");
            }
        }
    }

    /// Whether some terminal of the user can take a push.
    fn takes(&self, who: usize, push: usize) -> bool {
        who != user_of(CLOSES) || !self.is_poison(push)
    }

    /// Who is left out of a push that replaces another one: exactly those who had answered that or hold it.
    pub(super) fn check_left_out(&self, new: usize, old: usize, to: To, holding: Option<&BTreeSet<usize>>) {
        let To::Group(group) = to else { return };
        if self.pushes[old].to.len() > 1 {
            return; // An answer by another address may not have come to this one yet.
        }
        let out = self.reached(old, to, holding);
        let expected: BTreeSet<usize> = self.members[group].difference(&out).copied().collect();
        assert_eq!(self.pushes[new].owed[&to], expected, "who gets what replaces a push to {to:?}");
    }

    /// Whom a push, or one that it replaced, has reached by this address.
    pub(super) fn reached(&self, push: usize, to: To, holding: Option<&BTreeSet<usize>>) -> BTreeSet<usize> {
        let push = &self.pushes[push];
        let sets = [push.left_out.get(&to), push.resolved.get(&to), holding];
        sets.into_iter().flatten().flatten().copied().collect()
    }
}
