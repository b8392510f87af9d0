//! Group requests: user ID and group ID, group ID alone, or user ID alone, from whatever side they come.

use bytes::Bytes;
use serde::Deserialize;

use super::{Answer, Gateway, GroupEntry, Op, Reason, Status, Turn};
use crate::clock;
use crate::config::AssignRule;
use crate::ids::{GroupId, UserId};
use crate::log_limit::LogLimit;
use crate::store::{
    Bind, Bound, Deleted, Error, GroupView, Membership, PendingReply, Released, Removal, Source, Unbound,
};

/// A group request as it comes in; every field but `op` may be missing.
#[derive(Debug, Clone, Deserialize)]
pub struct GroupRequest {
    pub op: Op,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    /// Where the answer goes besides `$push/response`; not part of the payload.
    #[serde(skip)]
    pub response_topic: Option<String>,
    #[serde(skip)]
    pub correlation: Option<Bytes>,
}

/// What became of a SUBSCRIBE that is a group request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeOutcome {
    Granted,
    /// Not now, or not at all.
    Refused,
    /// The store could not answer.
    Failed,
}

/// What the deletion of a group did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Members.
    pub unbound: u64,
    /// Pushes to it that were not over for everybody when it began.
    pub pushes_ended: u64,
}

/// A request whose names have been checked.
struct Checked {
    op: Op,
    user: UserId,
    group: Option<GroupId>,
    reply: PendingReply,
}

impl Gateway {
    /// Carries out a group request. `session` is the user its connection acts for, if any; a request may name another.
    /// With the answer comes the user that was named and accepted, for the connection to act for from then on.
    pub async fn group_request(&self, request: GroupRequest, session: Option<&UserId>) -> (Answer, Option<UserId>) {
        let (op, id) = (request.op, request.id.clone());
        let named = request.user.is_some();
        let (mut answer, user) = match check(request, session) {
            Ok(checked) => {
                let user = checked.user.clone();
                let mut answer = self.carry_out(checked).await.unwrap_or_else(|error| unavailable(op, &error));
                answer.user = Some(user.to_string());
                let accepted = named && answer.status != Status::Rejected;
                (answer, accepted.then_some(user))
            }
            Err(desc) => (Answer::rejected(Some(op), Reason::BadRequest, desc), None),
        };
        answer.id = id;
        (answer, user)
    }

    async fn carry_out(&self, request: Checked) -> Result<Answer, Error> {
        match (request.op, &request.group) {
            (Op::Join, Some(group)) => {
                let group = group.clone();
                self.join(request, group, Source::Join).await
            }
            (Op::Join, None) => match assigned(&self.rules.assign, &request.user) {
                Some(group) => self.join(request, group, Source::Assign).await,
                None => Ok(Answer::rejected(
                    Some(Op::Join),
                    Reason::NoGroupAssigned,
                    format!("no group is assigned to {}; name one", request.user),
                )),
            },
            (Op::Leave, Some(group)) => {
                let group = group.clone();
                self.leave(&request.user, group).await
            }
            (Op::Leave, None) => Ok(Answer::rejected(Some(Op::Leave), Reason::BadRequest, "a leave needs a group")),
            (Op::List, _) => self.list(&request.user).await,
        }
    }

    async fn join(&self, request: Checked, group: GroupId, source: Source) -> Result<Answer, Error> {
        let bound = self.bind(request.user, group.clone(), source, request.reply).await?;
        let mut answer = match bound {
            Bound::Member { .. } => {
                let mut answer = Answer::new(Op::Join, Status::Accepted);
                answer.topic = Some(group.topic());
                answer
            }
            Bound::Pending => {
                let mut answer = Answer::new(Op::Join, Status::Pending);
                answer.desc = Some("an operator decides; a second answer follows".into());
                answer
            }
            Bound::Closed => {
                Answer::rejected(Some(Op::Join), Reason::GroupClosed, format!("the group {group} takes no joins"))
            }
            Bound::Unknown => {
                Answer::rejected(Some(Op::Join), Reason::GroupUnknown, format!("there is no group {group}"))
            }
            Bound::LimitReached => Answer::rejected(
                Some(Op::Join),
                Reason::LimitReached,
                format!("a user may be in {} groups at most", self.rules.groups_per_user),
            ),
        };
        answer.group = Some(group.to_string());
        Ok(answer)
    }

    async fn leave(&self, user: &UserId, group: GroupId) -> Result<Answer, Error> {
        let mut answer = Answer::new(Op::Leave, Status::Accepted);
        match self.unbind(user, group.clone(), Removal::Leave).await? {
            Unbound::Left(_) => {}
            Unbound::StillSubscribed => {
                answer.desc = Some("an MQTT subscription still binds; unsubscribe to leave".into())
            }
            Unbound::NotBound => answer.desc = Some("was not bound".into()),
        }
        answer.topic = Some(group.topic());
        answer.group = Some(group.to_string());
        Ok(answer)
    }

