//! SUBSCRIBE and UNSUBSCRIBE: what each filter means here, and the answer the protocol has for it.

use std::collections::HashSet;
use std::rc::Rc;

use super::codec::{Filter, Reply, Version, reason};
use super::connection::{Close, Conn, Subscription};
use super::trace_readers::is_trace;
use super::worker::Worker;
use super::{attach, client_messages, sign_in, topic_filters, wildcard_watch};
use crate::gateway::{SubscribeOutcome, Subscribing};
use crate::ids::{GroupId, Target, UserId};
use crate::policy::{self, Action};

/// Where answers to group requests arrive.
pub(super) const RESPONSE: &str = "$push/response";

/// What a filter asks for.
enum Meaning {
    /// A group request.
    Group(GroupId),
    /// Granted, and changes nothing: the user's own pushes and answers come anyway.
    Already,
    /// Only watches, at QoS 0.
    Watch,
    /// Topics that the ACL opens.
    Open,
    Refused(u8),
}

fn meaning(worker: &Worker, conn: &Conn, filter: &str) -> Meaning {
    if filter.starts_with("$share/") || filter == "$share" {
        return Meaning::Refused(reason::SHARED_NOT_SUPPORTED);
    }
    if !topic_filters::is_filter(filter) {
        return Meaning::Refused(reason::FILTER_INVALID);
    }
    if filter.len() > worker.settings().max_topic {
        return Meaning::Refused(over_limit(worker, conn, "mqtt.max_topic"));
    }
    if let Some(rest) = filter.strip_prefix(RESPONSE) {
        let ours = rest.is_empty() || rest.starts_with('/');
        return if ours { Meaning::Already } else { Meaning::Refused(reason::NOT_AUTHORIZED) };
    }
    if filter.starts_with('$') && !is_trace(filter) {
        return Meaning::Refused(reason::NOT_AUTHORIZED);
    }
    if wildcard_watch::is_watching(filter) {
        let allowed = policy::may(&sign_in::caller(conn), Action::Watch);
        return if allowed { Meaning::Watch } else { Meaning::Refused(reason::NOT_AUTHORIZED) };
    }
    let papcasts = matches!(filter.split('/').next(), Some("groups" | "users"));
    let state = conn.state.borrow();
    let Some(session) = &state.session else { return Meaning::Refused(reason::UNSPECIFIED) };
    if papcasts {
        return match Target::from_topic(filter) {
            Some(Target::Group(group)) if may_join(worker, conn, &group) => Meaning::Group(group),
            Some(Target::Group(_)) => Meaning::Refused(reason::NOT_AUTHORIZED),
            Some(Target::User(user)) if session.user.as_ref() == Some(&user) => Meaning::Already,
            Some(Target::User(_)) => Meaning::Refused(reason::NOT_AUTHORIZED),
            None => Meaning::Refused(reason::FILTER_INVALID),
        };
    }
    if worker.settings().acl.may_subscribe(filter, session.user.as_ref(), &session.client_id) {
        Meaning::Open
    } else {
        Meaning::Refused(reason::NOT_AUTHORIZED)
    }
}

/// Whether the rules of the configuration let this connection into a group.
fn may_join(worker: &Worker, conn: &Conn, group: &GroupId) -> bool {
    let user = identity(conn).map(|(_, user)| user);
    user.is_none_or(|user| worker.gateway.policy().may_join(&sign_in::caller(conn), &user, group))
}

/// What becomes of one filter of a SUBSCRIBE.
enum Plan {
    /// It is answered, and nothing changes.
    Answer(u8),
    /// It is kept with the connection; `stored` with its session as well.
    Keep { subscription: Subscription, group: Option<GroupId>, stored: bool },
}

