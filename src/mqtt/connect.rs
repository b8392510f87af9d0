//! CONNECT: who comes, as whom, and what the session starts from.

use std::rc::Rc;

use super::codec::{self, BadPacket, ConnAck, Connect, ConnectFault, Packet, Reply, Version, reason};
use super::connect_refusal::{Refusal, refuse};
use super::connection::{Close, Conn, RECEIVE_MAX, Subscription};
use super::connection_events;
use super::directory::Claim;
use super::inflight_window::{Resume, Window};
use super::session::Session;
use super::wills::KeptWill;
use super::worker::Worker;
use super::{attach, client_messages, sign_in, subscribe, wildcard_watch};
use crate::ids::UserId;
use crate::policy::{self, Action};
use crate::store::{Arrival, Aside, Error, SessionOwner};

/// Longest client id; the specification asks for 23 characters at least.
const CLIENT_ID_MAX: usize = 1_024;

/// A CONNECT and what it makes its connection.
struct Arriving {
    connect: Connect,
    client_id: String,
    /// We made up the client id.
    assigned: bool,
    user: Option<UserId>,
    will: Option<KeptWill>,
}

/// The first packet of a connection: anything but a CONNECT we understand ends it.
pub(super) async fn first_packet(worker: &Rc<Worker>, conn: &Rc<Conn>, packet: &[u8]) -> Result<(), Close> {
    let version = match codec::connect_version(packet) {
        Ok(version) => version,
        Err(ConnectFault::NotConnect) => return Err(Close::Gone),
        // A client that speaks more than one version tries the next one when it is told in the words of 3.1.1.
        Err(ConnectFault::Level) => {
            let refusal = Refusal::new(reason::UNSUPPORTED_VERSION, "its protocol level is neither 3.1, 3.1.1 nor 5");
            return Err(refuse(worker, conn, Version::V3, "", &refusal));
        }
    };
    let connect = match codec::decode(version, packet) {
        Ok(Packet::Connect(connect)) => *connect,
        Ok(_) => return Err(Close::Gone),
        Err(BadPacket(code)) => {
            return Err(refuse(
                worker,
                conn,
                version,
                "",
                &Refusal::new(code, "it is not what the specification says"),
            ));
        }
    };
    let named = connect.client_id.clone();
    let arriving = arriving(worker, conn, connect).await;
    let arriving = arriving.map_err(|refusal| refuse(worker, conn, version, &named, &refusal))?;
    Box::pin(begin(worker, conn, arriving)).await
}

/// Checks what a CONNECT says.
async fn arriving(worker: &Worker, conn: &Conn, mut connect: Connect) -> Result<Arriving, Refusal> {
    if connect.wants_authentication_exchange {
        let why = "it wants an authentication exchange, and there is no method for one";
        return Err(Refusal::new(reason::BAD_AUTHENTICATION_METHOD, why));
    }
    let (client_id, assigned) = client_id(&connect)?;
    // The CONNECT has been read; what follows may have to wait.
    conn.has_arrived();
    let user = sign_in::sign_in(worker, conn, &connect, &client_id, assigned).await?;
    connect.password = None;
    let will = match connect.will.take() {
        Some(will) => {
            let taken = worker.registry.wills.accept(&worker.settings(), will, user.as_ref(), &client_id);
            taken.map_err(|code| match code {
                reason::QUOTA_EXCEEDED => Refusal::over("mqtt.max_wills", "there is no room for its will"),
                _ => Refusal::new(code, "its will has a topic that is none"),
            })?
        }
        None => None,
    };
    Ok(Arriving { connect, client_id, assigned, user, will })
}

/// The client id, and whether it is one we made up.
fn client_id(connect: &Connect) -> Result<(String, bool), Refusal> {
    let id = &connect.client_id;
    if id.is_empty() {
        return Ok((format!("papcast-{}", uuid::Uuid::new_v4().simple()), true));
    }
    if id.len() > CLIENT_ID_MAX || id.chars().any(char::is_control) {
        let why = format!("its client id has more than {CLIENT_ID_MAX} bytes or a control character");
        return Err(Refusal::new(reason::CLIENT_ID_INVALID, why));
    }
    Ok((id.clone(), false))
}

/// How long the session may outlive its connection, in milliseconds.
fn expiry(worker: &Worker, connect: &Connect) -> i64 {
    let longest = worker.settings().max_session_expiry;
    match connect.session_expiry {
        Some(seconds) => (i64::from(seconds) * 1000).min(longest),
        None if connect.clean => 0,
        None => longest,
    }
}

