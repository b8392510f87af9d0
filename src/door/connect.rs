//! CONNECT: who comes, as whom, and what the session starts from.

use std::rc::Rc;

use super::conn::{Close, Conn, Subscription};
use super::session::Session;
use super::window::{Resume, Window};
use super::wire::{self, ConnAck, Connect, ConnectFault, Malformed, Packet, Reply, Version, reason};
use super::worker::Worker;
use super::{open, serve, subscribe, topics};
use crate::ids::UserId;
use crate::store::{Arrival, Error};

/// Longest client id; the specification asks for 23 characters at least.
const CLIENT_ID_MAX: usize = 1_024;
/// QoS 1 and 2 publishes of a client that may be unanswered at once (MQTT 5 Receive Maximum).
pub(super) const RECEIVE_MAX: u16 = 64;

/// The first packet of a connection: anything but a CONNECT we understand ends it.
pub(super) async fn first_packet(worker: &Rc<Worker>, conn: &Rc<Conn>, packet: &[u8]) -> Result<(), Close> {
    let version = match wire::connect_version(packet) {
        Ok(version) => version,
        Err(ConnectFault::NotConnect) => return Err(Close::Gone),
        Err(ConnectFault::Level(level)) => {
            let version = if level > 5 { Version::V5 } else { Version::V3 };
            return Err(refuse(conn, version, reason::UNSUPPORTED_VERSION));
        }
    };
    let connect = match wire::decode(version, packet) {
        Ok(Packet::Connect(connect)) => connect,
        Ok(_) => return Err(Close::Gone),
        Err(Malformed(code)) => return Err(refuse(conn, version, code)),
    };
    let (client_id, assigned) = match client_id(&connect) {
        Ok(id) => id,
        Err(code) => return Err(refuse(conn, version, code)),
    };
    let user = match user_of(&connect, &client_id, assigned) {
        Ok(user) => user,
        Err(code) => return Err(refuse(conn, version, code)),
    };
    if let Err(code) = check(worker, &connect, user.as_ref(), &client_id) {
        return Err(refuse(conn, version, code));
    }
    Box::pin(begin(worker, conn, *connect, client_id, assigned, user)).await
}

fn refuse(conn: &Conn, version: Version, code: u8) -> Close {
    tracing::debug!(remote = %conn.remote, code, "a CONNECT was refused");
    conn.reply(version, Reply::ConnAck(Box::new(ConnAck::refusal(code))));
    Close::Gone
}

/// The client id, and whether it is one we made up.
fn client_id(connect: &Connect) -> Result<(String, bool), u8> {
    let id = &connect.client_id;
    if id.is_empty() {
        return Ok((format!("papcast-{}", uuid::Uuid::new_v4().simple()), true));
    }
    if id.len() > CLIENT_ID_MAX || id.chars().any(char::is_control) {
        return Err(reason::CLIENT_ID_INVALID);
    }
    Ok((id.clone(), false))
}

/// The user ID: the username, else the client id; none where that was assigned by us.
fn user_of(connect: &Connect, client_id: &str, assigned: bool) -> Result<Option<UserId>, u8> {
    match connect.username.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => UserId::parse(name).map(Some).map_err(|_| reason::NOT_AUTHORIZED),
        None if assigned => Ok(None),
        None => UserId::parse(client_id).map(Some).map_err(|_| reason::CLIENT_ID_INVALID),
    }
}

fn check(worker: &Worker, connect: &Connect, user: Option<&UserId>, client_id: &str) -> Result<(), u8> {
    if connect.wants_authentication_exchange {
        return Err(reason::BAD_AUTHENTICATION_METHOD);
    }
    if let Some(will) = &connect.will {
        if !topics::is_name(&will.publish.topic) {
            return Err(reason::TOPIC_INVALID);
        }
        if !worker.settings.acl.may_publish(&will.publish.topic, user, client_id) {
            return Err(reason::NOT_AUTHORIZED);
        }
        if will.publish.retain && connect.version == Version::V5 {
            return Err(reason::RETAIN_NOT_SUPPORTED);
        }
    }
    Ok(())
}

