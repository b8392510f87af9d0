//! What the end of a connection says about pushes that it left unanswered, and what a connection leaves unanswered while it
//! lasts (docs/ledger.md, rule 20).

use std::rc::Rc;
use std::time::Instant;

use super::attach;
use super::connection::Conn;
use super::inflight_window::Sent;
use super::session::{FailedTry, Session};
use super::unanswered_pushes::Times;
use super::worker::Worker;
use crate::clock;
use crate::ids::UserId;
use crate::log_limit::LogLimit;
use crate::store::{Failed, Setting, Tries};

/// Who has failed on a push.
struct Who<'a> {
    client: &'a str,
    user: &'a UserId,
    /// Bytes of the largest packet that it acknowledged on this connection.
    largest: u64,
}

impl<'a> Who<'a> {
    fn of(session: &'a Session) -> Option<Self> {
        let (_, largest) = session.written_and_acked();
        Some(Self { client: &session.client_id, user: session.user.as_ref()?, largest })
    }
}

/// A connection has ended by itself. To be called before its client id is given back, with its acknowledgements written down.
pub(super) async fn note(worker: &Rc<Worker>, session: &mut Session, timed_out: bool) {
    let only_messages = session.leaves_only_messages();
    if session.drop_poison(worker.settings().poison_after) {
        static DROPPED: LogLimit = LogLimit::new(5);
        if let Some(left_out) = DROPPED.pass() {
            let client = &session.client_id;
            tracing::info!(
                client,
                left_out,
                "a message between terminals ended one connection after the other, and was dropped"
            );
        }
    }
    let Some(who) = Who::of(session) else { return };
    for FailedTry { sent, anyone } in session.failed_tries() {
        let who = Who { client: if anyone { "" } else { who.client }, ..who };
        set_aside(worker, &who, sent, Tries::OneMore).await;
    }
    let suspect = session.suspect();
    let times = worker.registry.unanswered.note(who.client, who.user, suspect);
    if only_messages {
        worker.registry.unanswered.note_messages(who.client);
    }
    let Some((sent, to_blame)) = suspect else { return };
    let limit = worker.settings().poison_after;
    let Times { of_client, of_new_clients } = times;
    if to_blame && of_client >= limit {
        set_aside(worker, &who, sent, Tries::Reached(of_client)).await;
    } else if to_blame && of_new_clients >= limit {
        set_aside(worker, &Who { client: "", ..who }, sent, Tries::Reached(of_new_clients)).await;
    } else if timed_out {
        tell(worker, &who, sent, "a connection was ended because it left this push unanswered").await;
    }
}

/// Sets aside what this connection leaves unanswered although it answers later ones.
pub(super) fn set_overdue_aside(worker: &Rc<Worker>, conn: &Rc<Conn>, now: Instant) {
    let overdue = conn.with_session(|session, _, _| session.overdue(now)).unwrap_or_default();
    if overdue.is_empty() || conn.deciding.replace(true) {
        return;
    }
    let (worker, conn) = (Rc::clone(worker), Rc::clone(conn));
    tokio::task::spawn_local(async move {
        for sent in overdue {
            let who = conn.with_session(|session, _, _| {
                let (_, largest) = session.written_and_acked();
                Some((session.client_id.clone(), session.user.clone()?, largest))
            });
            let Some(Some((client, user, largest))) = who else { break };
            let who = Who { client: &client, user: &user, largest };
            let tries = Tries::Reached(worker.settings().poison_after);
            let setting = set_aside(&worker, &who, sent, tries).await;
            conn.with_session(|session, _, _| match setting {
                Some(Setting::Aside { .. } | Setting::Refused { .. }) => session.set_aside(sent),
                Some(Setting::Over) => session.step_over(sent),
                Some(Setting::Full) => session.leave_unanswered(sent),
                // The store failed: it is asked again.
                None => {}
            });
        }
        conn.deciding.set(false);
        worker.list(&conn);
        attach::go_on(&worker, &conn);
    });
}

async fn set_aside(worker: &Worker, who: &Who<'_>, sent: Sent, tries: Tries) -> Option<Setting> {
    let failed = Failed {
        client: who.client.to_owned(),
        binding: sent.binding,
        id: sent.id,
        tries,
        size: sent.size as u64,
        largest: who.largest,
        limit: worker.settings().poison_after,
        others_since: clock::now().saturating_sub(worker.settings().max_session_expiry),
    };
    let setting = match worker.gateway.set_aside(who.user, failed).await {
        Ok(setting) => setting,
        Err(error) => {
            tracing::error!(%error, client = who.client, "a push that a terminal cannot take could not be set aside");
            return None;
        }
    };
    match setting {
        Setting::Aside { tries } => {
            let words =
                format!("a terminal did not take this push {tries} times: it is set aside, and the rest goes on");
            tell(worker, who, sent, &words).await;
        }
        Setting::Refused { code } => {
            tell(worker, who, sent, &format!("a terminal cannot take this push, which is refused for it with {code}"))
                .await;
        }
        Setting::Full => {
            tell(
                worker,
                who,
                sent,
                "a terminal cannot take this push, and too many are set aside for it: the rest waits",
            )
            .await;
        }
        Setting::Over => {}
    }
    Some(setting)
}

async fn tell(worker: &Worker, who: &Who<'_>, sent: Sent, words: &str) {
    let push_id = worker.gateway.store().push_id(sent.push).await.ok().flatten().unwrap_or_default();
    tracing::info!(client = who.client, user = %who.user, push_id, bytes = sent.size, "{words}");
}