/// Answers a SUBSCRIBE: one code for each filter, in order. What has to be stored is stored in one go.
pub(super) async fn subscribe(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    version: Version,
    id: u16,
    filters: Vec<Filter>,
) -> Result<(), Close> {
    let plans = plan(worker, conn, filters);
    let wishes: Vec<Subscribing> = plans
        .iter()
        .filter_map(|plan| match plan {
            Plan::Keep { subscription, group, stored: true } => Some(Subscribing {
                filter: subscription.filter.clone(),
                options: subscription.options(),
                group: group.clone(),
            }),
            Plan::Keep { .. } | Plan::Answer(_) => None,
        })
        .collect();
    let mut outcomes = store_all(worker, conn, wishes).await.into_iter();
    let mut codes = Vec::with_capacity(plans.len());
    for plan in plans {
        codes.push(match plan {
            Plan::Answer(code) => code,
            Plan::Keep { subscription, stored, .. } => {
                let outcome = if stored { outcomes.next() } else { Some(SubscribeOutcome::Granted) };
                match outcome.unwrap_or(SubscribeOutcome::Failed) {
                    SubscribeOutcome::Granted => {
                        let qos = subscription.qos;
                        remember(worker, conn, subscription);
                        qos
                    }
                    // Whatever the reason, a group request that is refused has this one code.
                    SubscribeOutcome::Refused => reason::NOT_AUTHORIZED,
                    SubscribeOutcome::Failed => reason::UNSPECIFIED,
                }
            }
        });
    }
    set_qos(worker, conn);
    conn.reply(version, &Reply::SubAck { id, codes });
    Ok(())
}

fn plan(worker: &Worker, conn: &Conn, filters: Vec<Filter>) -> Vec<Plan> {
    let mut known: HashSet<String> = {
        let state = conn.state.borrow();
        state.subscriptions.iter().map(|known| known.filter.clone()).collect()
    };
    let mut plans = Vec::with_capacity(filters.len());
    let most = worker.settings().max_subscriptions;
    for (at, filter) in filters.into_iter().enumerate() {
        // One packet must not keep its connection busy for long, with the same filter again and again neither.
        let full = at >= most || (!known.contains(&filter.text) && known.len() >= most);
        let plan = if full {
            Plan::Answer(over_limit(worker, conn, "mqtt.max_subscriptions"))
        } else {
            plan_one(worker, conn, &filter)
        };
        if let Plan::Keep { subscription, .. } = &plan {
            known.insert(subscription.filter.clone());
        }
        plans.push(plan);
    }
    plans
}

fn plan_one(worker: &Worker, conn: &Conn, filter: &Filter) -> Plan {
    let qos = filter.qos.min(1);
    let (is_bridge, lasting) = {
        let state = conn.state.borrow();
        (state.is_bridge, state.expiry > 0)
    };
    let no_local = filter.no_local || is_bridge;
    let keep = |qos, group: Option<GroupId>, stored| Plan::Keep {
        subscription: Subscription { filter: filter.text.clone(), qos, no_local },
        group,
        stored,
    };
    match meaning(worker, conn, &filter.text) {
        Meaning::Refused(code) => Plan::Answer(code),
        Meaning::Already => Plan::Answer(qos),
        Meaning::Group(_) if identity(conn).is_none() => Plan::Answer(reason::NOT_AUTHORIZED),
        Meaning::Group(group) => keep(qos, Some(group), true),
        Meaning::Watch if !may_watch(worker, conn) => Plan::Answer(over_limit(worker, conn, "mqtt.max_watchers")),
        Meaning::Watch | Meaning::Open => {
            let takes_ours = is_trace(&filter.text) || topic_filters::has_wildcard(&filter.text);
            let watches_only = takes_ours && !is_open(worker, conn, &filter.text);
            // A filter of a session that may be resumed has to be resumed with it.
            keep(if watches_only { 0 } else { qos }, None, lasting && identity(conn).is_some())
        }
    }
}

async fn store_all(worker: &Rc<Worker>, conn: &Rc<Conn>, wishes: Vec<Subscribing>) -> Vec<SubscribeOutcome> {
    let Some((client, user)) = identity(conn).filter(|_| !wishes.is_empty()) else { return Vec::new() };
    // Set before: once the store knows the session, its end has to be stored, however this goes on.
    conn.state.borrow_mut().stored = true;
    worker.gateway.subscribe(&client, &user, wishes).await
}