async fn begin(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    connect: Connect,
    client_id: String,
    assigned: bool,
    user: Option<UserId>,
) -> Result<(), Close> {
    let version = connect.version;
    let longest = worker.settings.max_session_expiry;
    let expiry = match connect.session_expiry {
        Some(seconds) => (i64::from(seconds) * 1000).min(longest),
        None if connect.clean => 0,
        None => longest,
    };
    // Without a user nothing is stored, so nothing can be resumed.
    let expiry = if user.is_some() { expiry } else { 0 };
    let resume = worker.registry.claim(&client_id, connect.clean, worker.at(conn)).await;
    if let Err(error) = end_foreign_session(worker, &client_id, user.as_ref()).await {
        worker.registry.release(&client_id, worker.at(conn));
        tracing::error!(%error, "a session could not begin");
        return Err(refuse(conn, version, reason::UNAVAILABLE));
    }
    if let Some(user) = user.as_ref().filter(|_| !connect.clean) {
        subscribe::reclaim(worker, &client_id, user).await;
    }
    let start = Start { connect, client_id, assigned, user: user.clone(), expiry, resume };
    let done = match &user {
        Some(user) => worker.gateway.while_still(user, start.run(worker, conn)).await,
        None => start.run(worker, conn).await,
    };
    done.map_err(|error| {
        tracing::error!(%error, "a session could not begin");
        refuse(conn, version, reason::UNAVAILABLE)
    })
}

/// A session that another user left under this client id is over. Not under this user's lock: it takes the other's.
async fn end_foreign_session(worker: &Worker, client_id: &str, user: Option<&UserId>) -> Result<(), Error> {
    let Some(owner) = worker.gateway.store().session_user(client_id.to_owned()).await? else { return Ok(()) };
    if user.is_some_and(|user| user.as_str() == owner) {
        return Ok(());
    }
    match UserId::parse(&owner) {
        Ok(owner) => worker.gateway.end_session(client_id, &owner).await,
        Err(_) => Ok(()),
    }
}

/// Everything a session needs to begin.
struct Start {
    connect: Connect,
    client_id: String,
    assigned: bool,
    user: Option<UserId>,
    expiry: i64,
    resume: Resume,
}

impl Start {
    async fn run(self, worker: &Rc<Worker>, conn: &Rc<Conn>) -> Result<(), Error> {
        let client_id = self.client_id.clone();
        let at = worker.at(conn);
        let result = self.run_claimed(worker, conn).await;
        if result.is_err() {
            worker.registry.release(&client_id, at);
        }
        result
    }

    async fn run_claimed(mut self, worker: &Rc<Worker>, conn: &Rc<Conn>) -> Result<(), Error> {
        let direct = worker.gateway.heads().direct();
        let (arrival, present) = match self.user.clone() {
            Some(user) => self.arrive(worker, user).await?,
            None => (Arrival::default(), false),
        };
        if conn.is_closing() {
            return self.never_began(worker, conn).await;
        }
        let subscriptions = if present {
            arrival.session.as_ref().map(|session| session.subscriptions.clone()).unwrap_or_default()
        } else {
            self.resume = Resume::default();
            Vec::new()
        };
        let acked = |binding| {
            let open = arrival.memberships.iter().find(|membership| membership.binding == binding);
            open.map(|membership| membership.joined.max(membership.acked))
        };
        self.resume.keep(acked);
        self.install(worker, conn, subscriptions, present);
        if let Some(user) = &self.user {
            // Before the answer: who has it may push to this user at once.
            serve::enter_user(worker, conn, user);
        }
        conn.reply(self.connect.version, Reply::ConnAck(Box::new(self.connack(worker, present))));
        if self.user.is_some() {
            serve::attach_all(worker, conn, &arrival.memberships, direct);
            subscribe::set_qos(worker, conn);
        }
        if let Some(user) = self.user.as_ref().filter(|_| arrival.answers) {
            worker.gateway.send_answers(user).await;
        }
        serve::go_on(worker, conn);
        tracing::debug!(client = self.client_id, remote = %conn.remote, "connected");
        Ok(())
    }

