//! What a worker does for its terminals, and what these answer.

use std::sync::Arc;

use super::terminal::{Arrived, BAD, Connection, GOOD, Terms};
use super::world::{World, user, user_of};
use super::{CLOSES, DROPS, GROUPS, TERMINALS, USERS};
use crate::broker::{OpenMessage, OpenProperties};
use crate::mqtt::inflight_window::Resume;
use crate::mqtt::shared_frames::Now;
use crate::store::Fetch;

impl World {
    /// `tries`: what is set aside may be tried again.
    pub(super) async fn fetch(&mut self, number: usize, tries: bool) {
        let moment = self.moment();
        let Some(terminal) = &mut self.terminals[number] else { return };
        terminal.session.send_queued(&mut terminal.outbox, &terminal.socket, moment);
        self.receive(number);
        let Some(terminal) = &mut self.terminals[number] else { return };
        if let Some((wanted, portion, aside)) = terminal.fetched.take() {
            if aside {
                let revoked = &self.revoked;
                let withheld = |id| revoked.contains(&id);
                terminal.session.take_aside(
                    &wanted,
                    &portion,
                    &mut terminal.outbox,
                    &terminal.socket,
                    moment,
                    withheld,
                );
                return self.receive(number);
            }
            let revoked = &self.revoked;
            terminal.session.take_portion(&wanted, &portion, &mut terminal.outbox, &terminal.socket, moment, |id| {
                revoked.contains(&id)
            });
            self.receive(number);
            return;
        }
        self.settle().await;
        let Some(terminal) = &mut self.terminals[number] else { return };
        let behind = terminal.session.next_behind(&terminal.outbox);
        let aside = behind.is_none();
        let again = if aside && tries { terminal.session.next_aside(&terminal.outbox, self.steady) } else { None };
        let Some(wanted) = behind.or(again) else { return };
        let fetch = Fetch {
            binding: wanted.binding,
            after: wanted.after,
            limit: wanted.limit,
            max_bytes: 1_000,
            now: self.now,
        };
        let portion = self.store().fetch(fetch).await.unwrap();
        let Some(terminal) = &mut self.terminals[number] else { return };
        match portion {
            Some(portion) => terminal.fetched = Some((wanted, portion, aside)),
            None => self.orphans.extend(terminal.session.detach(wanted.flow, wanted.binding)),
        }
    }

    pub(super) fn moment(&self) -> Now {
        Now { wall: self.now, steady: self.steady }
    }

    pub(super) fn receive(&mut self, number: usize) {
        let Some(terminal) = &self.terminals[number] else { return };
        for arrived in terminal.read() {
            if arrived.push < BAD {
                self.check_arrival(number, &arrived);
            }
            let Arrived { id, push, .. } = arrived;
            let is_poison = push == BAD || (push < BAD && self.is_poison(push));
            match id {
                // Whatever has been written behind it is lost, but for QoS 0, which counts when written.
                Some(_) if self.hangs_up.contains(&number) => {}
                Some(_) if is_poison && number == CLOSES => {
                    self.hangs_up.insert(number);
                }
                Some(_) if is_poison && number == DROPS && push != BAD => {}
                Some(id) => self.terminals[number].as_mut().unwrap().open.push((id, push)),
                None => self.note(user_of(number), push, true),
            }
        }
        if self.terminals[number].as_ref().is_some_and(|terminal| terminal.socket.is_stuck()) {
            self.hangs_up.insert(number);
        }
    }

    /// A message between terminals, to all that are there.
    pub(super) fn message(&mut self, bad: bool) {
        let text = if bad { BAD } else { GOOD }.to_string();
        let message = Arc::new(OpenMessage {
            topic: "open".into(),
            qos: 1,
            client: "somebody".into(),
            payload: text.into(),
            properties: OpenProperties::default(),
        });
        let moment = self.moment();
        for number in 0..TERMINALS {
            let Some(terminal) = &mut self.terminals[number] else { continue };
            terminal.session.offer_open(&message, true, &mut terminal.outbox, &terminal.socket, moment);
            self.receive(number);
        }
    }

