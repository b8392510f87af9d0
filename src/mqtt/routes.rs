//! A worker's tables: which of its connections want which flow, which act for which user, and which filters they have
//! beside that.

use std::collections::HashMap;
use std::rc::Rc;

use indexmap::{IndexMap, IndexSet};

use super::connection::Conn;
use super::connection_id::ConnId;
use crate::broker::{Channel, FeedWants};
use crate::ids::{Target, UserId};
use crate::parcel::{FlowId, Seq};

/// One flow that some connection of this worker serves.
#[derive(Debug)]
pub(super) struct Topic {
    wanted: Channel,
    /// Where the broker brings it.
    at: Channel,
    /// The newest seq that arrived.
    pub(super) seen: Seq,
    /// The connections themselves: a push goes through all of them, and a look-up for each would be felt.
    pub(super) members: IndexMap<ConnId, Rc<Conn>>,
}

#[derive(Debug)]
pub(super) struct Table {
    wants: FeedWants,
    topics: HashMap<FlowId, Topic>,
    users: HashMap<UserId, IndexSet<ConnId>>,
    /// Exact topics that the ACL opens.
    open_exact: HashMap<String, IndexSet<ConnId>>,
    /// Connections with a filter that has wildcards.
    wild: IndexSet<ConnId>,
    /// Those among them whose wildcards take pushes.
    watching: IndexSet<ConnId>,
}

impl Table {
    pub(super) fn new(wants: FeedWants) -> Self {
        Self {
            wants,
            topics: HashMap::new(),
            users: HashMap::new(),
            open_exact: HashMap::new(),
            wild: IndexSet::new(),
            watching: IndexSet::new(),
        }
    }

    /// The connection wants a flow. The broker's subscription stands when this returns.
    pub(super) fn attach(&mut self, flow: FlowId, target: &Target, conn: &Rc<Conn>) {
        let wants = &mut self.wants;
        let topic = self.topics.entry(flow).or_insert_with(|| {
            let wanted = Channel::of(target);
            let at = wants.add(&wanted);
            Topic { wanted, at, seen: Seq::default(), members: IndexMap::new() }
        });
        topic.members.insert(conn.id, Rc::clone(conn));
    }

    pub(super) fn detach(&mut self, flow: FlowId, conn: ConnId) {
        let Some(topic) = self.topics.get_mut(&flow) else { return };
        topic.members.swap_remove(&conn);
        if topic.members.is_empty()
            && let Some(topic) = self.topics.remove(&flow)
        {
            self.wants.remove(&topic.wanted, &topic.at);
        }
    }

    /// Takes a connection out of everything but its wildcards.
    pub(super) fn purge(&mut self, conn: ConnId) {
        let flows: Vec<FlowId> = self.topics.keys().copied().collect();
        flows.into_iter().for_each(|flow| self.detach(flow, conn));
        let users: Vec<UserId> = self.users.keys().cloned().collect();
        users.iter().for_each(|user| self.leave(user, conn));
        let topics: Vec<String> = self.open_exact.keys().cloned().collect();
        topics.iter().for_each(|topic| self.remove_exact(topic, conn));
    }

    pub(super) fn topic(&mut self, flow: FlowId) -> Option<&mut Topic> {
        self.topics.get_mut(&flow)
    }

    /// The MQTT topic of a flow that is a group.
    pub(super) fn topic_name(&self, flow: FlowId) -> Option<&str> {
        match &self.topics.get(&flow)?.wanted {
            Channel::Group(topic) => Some(topic.as_str()),
            Channel::Shared(_) | Channel::Direct | Channel::Open | Channel::Watch => None,
        }
    }

    /// See [`FeedWants::nudge`].
    pub(super) fn nudge_router(&mut self) {
        self.wants.nudge();
    }

    pub(super) fn enter(&mut self, user: UserId, conn: ConnId) {
        // Who wants no direct pushes is not woken by them.
        if self.users.is_empty() {
            self.wants.add(&Channel::Direct);
        }
        self.users.entry(user).or_default().insert(conn);
    }

    pub(super) fn leave(&mut self, user: &UserId, conn: ConnId) {
        if let Some(present) = self.users.get_mut(user) {
            present.swap_remove(&conn);
            if present.is_empty() {
                self.users.remove(user);
                if self.users.is_empty() {
                    self.wants.remove(&Channel::Direct, &Channel::Direct);
                }
            }
        }
    }

    /// Whether any connection acts for this user, or is about to.
    pub(super) fn has(&self, user: &UserId) -> bool {
        self.users.contains_key(user)
    }

    pub(super) fn users(&self, user: &UserId) -> Vec<ConnId> {
        self.users.get(user).map(|present| present.iter().copied().collect()).unwrap_or_default()
    }

    pub(super) fn add_exact(&mut self, topic: &str, conn: ConnId) {
        if !self.open_exact.contains_key(topic) {
            self.wants.add(&Channel::Open);
        }
        self.open_exact.entry(topic.to_owned()).or_default().insert(conn);
    }

    pub(super) fn remove_exact(&mut self, topic: &str, conn: ConnId) {
        let Some(present) = self.open_exact.get_mut(topic) else { return };
        present.swap_remove(&conn);
        if present.is_empty() {
            self.open_exact.remove(topic);
            self.wants.remove(&Channel::Open, &Channel::Open);
        }
    }

    pub(super) fn add_wild(&mut self, conn: ConnId) {
        if self.wild.insert(conn) {
            self.wants.add(&Channel::Open);
        }
    }

    /// Answers whether it did not watch before.
    pub(super) fn watch(&mut self, conn: ConnId) -> bool {
        let new = self.watching.insert(conn);
        if new {
            self.wants.add(&Channel::Watch);
        }
        new
    }

    /// Answers whether it watched before.
    pub(super) fn unwatch(&mut self, conn: ConnId) -> bool {
        let known = self.watching.swap_remove(&conn);
        if known {
            self.wants.remove(&Channel::Watch, &Channel::Watch);
        }
        known
    }

    pub(super) fn is_watching(&self, conn: ConnId) -> bool {
        self.watching.contains(&conn)
    }

    pub(super) fn remove_wild(&mut self, conn: ConnId) {
        if self.wild.swap_remove(&conn) {
            self.wants.remove(&Channel::Open, &Channel::Open);
        }
    }

    pub(super) fn watchers(&self) -> Vec<ConnId> {
        self.watching.iter().copied().collect()
    }

    /// Connections whose filters may take this open topic.
    pub(super) fn open_receivers(&self, topic: &str) -> IndexSet<ConnId> {
        let exact = self.open_exact.get(topic).into_iter().flatten().copied();
        exact.chain(self.wild.iter().copied()).collect()
    }
}