async fn begin(worker: &Rc<Worker>, conn: &Rc<Conn>, arriving: Arriving) -> Result<(), Close> {
    let Arriving { connect, client_id, assigned, user, will } = arriving;
    let version = connect.version;
    // Without a user nothing is stored, so nothing can be resumed.
    let expiry = if user.is_some() { expiry(worker, &connect) } else { 0 };
    // From here on it may have to wait for others.
    conn.has_arrived();
    let resume = match claim(worker, conn, &client_id, user.as_ref()).await? {
        Some(resume) => resume,
        None => return Err(refuse(worker, conn, version, &client_id, &others_id())),
    };
    let claimed = Claimed { worker, conn, client_id: &client_id, version };
    let ended = match end_former_session(worker, &client_id, user.as_ref(), connect.clean).await {
        Ok(Former::IsOthers) => return Err(claimed.give_back(resume, &others_id())),
        Ok(former) => former == Former::Ended,
        Err(error) => return Err(claimed.give_back(resume, &unavailable(&error))),
    };
    // Not before: whoever was taken over may have left a will just now, and one who is refused is not back.
    let ends = connect.clean || ended;
    let is_back = || worker.registry.wills.client_is_back(&client_id, ends);
    if let Some(user) = user.as_ref().filter(|_| !connect.clean) {
        subscribe::reclaim(worker, &client_id, user).await;
    }
    let by_jwt = conn.state.borrow().signed_in.as_ref().is_some_and(|one| one.until.is_some());
    let start =
        Start { connect, client_id: client_id.clone(), assigned, user: user.clone(), expiry, resume, will, by_jwt };
    let begun = match &user {
        Some(user) => {
            // The wait for this user's turn ends with the connection; what comes after it does not.
            let turn = tokio::select! {
                turn = worker.gateway.enter(user, worker.settings().max_waiting) => turn,
                () = conn.until_closing() => return Err(claimed.leave(start.resume)),
            };
            let Some(_turn) = turn else {
                let refusal = Refusal::over("mqtt.max_waiting", "too many connections of its user wait to begin");
                return Err(claimed.give_back(start.resume, &refusal));
            };
            if !worker.registry.has_room_for(user) {
                let limit = "mqtt.max_connections_per_user";
                let refusal = Refusal::over(limit, "too many connections act for its user");
                return Err(claimed.give_back(start.resume, &refusal));
            }
            is_back();
            start.run(worker, conn).await
        }
        None => {
            is_back();
            start.run(worker, conn).await
        }
    };
    match begun {
        Ok(None) => Ok(()),
        Ok(Some(lost)) => {
            lost.end(worker, &client_id).await;
            Err(claimed.leave(lost.resume))
        }
        Err((resume, refusal)) => Err(claimed.give_back(resume, &refusal)),
    }
}

/// A session that did not begin because its connection was taken over or lost meanwhile.
struct Lost {
    /// Whose it is, where the store knows it as present by now.
    stored: Option<UserId>,
    expiry: i64,
    /// What it had under way goes to whoever comes next.
    resume: Resume,
}

impl Lost {
    /// The store is told that the session is away again, or over. Not during the user's turn: it takes it itself.
    async fn end(&self, worker: &Worker, client_id: &str) {
        if let Some(user) = &self.stored {
            worker.gateway.connection_ended(client_id, user, self.expiry).await;
        }
    }
}

fn unavailable(error: &Error) -> Refusal {
    tracing::error!(%error, "a session could not begin");
    Refusal::new(reason::UNAVAILABLE, "the store cannot answer")
}

/// A connection that has a client id and no session yet.
struct Claimed<'a> {
    worker: &'a Worker,
    conn: &'a Conn,
    client_id: &'a str,
    version: Version,
}

impl Claimed<'_> {
    fn leave(&self, resume: Resume) -> Close {
        self.worker.registry.release(self.client_id, self.worker.at(self.conn), resume);
        Close::Gone
    }

    fn give_back(&self, resume: Resume, refusal: &Refusal) -> Close {
        self.leave(resume);
        refuse(self.worker, self.conn, self.version, self.client_id, refusal)
    }
}

/// Where everybody has to say who he is, nobody takes the client id of another one whose session lives.
fn others_id() -> Refusal {
    Refusal::new(reason::CLIENT_ID_INVALID, "its client id belongs to a session of another user")
}

