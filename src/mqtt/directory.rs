//! Which worker has which client and which users: the only thing the workers share. It answers the gateway's questions
//! about terminals and passes its orders on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Settings;
use super::connection_id::ConnRef;
use super::detached_sessions::Parked;
use super::inflight_window::Resume;
use super::orders::{Command, WorkerHandle};
use super::take_over::{Claimed, Claims};
use super::unanswered_pushes::Unanswered;
use super::wills::Wills;
use crate::budget::Budget;
use crate::caller::Login;
use crate::client_address::subscriber;
use crate::clock::Millis;
use crate::gateway::{Connection, InSight, Later, Terminals};
use crate::ids::UserId;
use crate::parcel::{BindingId, DispatchId};
use crate::rate_limit::{Rate, RateLimits};
use crate::store::PendingReply;

/// What the configuration says all connections may hold together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) connections: usize,
    pub(super) of_address: usize,
    pub(super) of_user: usize,
    /// Connections from one address in a minute.
    pub(super) connects: u32,
    /// Bytes of packets that have not come whole.
    pub(super) unfinished: usize,
    /// Bytes of wills.
    pub(super) wills: usize,
    pub(super) watchers: usize,
}

#[derive(Debug)]
pub(super) struct Registry {
    workers: Vec<WorkerHandle>,
    bounds: RwLock<Bounds>,
    /// Bytes of packets that have not come whole, of all connections.
    pub(super) unfinished: Budget,
    pub(super) wills: Wills,
    /// Clients whose last connection ended with pushes unanswered.
    pub(super) unanswered: Unanswered,
    watchers: AtomicUsize,
    connects: RateLimits<IpAddr>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Accepted sockets, with or without a CONNECT; and of each address.
    sockets: usize,
    of_address: HashMap<IpAddr, usize>,
    claims: Claims,
    users: HashMap<UserId, Vec<(ConnRef, Connection)>>,
    /// Pushes under way on connections that are just ending, or just beginning: no session has them now, and they are not
    /// parked.
    between: HashMap<ConnRef, Vec<(BindingId, DispatchId)>>,
    /// What interrupted sessions had under way, until they come back or end.
    parked: Parked,
}

/// What a connection gets that wants a client id.
#[derive(Debug)]
pub(super) enum Claim {
    /// It has it, with what the session had under way.
    Granted(Resume),
    /// Somebody has it and was asked to go. Its turn comes with what the session had under way, or the other end is
    /// dropped because a newer connection wants it.
    Wait(oneshot::Receiver<Resume>),
    /// It is another one's.
    Foreign,
}

impl Registry {
    pub(super) fn new(workers: Vec<WorkerHandle>, bounds: Bounds) -> Self {
        Self {
            workers,
            bounds: RwLock::new(bounds),
            unfinished: Budget::new(bounds.unfinished),
            wills: Wills::new(bounds.wills),
            unanswered: Unanswered::default(),
            watchers: AtomicUsize::new(0),
            connects: RateLimits::default(),
            inner: Mutex::default(),
        }
    }