/// Counts it; answers the code that says so.
fn over_limit(worker: &Worker, conn: &Conn, limit: &'static str) -> u8 {
    worker.gateway.over_limit(limit, conn.remote);
    reason::QUOTA_EXCEEDED
}

/// Those who watch are limited in number.
fn may_watch(worker: &Worker, conn: &Conn) -> bool {
    worker.table.borrow().is_watching(conn.id) || worker.registry.may_watch()
}

fn is_open(worker: &Worker, conn: &Conn, filter: &str) -> bool {
    let state = conn.state.borrow();
    let session = state.session.as_ref();
    session
        .is_some_and(|session| worker.settings().acl.may_subscribe(filter, session.user.as_ref(), &session.client_id))
}

/// Who a connection is, for the gateway.
fn identity(conn: &Conn) -> Option<(String, UserId)> {
    let state = conn.state.borrow();
    let session = state.session.as_ref()?;
    Some((session.client_id.clone(), session.user.clone()?))
}

fn remember(worker: &Worker, conn: &Conn, subscription: Subscription) {
    let mut state = conn.state.borrow_mut();
    if state.session.is_none() {
        return;
    }
    if let Some(known) = state.subscriptions.iter_mut().find(|known| known.filter == subscription.filter) {
        *known = subscription;
        return;
    }
    client_messages::add(worker, &subscription.filter, conn.id);
    state.subscriptions.push(subscription);
}

/// Brings the delivery of each group to the QoS of its subscription; none means as the push wants it.
pub(super) fn set_qos(worker: &Worker, conn: &Conn) {
    let lowered: Vec<String> = {
        let state = conn.state.borrow();
        state.subscriptions.iter().filter(|known| known.qos == 0).map(|known| known.filter.clone()).collect()
    };
    conn.with_session(|session, _, _| {
        let flows: Vec<_> = session.flow_ids().collect();
        let table = worker.table.borrow();
        for flow in flows {
            let qos0 = table.topic_name(flow).is_some_and(|topic| lowered.iter().any(|filter| filter == topic));
            session.set_qos0(flow, qos0);
        }
    });
}

/// Answers an UNSUBSCRIBE, for filters that were never subscribed to as well.
pub(super) async fn unsubscribe(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    version: Version,
    id: u16,
    filters: Vec<String>,
) -> Result<(), Close> {
    let mut codes = Vec::with_capacity(filters.len());
    for filter in filters {
        codes.push(unsubscribe_one(worker, conn, &filter).await);
    }
    conn.reply(version, &Reply::UnsubAck { id, codes });
    Ok(())
}

async fn unsubscribe_one(worker: &Rc<Worker>, conn: &Rc<Conn>, filter: &str) -> u8 {
    if !topic_filters::is_filter(filter) {
        return reason::FILTER_INVALID;
    }
    if !conn.state.borrow().subscriptions.iter().any(|known| known.filter == filter) {
        return reason::NO_SUBSCRIPTION;
    }
    let stored = conn.state.borrow().stored;
    if let Some((client, user)) = identity(conn).filter(|_| stored) {
        // First: what could not be stored has not ended, and can be tried again.
        if let Err(error) = worker.gateway.unsubscribe_group(&client, &user, filter).await {
            tracing::error!(%error, "the end of a subscription could not be stored");
            return reason::UNSPECIFIED;
        }
    }
    {
        let mut state = conn.state.borrow_mut();
        state.subscriptions.retain(|known| known.filter != filter);
        client_messages::remove(&mut worker.table.borrow_mut(), filter, conn.id);
        client_messages::remove_wild(worker, &state.subscriptions, conn.id);
    }
    set_qos(worker, conn);
    reason::SUCCESS
}

