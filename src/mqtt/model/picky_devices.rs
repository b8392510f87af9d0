//! Devices that cannot take some pushes, and what the gateway makes of it (docs/ledger.md, rule 20).

use std::time::Duration;

use super::TERMINALS;
use super::world::{World, user, user_of};
use super::{CLOSES, DROPS};
use crate::mqtt::inflight_window::Sent;
use crate::store::{Failed, Setting, TerminalSeen, Tries};

impl World {
    /// What those two devices cannot take.
    pub(super) fn is_poison(&self, push: usize) -> bool {
        push % self.variant.poison_every == self.variant.poison_every - 1
    }

    /// The client id of a terminal's connection.
    pub(super) fn client(&self, number: usize) -> String {
        match self.new_ids.filter(|_| number == CLOSES) {
            Some(connections) => format!("t{number}-{connections}"),
            None => format!("t{number}"),
        }
    }

    pub(super) async fn note_terminal(&self, client: &str, who: usize) {
        let seen = TerminalSeen {
            client: client.to_owned(),
            user: user(who),
            protocol: "mqtt3.1.1".into(),
            receive_maximum: 3,
            maximum_packet: None,
            seen_at: self.now,
            sent: 0,
            largest_acked: 0,
            gone: None,
        };
        self.store().note_terminals(vec![seen]).await.unwrap();
    }

    /// The connection ends by itself, and what that says of unanswered pushes is noted.
    pub(super) async fn disconnect(&mut self, number: usize) {
        let Some(mut terminal) = self.terminals[number].take() else { return };
        self.orphans.extend(terminal.session.take_moves());
        self.settle().await;
        let client = self.client(number);
        let only_messages = terminal.session.leaves_only_messages();
        terminal.session.drop_poison(self.variant.poison_after);
        for failed in terminal.session.failed_tries() {
            let client = if failed.anyone { "" } else { client.as_str() };
            self.fail(number, client, failed.sent, Tries::OneMore).await;
        }
        let suspect = terminal.session.suspect();
        self.closed_on_the_last = terminal.session.under_way().len() <= 1 && !terminal.session.is_behind();
        let times = self.unanswered.note(&client, &user(user_of(number)), suspect);
        if only_messages {
            self.unanswered.note_messages(&client);
        }
        if let Some((sent, true)) = suspect {
            if times.of_client >= self.variant.poison_after {
                self.fail(number, &client, sent, Tries::Reached(times.of_client)).await;
            } else if times.of_new_clients >= self.variant.poison_after {
                self.fail(number, "", sent, Tries::Reached(times.of_new_clients)).await;
            }
        }
        self.resumes[number] = Some(terminal.session.into_resume(vec![]));
    }

    pub(super) async fn hang_up(&mut self) {
        for number in std::mem::take(&mut self.hangs_up) {
            self.disconnect(number).await;
        }
    }

    async fn fail(&mut self, number: usize, client: &str, sent: Sent, tries: Tries) -> Setting {
        let failed = Failed {
            client: client.to_owned(),
            binding: sent.binding,
            id: sent.id,
            tries,
            size: 1,
            largest: 0,
            limit: self.variant.poison_after,
            others_since: 0,
        };
        self.settle().await;
        let setting = self.store().set_aside(failed, self.now).await.unwrap();
        let Some(push) = self.store().push_id(sent.push).await.unwrap() else { return setting };
        let (who, push) = (user_of(number), push.parse::<usize>().unwrap());
        match setting {
            Setting::Aside { .. } => {
                self.aside.insert((who, push));
            }
            Setting::Refused { .. } => {
                assert_ne!(who, user_of(DROPS), "another terminal of this user takes everything");
                self.durable.insert((who, push));
                let known = &mut self.pushes[push];
                for to in known.to.clone() {
                    known.resolved.entry(to).or_default().insert(who);
                }
            }
            // A push that was taken back, and that its holder cannot take, is done with. What had been read for another
            // terminal of the user before may still come.
            Setting::Over => {
                self.dropped.insert((who, push));
            }
            Setting::Full => {}
        }
        setting
    }

    /// Long enough for what is unanswered to be overdue.
    pub(super) async fn time_passes(&mut self) {
        self.steady += Duration::from_secs(11);
        for number in 0..TERMINALS {
            let Some(terminal) = &mut self.terminals[number] else { continue };
            terminal.session.widen(self.steady);
            for sent in terminal.session.overdue(self.steady) {
                let tries = Tries::Reached(self.variant.poison_after);
                let client = self.client(number);
                let setting = self.fail(number, &client, sent, tries).await;
                let Some(terminal) = &mut self.terminals[number] else { continue };
                match setting {
                    Setting::Aside { .. } | Setting::Refused { .. } => terminal.session.set_aside(sent),
                    Setting::Over => terminal.session.step_over(sent),
                    Setting::Full => terminal.session.leave_unanswered(sent),
                }
            }
        }
    }
}