    async fn list(&self, user: &UserId) -> Result<Answer, Error> {
        let mut answer = Answer::new(Op::List, Status::Accepted);
        let entries = self.store.bindings(user.clone()).await?.into_iter().map(|binding| GroupEntry {
            topic: binding.group.topic(),
            group: binding.group.to_string(),
            joined_at: clock::format_utc(binding.joined_at),
        });
        answer.groups = Some(entries.collect());
        Ok(answer)
    }

    /// Binds, and lets the user's terminals know before it answers.
    pub async fn bind(
        &self,
        user: UserId,
        group: GroupId,
        source: Source,
        reply: PendingReply,
    ) -> Result<Bound, Error> {
        let _one_at_a_time = self.locks.lock(&user).await;
        let bind = self.binding(user.clone(), group.clone(), source, reply.clone());
        let bound = self.store.bind(bind).await?;
        self.attach(&user, &bound).await;
        // Who asks again and is accepted by now has that answer.
        let asked_again = |waited: &PendingReply| source == Source::Join && *waited == reply;
        if !matches!(&bound, Bound::Member { waited: Some(waited), .. } if asked_again(waited)) {
            self.answer_waiting(&user, &group, &bound).await;
        }
        Ok(bound)
    }

    /// Takes reasons for a binding away; settles before and detaches after.
    pub async fn unbind(&self, user: &UserId, group: GroupId, removal: Removal) -> Result<Unbound, Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        self.terminals().settle(user).await;
        let unbound = self.store.unbind(user.clone(), group, removal, clock::now()).await?;
        if let Unbound::Left(flow) = unbound {
            self.terminals().detach(user, flow).await;
        }
        Ok(unbound)
    }

    /// A SUBSCRIBE to a group's topic: a binding that lives as long as the session or the subscription.
    pub async fn subscribe_group(&self, client: &str, user: &UserId, group: GroupId, qos: u8) -> SubscribeOutcome {
        let _one_at_a_time = self.locks.lock(user).await;
        let filter = group.topic();
        let bind = self.binding(user.clone(), group.clone(), Source::Subscribe, PendingReply::default());
        match self.store.subscribe(client.to_owned(), user.clone(), filter, qos, Some(bind)).await {
            Ok((Some(bound @ Bound::Member { .. }), released)) => {
                self.detach_released(released).await;
                self.attach(user, &bound).await;
                self.answer_waiting(user, &group, &bound).await;
                SubscribeOutcome::Granted
            }
            Ok(_) => SubscribeOutcome::Refused,
            Err(error) => {
                tracing::error!(%error, %user, "a subscription could not be stored");
                SubscribeOutcome::Failed
            }
        }
    }

    /// An UNSUBSCRIBE from a group's topic.
    pub async fn unsubscribe_group(&self, client: &str, user: &UserId, filter: &str) -> Result<(), Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        self.terminals().settle(user).await;
        let released = self.store.unsubscribe(client.to_owned(), filter.to_owned(), clock::now()).await?;
        self.detach_released(released).await;
        Ok(())
    }

    pub(super) async fn detach_released(&self, released: impl IntoIterator<Item = Released>) {
        for Released { user, flow } in released {
            self.terminals().detach(&user, flow).await;
        }
    }

    async fn attach(&self, user: &UserId, bound: &Bound) {
        if let Bound::Member { membership, .. } = bound {
            self.attach_member(user, membership.clone()).await;
        }
    }

    async fn attach_member(&self, user: &UserId, membership: Membership) {
        self.terminals().attach(user, membership).await;
    }

    fn binding(&self, user: UserId, group: GroupId, source: Source, reply: PendingReply) -> Bind {
        Bind {
            user,
            group,
            source,
            create: self.rules.create,
            limit: self.rules.groups_per_user,
            reply,
            now: clock::now(),
        }
    }

    /// An operator's decision on a pending join; `false` where none is pending.
    pub async fn decide(&self, group: GroupId, user: &UserId, approve: bool) -> Result<bool, Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        let Some(decided) = self.store.decide(group.clone(), user.clone(), approve, clock::now()).await? else {
            return Ok(false);
        };
        let refusal = match decided.membership {
            Some(membership) => {
                self.attach_member(user, membership).await;
                None
            }
            None => Some((Reason::NotAuthorized, "an operator declined")),
        };
        self.answer_late(user, &group, decided.reply, refusal).await;
        Ok(true)
    }

    /// The second answer to a join that waited for a decision, where something else has made the user a member.
    async fn answer_waiting(&self, user: &UserId, group: &GroupId, bound: &Bound) {
        if let Bound::Member { waited: Some(reply), .. } = bound {
            self.answer_late(user, group, reply.clone(), None).await;
        }
    }

    async fn answer_late(
        &self,
        user: &UserId,
        group: &GroupId,
        reply: PendingReply,
        refusal: Option<(Reason, &'static str)>,
    ) {
        let mut answer = match refusal {
            Some((reason, desc)) => Answer::rejected(Some(Op::Join), reason, desc),
            None => Answer { topic: Some(group.topic()), ..Answer::new(Op::Join, Status::Accepted) },
        };
        answer.id.clone_from(&reply.request_id);
        answer.user = Some(user.to_string());
        answer.group = Some(group.to_string());
        self.terminals().answer(user, reply, answer.to_json()).await;
    }

    /// Makes a group or changes its policy.
    pub async fn put_group(
        &self,
        group: GroupId,
        policy: Option<crate::ids::JoinPolicy>,
    ) -> Result<(GroupView, bool), Error> {
        self.store.put_group(group, policy, self.rules.default_policy, clock::now()).await
    }

    /// Unbinds everybody, then deletes the group; answers what that did, or `None` for an unknown group.
    pub async fn delete_group(&self, group: &GroupId) -> Result<Option<Removed>, Error> {
        let mut removed = Removed { unbound: 0, pushes_ended: self.store.open_pushes(group.clone()).await? };
        loop {
            match self.store.delete_group(group.clone(), 500, clock::now()).await? {
                Deleted::Unknown => return Ok(None),
                Deleted::Gone(waited) => {
                    for (user, reply) in waited {
                        let refusal = (Reason::GroupUnknown, "the group was deleted");
                        self.answer_late(&user, group, reply, Some(refusal)).await;
                    }
                    tracing::info!(%group, removed.unbound, removed.pushes_ended, "a group was removed");
                    return Ok(Some(removed));
                }
                Deleted::Members(users) => {
                    for user in users {
                        let left = self.unbind(&user, group.clone(), Removal::Everything).await?;
                        removed.unbound += u64::from(left != Unbound::NotBound);
                    }
                }
            }
        }
    }

    /// A user's turn: no join or leave of this user is under way while it is held. `None` where so many wait for it already.
    pub async fn enter(&self, user: &UserId, crowd: usize) -> Option<Turn> {
        self.locks.lock_unless_crowded(user, crowd).await
    }

    /// Runs `arrive` while no join or leave of this user is under way.
    pub async fn while_still<T>(&self, user: &UserId, arrive: impl Future<Output = T>) -> T {
        let _one_at_a_time = self.locks.lock(user).await;
        arrive.await
    }
}

