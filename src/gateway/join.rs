//! Group requests: user ID and group ID, group ID alone, or user ID alone, from whatever side they come.

use bytes::Bytes;
use serde::Deserialize;

use super::rules::Rules;
use super::{Answer, Gateway, GroupEntry, Op, Reason, Status, Turn, group_assignment};
use crate::caller::Caller;
use crate::clock;
use crate::ids::{GroupId, UserId};
use crate::log_limit::LogLimit;
use crate::policy::{self, Action};
use crate::signals::Event;
use crate::store::{Bind, Bound, Error, Hand, Limit, PendingReply, Removal, Source, Unbound, Wish};

/// Longest Response Topic, and longest Correlation Data, of a join.
const REPLY_MAX: usize = 1_024;

/// A group request as it comes in; every field but `op` may be missing.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"op": "join", "user": "sip:alice@example.com", "group": "news"}))]
pub struct GroupRequest {
    pub op: Op,
    /// Comes back in the answer.
    #[serde(default)]
    pub id: Option<String>,
    /// Whose it is; from a terminal, its own user if it is missing.
    #[serde(default)]
    pub user: Option<String>,
    /// The group, except with `list`; without it a `join` is assigned one where the configuration says how.
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

/// A filter that is to be kept with a session.
#[derive(Debug)]
pub struct Subscribing {
    pub filter: String,
    /// Quality of service and No Local, as in SUBSCRIBE.
    pub options: u8,
    /// The group whose topic it is.
    pub group: Option<GroupId>,
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
    pub async fn group_request(
        &self,
        request: GroupRequest,
        caller: &Caller,
        session: Option<&UserId>,
    ) -> (Answer, Option<UserId>) {
        let (op, id) = (request.op, request.id.clone());
        let named = request.user.is_some();
        let (mut answer, user) = match check(request, session) {
            Ok(checked) => {
                if let Err(desc) = self.check_caller(&checked, caller) {
                    let mut answer = Answer::rejected(Some(op), Reason::NotAuthorized, desc);
                    answer.id = id;
                    self.tell_of_refusal(&answer, Some(checked.user.as_str()));
                    return (answer, None);
                }
                let user = checked.user.clone();
                let mut answer = self.carry_out(checked).await.unwrap_or_else(|error| unavailable(op, &error));
                answer.user = Some(user.to_string());
                let accepted = named && matches!(caller, Caller::Anybody { .. }) && answer.status != Status::Rejected;
                (answer, accepted.then_some(user))
            }
            Err(desc) => (Answer::rejected(Some(op), Reason::BadRequest, desc), None),
        };
        answer.id = id;
        self.tell_of_refusal(&answer, answer.user.as_deref());
        (answer, user)
    }

    fn tell_of_refusal(&self, answer: &Answer, user: Option<&str>) {
        let Some(reason) = answer.reason.filter(|_| answer.op == Some(Op::Join)) else { return };
        self.signals.report(Event::Refused {
            what: "join",
            who: user.unwrap_or_default().to_owned(),
            user: user.map(ToOwned::to_owned),
            push_id: None,
            code: reason.name().into(),
            desc: answer.desc.clone().unwrap_or_default(),
            request: None,
        });
    }

    /// Whether the caller may act for this user, and let it into this group.
    fn check_caller(&self, request: &Checked, caller: &Caller) -> Result<(), String> {
        let is_own = matches!(caller, Caller::Device(own) if *own == request.user);
        let action = if is_own { Action::JoinGroups } else { Action::JoinGroupsForOthers };
        if !policy::may(caller, action) {
            return Err(format!("{} is not allowed here", action.name()));
        }
        match &request.group {
            Some(group) if request.op == Op::Join && !self.policy().may_join(caller, &request.user, group) => {
                Err(format!("the group {group} is not for {}", request.user))
            }
            _ => Ok(()),
        }
    }