/// The connection acts for another user from now on; its group subscriptions go with it.
pub(super) async fn switch_user(worker: &Rc<Worker>, conn: &Rc<Conn>, user: UserId) {
    let (client, old, groups) = {
        let state = conn.state.borrow();
        let Some(session) = &state.session else { return };
        if session.user.as_ref() == Some(&user) {
            return;
        }
        let groups: Vec<Subscription> = state
            .subscriptions
            .iter()
            .filter(|known| known.filter.starts_with(crate::ids::GROUP_PREFIX))
            .cloned()
            .collect();
        (session.client_id.clone(), session.user.clone(), groups)
    };
    let exact: Vec<(GroupId, u8)> = groups
        .iter()
        .filter_map(|known| match Target::from_topic(&known.filter) {
            Some(Target::Group(group)) => Some((group, known.qos)),
            _ => None,
        })
        .collect();
    match &old {
        Some(old) => leave_old(worker, conn, &client, old, &exact, &user).await,
        None => become_user(conn, &user),
    }
    worker
        .gateway
        .while_still(&user, async {
            use crate::gateway::Terminals;
            worker.registry.settle(&user).await;
            if conn.is_closing() {
                return;
            }
            worker.table.borrow_mut().enter(user.clone(), conn.id);
            attach::enter_user(worker, conn, &user);
            attach::attach_user(worker, conn, &user).await;
            worker.gateway.send_answers(&user).await;
        })
        .await;
    let wishes = exact.iter().map(|(group, qos)| Subscribing {
        filter: group.topic(),
        options: *qos,
        group: Some(group.clone()),
    });
    let outcomes = store_all(worker, conn, wishes.collect()).await;
    for ((group, _), outcome) in exact.iter().zip(outcomes) {
        if outcome != SubscribeOutcome::Granted {
            let filter = group.topic();
            conn.state.borrow_mut().subscriptions.retain(|known| known.filter != filter);
        }
    }
    set_qos(worker, conn);
}

/// A session is resumed by the user it began with: what it subscribed to while it acted for somebody else goes with it.
pub(super) async fn reclaim(worker: &Worker, client: &str, user: &UserId) {
    let foreign = match worker.gateway.store().foreign_subscriptions(client.to_owned(), user.clone()).await {
        Ok(foreign) => foreign,
        Err(error) => {
            tracing::error!(%error, client, "the subscriptions of a session could not be read");
            return;
        }
    };
    for (filter, qos, other) in foreign {
        if let Err(error) = worker.gateway.unsubscribe_group(client, &other, &filter).await {
            tracing::error!(%error, client, "the end of a subscription could not be stored");
        } else if let Some(Target::Group(group)) =
            Target::from_topic(&filter).filter(|_| !worker.gateway.requires_sign_in())
        {
            let again = Subscribing { filter, options: qos, group: Some(group) };
            worker.gateway.subscribe(client, user, vec![again]).await;
        }
    }
}

fn become_user(conn: &Conn, user: &UserId) {
    if let Some(session) = conn.state.borrow_mut().session.as_mut() {
        session.user = Some(user.clone());
    }
}

async fn leave_old(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    client: &str,
    old: &UserId,
    groups: &[(GroupId, u8)],
    new: &UserId,
) {
    for (group, _) in groups {
        if let Err(error) = worker.gateway.unsubscribe_group(client, old, &group.topic()).await {
            tracing::error!(%error, "the end of a subscription could not be stored");
        }
    }
    worker.list(conn);
    worker.settle().await;
    // No join of the old user may reach this connection between these steps.
    worker
        .gateway
        .while_still(old, async {
            let served: Vec<_> = {
                let state = conn.state.borrow();
                state.session.as_ref().map(|session| session.bindings().collect()).unwrap_or_default()
            };
            for (flow, binding) in served {
                worker.detach(conn, flow, binding);
            }
            worker.table.borrow_mut().leave(old, conn.id);
            worker.registry.leave(old, worker.at(conn));
            become_user(conn, new);
        })
        .await;
}