fn check(request: GroupRequest, session: Option<&UserId>) -> Result<Checked, String> {
    let user = match (&request.user, session) {
        (Some(text), _) => UserId::parse(text).map_err(|error| error.to_string())?,
        (None, Some(user)) => user.clone(),
        (None, None) => return Err("the connection has no user ID of its own: name a user".into()),
    };
    let group = request.group.as_deref().map(GroupId::parse).transpose().map_err(|error| error.to_string())?;
    if request.id.as_ref().is_some_and(|id| id.len() > 255) {
        return Err("an id has 255 bytes at most".into());
    }
    let reply = PendingReply {
        request_id: request.id,
        response_topic: request.response_topic,
        correlation: request.correlation,
    };
    Ok(Checked { op: request.op, user, group, reply })
}

fn unavailable(op: Op, error: &Error) -> Answer {
    static FAILED: LogLimit = LogLimit::new(1);
    if let Some(left_out) = FAILED.pass() {
        tracing::error!(%error, ?op, left_out, "a group request failed");
    }
    Answer::rejected(Some(op), Reason::Unavailable, "the gateway cannot do this now; try again")
}

/// The group of the first rule whose pattern matches. Patterns and groups were checked with the configuration.
fn assigned(rules: &[AssignRule], user: &UserId) -> Option<GroupId> {
    rules.iter().find(|rule| matches(&rule.pattern, user.as_str())).and_then(|rule| GroupId::parse(&rule.group).ok())
}

/// `*` matches any run of characters, everything else itself. Linear in practice and never worse than length × stars.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let middle: &str = middle;
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.ends_with(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_a_shell_star() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("sip:*@factory.example", "sip:a@factory.example", true),
            ("sip:*@factory.example", "sip:a@other.example", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab", "ab", true),
            ("ab", "abc", false),
            ("*ab*ab", "xab", false),
            ("*ab*ab", "ab-ab", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