    /// What the store knows of user and session, and whether the session is resumed.
    async fn arrive(&self, worker: &Worker, user: UserId) -> Result<(Arrival, bool), Error> {
        use crate::gateway::Terminals;
        let store = worker.gateway.store();
        // Another worker may know of acknowledgements that are not written yet.
        worker.registry.settle(&user).await;
        let now = crate::clock::now();
        let mut arrival = store.arrive(self.client_id.clone(), user.clone(), now).await?;
        let known = arrival.session.as_ref();
        let present = known.is_some_and(|known| known.lasting && known.user == user.as_str() && !self.connect.clean);
        if known.is_some() && !present {
            for released in store.end_session(self.client_id.clone(), now).await? {
                worker.registry.detach(&released.user, released.flow).await;
            }
            arrival = store.arrive(self.client_id.clone(), user.clone(), now).await?;
        }
        worker.gateway.session_found(&self.client_id);
        if present || self.expiry > 0 {
            // Served all the same: what is there for it shall not wait for somebody to make room on the disk.
            if let Err(error) = store.keep_session(self.client_id.clone(), user, self.expiry).await {
                tracing::warn!(%error, client = self.client_id, "a session could not be stored; a new one cannot be resumed");
            }
        }
        Ok((arrival, present))
    }

    /// The connection was taken over or lost before its session began: the session goes on being away, and what it had
    /// under way goes to the successor.
    async fn never_began(self, worker: &Rc<Worker>, conn: &Rc<Conn>) -> Result<(), Error> {
        worker.registry.release(&self.client_id, worker.at(conn));
        conn.state.borrow_mut().resume = Some(self.resume);
        if let Some(user) = self.user.filter(|_| self.expiry > 0) {
            worker.gateway.connection_ended(&self.client_id, &user, self.expiry).await;
        }
        Ok(())
    }

    fn install(&mut self, worker: &Worker, conn: &Conn, subscriptions: Vec<(String, u8)>, present: bool) {
        let connect = &mut self.connect;
        let resume = std::mem::take(&mut self.resume);
        let window = Window::new(usize::from(worker.settings.inflight.min(connect.receive_max)), resume.inflight);
        let session =
            Session::new(connect.version, self.client_id.clone(), self.user.clone(), window, connect.max_packet);
        let mut state = conn.state.borrow_mut();
        state.session = Some(session);
        state.received = resume.received;
        state.keep_alive =
            (connect.keep_alive > 0).then(|| std::time::Duration::from_millis(u64::from(connect.keep_alive) * 1_500));
        state.will = connect.will.take().map(Box::new);
        state.expiry = self.expiry;
        state.stored = present || self.expiry > 0;
        let mut table = worker.table.borrow_mut();
        for (filter, qos) in subscriptions {
            open::add(&mut table, &filter, conn.id);
            state.subscriptions.push(Subscription { filter, qos });
        }
    }

    fn connack(&self, worker: &Worker, present: bool) -> ConnAck {
        let asked = i64::from(self.connect.session_expiry.unwrap_or(0)) * 1000;
        ConnAck {
            reason: reason::SUCCESS,
            session_present: present,
            assigned_client_id: self.assigned.then(|| self.client_id.clone()),
            session_expiry: (asked != self.expiry).then(|| u32::try_from(self.expiry / 1000).unwrap_or(u32::MAX)),
            max_packet: u32::try_from(worker.settings.max_packet).unwrap_or(u32::MAX),
            receive_max: RECEIVE_MAX,
        }
    }
}