/// Waits for the client id; an error where the connection ended meanwhile or a newer one wants it too, `None` where it is
/// another user's. It comes with what the session had under way.
async fn claim(worker: &Worker, conn: &Conn, client_id: &str, user: Option<&UserId>) -> Result<Option<Resume>, Close> {
    let at = worker.at(conn);
    let owner = sign_in::owner(conn, user);
    let mut turn = match worker.registry.claim(client_id, at, owner.as_deref()) {
        Claim::Granted(resume) => return Ok(Some(resume)),
        Claim::Foreign => return Ok(None),
        Claim::Wait(turn) => turn,
    };
    tokio::select! {
        turn = &mut turn => turn.map(Some).map_err(|_| Close::Gone),
        () = conn.until_closing() => {
            turn.close();
            // It may have been our turn at this very moment.
            let resume = turn.try_recv().unwrap_or_default();
            worker.registry.release(client_id, at, resume);
            Err(Close::Gone)
        }
    }
}

/// What became of the session that a client id had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Former {
    /// There is none, or it is resumed.
    Stays,
    Ended,
    /// It is another user's, who may come back to it.
    IsOthers,
}

/// A session of this client id that the connection does not resume is over: another user's, one that was away too long, and
/// any where it asks for a clean start. Not under this user's lock: it takes those of all whose bindings the session holds.
async fn end_former_session(
    worker: &Worker,
    client_id: &str,
    user: Option<&UserId>,
    clean: bool,
) -> Result<Former, Error> {
    let now = crate::clock::now();
    let Some(former) = worker.gateway.store().session_owner(client_id.to_owned(), now).await? else {
        return Ok(Former::Stays);
    };
    let SessionOwner { user: owner, lasting, by_jwt } = former;
    let is_own = user.is_some_and(|user| user.as_str() == owner);
    if lasting && !is_own && worker.gateway.may_come_back(&owner, by_jwt).await? {
        return Ok(Former::IsOthers);
    }
    let resumed = lasting && !clean && is_own;
    let Ok(owner) = UserId::parse(&owner) else { return Ok(Former::Stays) };
    if resumed {
        return Ok(Former::Stays);
    }
    worker.gateway.end_session(client_id, &owner).await?;
    Ok(Former::Ended)
}

/// Everything a session needs to begin.
struct Start {
    connect: Connect,
    client_id: String,
    assigned: bool,
    user: Option<UserId>,
    expiry: i64,
    resume: Resume,
    will: Option<KeptWill>,
    /// It signed in with a token that somebody else has signed.
    by_jwt: bool,
}

impl Start {
    /// What the session had under way comes back with an error: it belongs to whoever comes next.
    async fn run(mut self, worker: &Rc<Worker>, conn: &Rc<Conn>) -> Result<Option<Lost>, (Resume, Refusal)> {
        let arrived = match self.user.clone() {
            Some(user) => {
                // Enter, then read: whatever happens to this user meanwhile is heard of.
                worker.table.borrow_mut().enter(user.clone(), conn.id);
                self.arrive(worker, user).await
            }
            None => Ok((Arrival::default(), false)),
        };
        let (arrival, present) = match arrived {
            Ok(arrived) => arrived,
            Err(error) => {
                self.turn_back(worker, conn);
                return Err((self.resume, error));
            }
        };
        if conn.is_closing() {
            self.turn_back(worker, conn);
            let Self { user, expiry, .. } = self;
            let resume = if expiry > 0 { self.resume } else { Resume::default() };
            return Ok(Some(Lost { stored: user.filter(|_| present || expiry > 0), expiry, resume }));
        }
        let subscriptions = if present {
            arrival.session.as_ref().map(|session| session.subscriptions.clone()).unwrap_or_default()
        } else {
            self.resume = Resume::default();
            Vec::new()
        };
        self.resume.keep(|sent| {
            let open = arrival.memberships.iter().find(|membership| membership.binding == sent.binding);
            let acked = open.map(|membership| membership.joined.max(membership.acked));
            let aside = |aside: &Aside| aside.binding == sent.binding && aside.id == sent.id;
            acked.is_some_and(|acked| sent.id.seq > acked) || arrival.aside.iter().any(aside)
        });
        self.install(worker, conn, subscriptions, present);
        if let Some(user) = &self.user {
            // Before the answer: who has it may push to this user at once.
            attach::enter_user(worker, conn, user);
        }
        connection_events::begun(worker.gateway.signals(), conn);
        self.trace(conn);
        conn.reply(self.connect.version, &Reply::ConnAck(Box::new(self.connack(worker, present))));
        if self.user.is_some() {
            conn.with_session(|session, _, _| session.know_aside(&arrival.aside, conn.id));
            attach::attach_all(worker, conn, &arrival.memberships);
            attach::arrived(worker, conn);
            subscribe::set_qos(worker, conn);
        }
        if let Some(user) = self.user.as_ref().filter(|_| arrival.answers) {
            worker.gateway.send_answers(user).await;
        }
        attach::go_on(worker, conn);
        Ok(None)
    }

