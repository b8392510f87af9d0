//! The second answer to a join that waited for a decision: stored with the decision, and sent when a terminal of the user
//! is there, which may be at its next connect.

use super::{Answer, Gateway, Op, Reason, Status};
use crate::ids::UserId;
use crate::store::{JoinOutcome, WaitingAnswer};

impl Gateway {
    /// Tells a user's terminals what waits to be told, if any is there. To be called while no join or leave of this user is
    /// under way. What goes wrong is tried again at the next connect.
    pub async fn send_answers(&self, user: &UserId) {
        if !self.is_here(user) {
            return;
        }
        let waiting = match self.store.answers(user.clone()).await {
            Ok(waiting) if waiting.is_empty() => return,
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::error!(%error, %user, "the decisions on a user's joins could not be read; they are kept");
                return;
            }
        };
        let ids = waiting.iter().map(|answer| answer.id).collect();
        for WaitingAnswer { group, outcome, mut reply, .. } in waiting {
            let mut answer = match outcome {
                JoinOutcome::Accepted => {
                    Answer { topic: Some(group.topic()), ..Answer::new(Op::Join, Status::Accepted) }
                }
                JoinOutcome::Declined => declined(Reason::NotAuthorized, "an operator declined"),
                JoinOutcome::GroupDeleted => declined(Reason::GroupUnknown, "the group was deleted"),
            };
            answer.id = reply.request_id.take();
            answer.user = Some(user.to_string());
            answer.group = Some(group.to_string());
            self.terminals().answer(user, reply, answer.to_json()).await;
        }
        if let Err(error) = self.store.told(user.clone(), ids).await {
            tracing::error!(%error, %user, "decisions that a user was told of could not be forgotten; it is told again");
        }
    }
}

fn declined(reason: Reason, desc: &str) -> Answer {
    Answer::rejected(Some(Op::Join), reason, desc)
}