    async fn carry_out(&self, request: Checked) -> Result<Answer, Error> {
        match (request.op, &request.group) {
            (Op::Join, Some(group)) => {
                let group = group.clone();
                self.join(request, group, Source::Join).await
            }
            (Op::Join, None) => match group_assignment::assigned(&self.rules().assign, &request.user) {
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
        let who = request.user.clone();
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
            Bound::LimitReached(limit) => {
                self.over_limit(limit.key(), &who);
                Answer::rejected(Some(Op::Join), Reason::LimitReached, self.limit_text(limit))
            }
        };
        answer.group = Some(group.to_string());
        Ok(answer)
    }

    async fn leave(&self, user: &UserId, group: GroupId) -> Result<Answer, Error> {
        let mut answer = Answer::new(Op::Leave, Status::Accepted);
        match self.unbind(user, group.clone(), Removal::Leave).await? {
            Unbound::Left => {}
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
        let bound = self.store.bind(self.binding(user.clone(), group, source, reply)).await?;
        self.in_force(&user, [&bound]).await;
        Ok(bound)
    }

    /// An operator puts a user into a group, whether or not it is there or ever was.
    pub async fn add_member(&self, caller: &Caller, user: UserId, group: GroupId) -> Result<Bound, Error> {
        let (who, object) = (user.to_string(), format!("group {group}"));
        let _one_at_a_time = self.locks.lock(&user).await;
        let mut bind = self.binding(user.clone(), group, Source::Operator, PendingReply::default());
        bind.hand = Hand::Operator(caller.hand());
        let bound = self.store.bind(bind).await?;
        self.in_force(&user, [&bound]).await;
        if matches!(bound, Bound::Member { fresh: true, .. }) {
            self.changed(caller, "add", object, format!("member {who}")).await;
        }
        Ok(bound)
    }

    /// An operator takes a user out of a group, for whatever reason it is in it.
    pub async fn remove_member(&self, caller: &Caller, user: &UserId, group: GroupId) -> Result<Unbound, Error> {
        let object = format!("group {group}");
        let unbound = self.unbind(user, group, Removal::Everything(caller.hand())).await?;
        if unbound == Unbound::Left {
            self.changed(caller, "remove", object, format!("member {user}")).await;
        }
        Ok(unbound)
    }

    /// Takes reasons for a binding away. Once this returns, its terminals get nothing of the group.
    pub async fn unbind(&self, user: &UserId, group: GroupId, removal: Removal) -> Result<Unbound, Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        self.terminals().settle(user).await;
        let unbound = self.store.unbind(user.clone(), group, removal, clock::now()).await?;
        if unbound == Unbound::Left {
            self.feed.until_in_force().await;
        }
        Ok(unbound)
    }

    /// A SUBSCRIBE to a group's topic: a binding that lives as long as the session or the subscription.
    pub async fn subscribe(&self, client: &str, user: &UserId, filters: Vec<Subscribing>) -> Vec<SubscribeOutcome> {
        let _one_at_a_time = self.locks.lock(user).await;
        let bind = |group| self.binding(user.clone(), group, Source::Subscribe, PendingReply::default());
        let count = filters.len();
        let wishes = filters.into_iter().map(|one| {
            let Subscribing { filter, options, group } = one;
            Wish { filter, options, bind: group.map(bind) }
        });
        match self.store.subscribe(client.to_owned(), user.clone(), wishes.collect(), clock::now()).await {
            Ok(answers) => {
                for bound in answers.iter().flatten() {
                    if let Bound::LimitReached(limit) = bound {
                        self.over_limit(limit.key(), user);
                    }
                }
                self.in_force(user, answers.iter().flatten()).await;
                let granted = |bound: &Option<Bound>| matches!(bound, None | Some(Bound::Member { .. }));
                let outcome =
                    |bound| if granted(bound) { SubscribeOutcome::Granted } else { SubscribeOutcome::Refused };
                answers.iter().map(outcome).collect()
            }
            Err(error) => {
                tracing::error!(%error, %user, "subscriptions could not be stored");
                vec![SubscribeOutcome::Failed; count]
            }
        }
    }

    /// An UNSUBSCRIBE from a group's topic.
    pub async fn unsubscribe_group(&self, client: &str, user: &UserId, filter: &str) -> Result<(), Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        self.terminals().settle(user).await;
        self.store.unsubscribe(client.to_owned(), filter.to_owned(), clock::now()).await?;
        self.feed.until_in_force().await;
        Ok(())
    }

    /// Waits until the user's terminals get what it is a member of, and tells them of a join that had waited.
    async fn in_force<'a>(&self, user: &UserId, bound: impl IntoIterator<Item = &'a Bound>) {
        let mut told = false;
        for bound in bound {
            told |= matches!(bound, Bound::Member { waited: true, .. });
        }
        self.feed.until_in_force().await;
        if told {
            self.send_answers(user).await;
        }
    }

    /// What a limit says to whom it stops.
    #[must_use]
    pub fn limit_text(&self, limit: Limit) -> String {
        let limits = self.rules().limits;
        match limit {
            Limit::GroupsOfUser => {
                format!(
                    "a user may be in {} groups at most, joins that wait for a decision included (mqtt.max_groups_per_user)",
                    limits.of_user
                )
            }
            Limit::Groups => format!("there may be {} groups at most (groups.max)", limits.groups),
            Limit::GroupsMade => format!(
                "joins of one user may make {} groups at most that still exist (groups.max_made_per_user)",
                limits.made
            ),
            Limit::Users => format!("there may be {} users at most (store.max_users)", limits.users),
            Limit::Size | Limit::PendingOfInitiator | Limit::PushesOfDay => {
                format!("the store is as large as it may be ({})", limit.key())
            }
            Limit::Requests => {
                format!("{} joins may wait for a decision at most (groups.max_pending)", limits.requests)
            }
        }
    }

    fn binding(&self, user: UserId, group: GroupId, source: Source, reply: PendingReply) -> Bind {
        let hand = match source {
            Source::Join | Source::Operator => Hand::Terminal,
            Source::Subscribe => Hand::Subscription,
            Source::Assign => Hand::Rule,
        };
        let Rules { create, limits, .. } = &*self.rules();
        Bind { user, group, source, hand, create: *create, limits: *limits, reply, now: clock::now() }
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
    // They are kept with a join that waits for a decision.
    let too_long = |length: Option<usize>| length.is_some_and(|length| length > REPLY_MAX);
    if request.op == Op::Join
        && (too_long(request.response_topic.as_ref().map(String::len))
            || too_long(request.correlation.as_ref().map(Bytes::len)))
    {
        return Err(format!(
            "the Response Topic and the Correlation Data of a join have {REPLY_MAX} bytes at most each"
        ));
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