    /// It does not arrive.
    fn turn_back(&self, worker: &Worker, conn: &Conn) {
        if let Some(user) = &self.user {
            worker.table.borrow_mut().leave(user, conn.id);
        }
    }

    /// What the store knows of user and session, and whether the session is resumed.
    async fn arrive(&self, worker: &Worker, user: UserId) -> Result<(Arrival, bool), Refusal> {
        use crate::gateway::Terminals;
        let store = worker.gateway.store();
        // Another worker may know of acknowledgements that are not written yet.
        worker.registry.settle(&user).await;
        let now = crate::clock::now();
        let arrival =
            store.arrive(self.client_id.clone(), user.clone(), now).await.map_err(|error| unavailable(&error))?;
        // One that cannot be resumed was ended before this user's turn began.
        let known = arrival.session.as_ref();
        let present = known.is_some_and(|known| known.lasting && known.user == user.as_str() && !self.connect.clean);
        worker.gateway.session_found(&self.client_id);
        if present || self.expiry > 0 {
            // Served all the same: what is there for it shall not wait for somebody to make room on the disk.
            let (most, by_jwt) = (worker.settings().max_sessions, self.by_jwt);
            match store.keep_session(self.client_id.clone(), user.clone(), self.expiry, by_jwt, most).await {
                Ok(true) => {}
                Ok(false) => {
                    let limit = "mqtt.max_sessions_per_user";
                    return Err(Refusal::over(limit, "its user has too many stored sessions"));
                }
                Err(error) => {
                    tracing::warn!(%error, client = self.client_id, "a session could not be stored; a new one cannot be resumed")
                }
            }
        }
        Ok((arrival, present))
    }

    fn install(&mut self, worker: &Worker, conn: &Conn, subscriptions: Vec<(String, u8)>, present: bool) {
        let caller = sign_in::caller(conn);
        let connect = &self.connect;
        let resume = std::mem::take(&mut self.resume);
        let mut window = Window::new(usize::from(worker.settings().inflight.min(connect.receive_max)), resume.inflight);
        if worker.registry.unanswered.has(&self.client_id, self.user.as_ref()) {
            window = window.carefully();
        }
        let session = Session::new(
            connect.version,
            self.client_id.clone(),
            self.user.clone(),
            window,
            connect.max_packet,
            Rc::clone(&worker.tally),
        );
        conn.socket.set_longest(worker.settings().max_packet);
        let mut state = conn.state.borrow_mut();
        state.session = Some(session);
        state.received = resume.received;
        state.keep_alive =
            (connect.keep_alive > 0).then(|| std::time::Duration::from_millis(u64::from(connect.keep_alive) * 1_500));
        state.will = self.will.take().map(Box::new);
        state.is_bridge = connect.is_bridge;
        state.expiry = self.expiry;
        state.stored = present || self.expiry > 0;
        let may_watch = policy::may(&caller, Action::Watch);
        let restored = subscriptions.into_iter().map(Subscription::restored);
        // What was allowed when it was subscribed may be so no more.
        for subscription in restored.filter(|one| may_watch || !wildcard_watch::is_watching(&one.filter)) {
            client_messages::add(worker, &subscription.filter, conn.id);
            state.subscriptions.push(subscription);
        }
        worker.registry.begun(worker.at(conn));
    }

    /// The CONNECT, for whoever traces the client.
    fn trace(&self, conn: &Conn) {
        let Connect { keep_alive, clean, receive_max, max_packet, .. } = &self.connect;
        let words = || {
            format!(
                "CONNECT, keep-alive {keep_alive} s, clean {clean}, Receive Maximum {receive_max}, Maximum Packet Size {max_packet:?}"
            )
        };
        if let Some(session) = &conn.state.borrow().session {
            session.trace("in", words);
        }
    }

    fn connack(&self, worker: &Worker, present: bool) -> ConnAck {
        let asked = i64::from(self.connect.session_expiry.unwrap_or(0)) * 1000;
        ConnAck {
            reason: reason::SUCCESS,
            why: String::new(),
            // MQTT 3.1 §3.2 reserves the bit.
            session_present: present && !self.connect.is_31,
            assigned_client_id: self.assigned.then(|| self.client_id.clone()),
            session_expiry: (asked != self.expiry).then(|| u32::try_from(self.expiry / 1000).unwrap_or(u32::MAX)),
            max_packet: u32::try_from(worker.settings().max_packet).unwrap_or(u32::MAX),
            receive_max: RECEIVE_MAX,
        }
    }
}