    fn bounds(&self) -> Bounds {
        *self.bounds.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration says something else from now on; who is there stays.
    pub(super) fn follow(&self, bounds: Bounds, settings: &Settings) {
        *self.bounds.write().unwrap_or_else(PoisonError::into_inner) = bounds;
        self.unfinished.set_most(bounds.unfinished);
        self.wills.set_most(bounds.wills);
        for worker in 0..self.workers.len() {
            self.send(worker, Command::Follow { settings: Box::new(settings.clone()) });
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new socket; an error where there are enough, with the key that says so.
    pub(super) fn open_socket(&self, from: IpAddr) -> Result<(), &'static str> {
        let from = subscriber(from);
        let bounds = self.bounds();
        let connects = Rate { most: bounds.connects, window: Duration::from_secs(60) };
        if self.connects.pass(connects, from).is_err() {
            return Err("mqtt.max_connects_per_minute");
        }
        let mut inner = self.inner();
        if inner.sockets >= bounds.connections {
            return Err("mqtt.max_connections");
        }
        let of_address = inner.of_address.entry(from).or_default();
        if *of_address >= bounds.of_address {
            return Err("mqtt.max_connections_per_address");
        }
        *of_address += 1;
        inner.sockets += 1;
        Ok(())
    }

    pub(super) fn close_socket(&self, from: IpAddr) {
        let from = subscriber(from);
        let mut inner = self.inner();
        inner.sockets -= 1;
        if let Some(of_address) = inner.of_address.get_mut(&from) {
            *of_address -= 1;
            if *of_address == 0 {
                inner.of_address.remove(&from);
            }
        }
    }

    /// Whether one more connection may act for a user.
    pub(super) fn has_room_for(&self, user: &UserId) -> bool {
        let most = self.bounds().of_user;
        self.inner().users.get(user).is_none_or(|present| present.len() < most)
    }

    /// Whether one more connection may watch.
    pub(super) fn may_watch(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) < self.bounds().watchers
    }

    pub(super) fn watcher_count(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    /// A connection begins or ceases to watch.
    pub(super) fn count_watcher(&self, begins: bool) {
        if begins {
            self.watchers.fetch_add(1, Ordering::Relaxed);
        } else {
            self.watchers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Claims a client id for a new connection. Whoever has it is asked to go; whoever waits for it has waited in vain.
    /// Another owner's is not given. In mode `open` nobody has an owner.
    pub(super) fn claim(&self, client: &str, at: ConnRef, owner: Option<&str>) -> Claim {
        let mut inner = self.inner();
        match inner.claims.claim(client, at, owner) {
            Claimed::Foreign => Claim::Foreign,
            Claimed::Free => {
                let resume = inner.parked.remove(client).unwrap_or_default();
                inner.put_between(at, resume.pushes().collect());
                Claim::Granted(resume)
            }
            Claimed::Wait { turn, ask } => {
                drop(inner);
                if let Some(old) = ask {
                    self.send(old.worker, Command::TakeOver { conn: old.id });
                }
                Claim::Wait(turn)
            }
        }
    }

    /// Gives a client id back, with what its session had under way: the next connection gets both, or that is parked until
    /// the client comes back.
    pub(super) fn release(&self, client: &str, at: ConnRef, resume: Resume) {
        let mut inner = self.inner();
        let under_way = resume.pushes().collect();
        match inner.claims.release(client, at, resume) {
            Ok(next) => inner.put_between(next, under_way),
            // Only who had it knows anything; whoever merely waited must not replace what is parked.
            Err(resume) if !resume.is_empty() => inner.parked.insert(client, resume),
            Err(_) => {}
        }
        inner.between.remove(&at);
    }

    /// A connection is gone that could not say so itself.
    pub(super) fn purge(&self, at: ConnRef) {
        let claimed = self.inner().claims.of(at);
        for client in claimed {
            self.release(&client, at, Resume::default());
        }
        let mut inner = self.inner();
        inner.between.remove(&at);
        inner.users.retain(|_, present| {
            present.retain(|(known, _)| *known != at);
            !present.is_empty()
        });
    }

    /// A connection begins to end; what it has under way stays so until it gives its client id back.
    pub(super) fn ending(&self, at: ConnRef, under_way: Vec<(BindingId, DispatchId)>) {
        self.inner().put_between(at, under_way);
    }

    /// A session has begun, and has by itself what was under way.
    pub(super) fn begun(&self, at: ConnRef) {
        self.inner().between.remove(&at);
    }

    pub(super) fn enter(&self, user: UserId, at: ConnRef, connection: Connection) {
        self.inner().users.entry(user).or_default().push((at, connection));
    }

    pub(super) fn leave(&self, user: &UserId, at: ConnRef) {
        let mut inner = self.inner();
        if let Some(present) = inner.users.get_mut(user) {
            present.retain(|(known, _)| *known != at);
            if present.is_empty() {
                inner.users.remove(user);
            }
        }
    }

    pub(super) fn send(&self, worker: usize, command: Command) {
        if let Some(handle) = self.workers.get(worker) {
            // A worker that has stopped drops the reply in the command, which answers it.
            let _ = handle.send(command);
        }
    }

    /// Those of them whose users are connected, and the workers that have these.
    fn here<T>(&self, all: Vec<T>, user: impl Fn(&T) -> &UserId) -> (Vec<T>, Vec<usize>) {
        let inner = self.inner();
        let here: Vec<T> = all.into_iter().filter(|one| inner.users.contains_key(user(one))).collect();
        let present = here.iter().filter_map(|one| inner.users.get(user(one))).flatten();
        let mut workers: Vec<usize> = present.map(|(at, _)| at.worker).collect();
        workers.sort_unstable();
        workers.dedup();
        (here, workers)
    }

    fn present(&self, user: &UserId) -> Vec<ConnRef> {
        self.inner().users.get(user).map(|present| present.iter().map(|(at, _)| *at).collect()).unwrap_or_default()
    }

    /// Sends one order to these workers; answers what each of them says that has not stopped.
    async fn order_some<T>(
        &self,
        workers: impl IntoIterator<Item = usize>,
        command: impl Fn(oneshot::Sender<T>) -> Command,
    ) -> Vec<T> {
        let mut replies = Vec::new();
        for worker in workers {
            let (reply, done) = oneshot::channel();
            self.send(worker, command(reply));
            replies.push(done);
        }
        let mut answers = Vec::with_capacity(replies.len());
        for done in replies {
            answers.extend(done.await);
        }
        answers
    }

    async fn order_workers(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        self.order_some(0..self.workers.len(), command).await;
    }

    /// A question about nobody: only a worker that runs answers it.
    pub(super) async fn ask_workers(&self) {
        let nobody: Arc<[UserId]> = Arc::default();
        let ask = |reply| Command::Unanswered { users: Arc::clone(&nobody), reply };
        self.order_some(0..self.workers.len(), ask).await;
    }

    /// Closes every connection and waits until all that they knew is stored.
    pub(super) async fn stop(&self) {
        self.order_workers(|reply| Command::Stop { reply }).await;
    }
}

impl Inner {
    fn put_between(&mut self, at: ConnRef, under_way: Vec<(BindingId, DispatchId)>) {
        if !under_way.is_empty() {
            self.between.insert(at, under_way);
        }
    }
}

impl Terminals for Registry {
    fn connections(&self, user: &UserId) -> Vec<Connection> {
        let inner = self.inner();
        let present = inner.users.get(user).map(|present| present.iter().map(|(_, connection)| connection.clone()));
        present.map(Iterator::collect).unwrap_or_default()
    }

    fn count(&self) -> usize {
        self.inner().users.values().map(Vec::len).sum()
    }

    fn is_here(&self, user: &UserId) -> bool {
        self.inner().users.contains_key(user)
    }

    fn look(&self, whom: Vec<(UserId, DispatchId)>) -> Later<'_, HashMap<(UserId, DispatchId), InSight>> {
        Box::pin(async move {
            let (here, workers) = self.here(whom, |(user, _)| user);
            let mut found: HashMap<_, _> = here.iter().map(|one| (one.clone(), InSight::default())).collect();
            let whom: Arc<[(UserId, DispatchId)]> = here.into();
            let look = |reply| Command::Look { whom: Arc::clone(&whom), reply };
            for (one, seen) in self.order_some(workers, look).await.into_iter().flatten() {
                let in_sight = found.entry(one).or_default();
                in_sight.sent_at = in_sight.sent_at.max(seen.sent_at);
                in_sight.times += seen.times;
                in_sight.oldest = in_sight.oldest.or(seen.oldest);
            }
            found
        })
    }

    fn unanswered(&self, users: Vec<UserId>) -> Later<'_, HashMap<UserId, Millis>> {
        Box::pin(async move {
            let (here, workers) = self.here(users, |user| user);
            let users: Arc<[UserId]> = here.into();
            let ask = |reply| Command::Unanswered { users: Arc::clone(&users), reply };
            let mut found = HashMap::new();
            for (user, since) in self.order_some(workers, ask).await.into_iter().flatten() {
                found.entry(user).and_modify(|known: &mut Millis| *known = since.min(*known)).or_insert(since);
            }
            found
        })
    }

    fn is_connected(&self, client: &str) -> bool {
        self.inner().claims.has(client)
    }

    fn settle<'a>(&'a self, user: &'a UserId) -> Later<'a, ()> {
        Box::pin(async move {
            let mut workers: Vec<usize> = self.present(user).iter().map(|at| at.worker).collect();
            workers.sort_unstable();
            workers.dedup();
            self.order_some(workers, |reply| Command::Settle { reply }).await;
        })
    }

    fn answer<'a>(&'a self, user: &'a UserId, reply: PendingReply, payload: Vec<u8>) -> Later<'a, ()> {
        Box::pin(async move {
            for at in self.present(user) {
                self.send(at.worker, Command::Answer { conn: at.id, reply: reply.clone(), payload: payload.clone() });
            }
        })
    }

    fn interrupted(&self, dispatches: &[DispatchId]) -> Vec<(BindingId, DispatchId)> {
        let inner = self.inner();
        let mut found = Vec::new();
        for &id in dispatches {
            found.extend(inner.between.values().flatten().filter(|(_, known)| *known == id));
            found.extend(inner.parked.holders(id).map(|binding| (binding, id)));
        }
        found
    }

    fn forget_session(&self, client: &str) {
        self.inner().parked.remove(client);
    }

    fn sign_out(&self, login: Login) -> Later<'_, ()> {
        Box::pin(async move { self.order_workers(|reply| Command::SignOut { login: login.clone(), reply }).await })
    }

    fn disconnect(&self, user: UserId, client: Option<String>) -> Later<'_, usize> {
        Box::pin(async move {
            let (_, workers) = self.here(vec![user.clone()], |user| user);
            let end = |reply| Command::Disconnect { user: user.clone(), client: client.clone(), reply };
            self.order_some(workers, end).await.into_iter().sum()
        })
    }

    fn settle_all(&self) -> Later<'_, ()> {
        Box::pin(self.order_workers(|reply| Command::Settle { reply }))
    }
}