    fn note(&mut self, who: usize, push: usize, got: bool) {
        self.answered.insert((who, push));
        if got {
            self.got.insert((who, push));
        }
    }

    pub(super) fn answer(&mut self, number: usize, which: usize, refuse: bool) {
        let Some(terminal) = &mut self.terminals[number] else { return };
        if terminal.open.is_empty() {
            return;
        }
        let (id, push) = terminal.open.remove(which % terminal.open.len());
        assert!(terminal.session.acknowledge(id, if refuse { 0x99 } else { 0 }), "every packet id is known");
        if push < BAD {
            self.note(user_of(number), push, !refuse);
        }
    }

    pub(super) async fn settle(&mut self) {
        let mut moves = std::mem::take(&mut self.orphans);
        for terminal in self.terminals.iter_mut().flatten() {
            moves.extend(terminal.session.take_moves());
        }
        self.store().settle(moves, self.now).await.unwrap();
        for (who, push) in std::mem::take(&mut self.answered) {
            self.durable.insert((who, push));
            let push = &mut self.pushes[push];
            for (to, owed) in push.owed.iter().filter(|_| !push.expired) {
                if owed.contains(&who) && !push.taken_back.contains_key(to) {
                    push.resolved.entry(*to).or_default().insert(who);
                }
            }
        }
    }

    pub(super) async fn connect(&mut self, number: usize) {
        if self.terminals[number].is_some() {
            return;
        }
        self.settle().await;
        let who = user_of(number);
        let mut resume = self.resumes[number].take().unwrap_or_default();
        let memberships = self.store().memberships(user(who)).await.unwrap();
        if let Some(connections) = self.new_ids.as_mut().filter(|_| number == CLOSES) {
            *connections += 1;
            // There is nothing to resume.
            resume = Resume::default();
        }
        let client = self.client(number);
        let arrival = self.store().arrive(client.clone(), user(who), self.now).await.unwrap();
        resume.keep(|sent| {
            let acked = memberships.iter().find(|one| one.binding == sent.binding).map(|one| one.acked);
            let aside = arrival.aside.iter().any(|one| one.binding == sent.binding && one.id == sent.id);
            acked.is_some_and(|acked| sent.id.seq > acked) || aside
        });
        self.note_terminal(&client, who).await;
        let known = self.durable.iter().filter(|(user, _)| *user == who).map(|(_, push)| *push).collect();
        let careful = self.unanswered.has(&client, Some(&user(who)));
        let poison_every = (number == CLOSES).then_some(self.variant.poison_every);
        let terms = Terms { window: self.variant.window, careful, poison_every };
        let mut connection = Connection::new(&client, user(who), resume, terms, known);
        self.connects += 1;
        connection.session.know_aside(&arrival.aside, self.connects);
        for membership in memberships {
            connection.session.attach(&membership, membership.head);
        }
        self.terminals[number] = Some(connection);
    }

    /// Everybody joins every group, and connects.
    pub(super) async fn gather(&mut self) {
        for user in 0..USERS {
            for group in 0..GROUPS {
                self.join(user, group).await;
            }
        }
        for number in 0..TERMINALS {
            self.connect(number).await;
        }
    }

    /// The terminal is there for a while: whatever can be sent to it is, it answers, and it comes again where it closes.
    pub(super) async fn stay(&mut self, number: usize) {
        for _ in 0..12 {
            self.connect(number).await;
            self.fetch(number, true).await;
            self.hang_up().await;
            self.answer(number, 0, false);
        }
        // Who drops what is in its way is ended for it, and comes again some time.
        let is_stuck = |terminal: &Connection| terminal.session.suspect().is_some();
        if number == DROPS && self.terminals[number].as_ref().is_some_and(is_stuck) {
            self.disconnect(number).await;
        }
    }
}
