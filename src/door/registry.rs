//! Which worker has which client and which users: the only thing the workers share. It answers the gateway's questions
//! about terminals and passes its orders on.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::window::Resume;
use crate::gateway::{Connection, Later, Terminals};
use crate::ids::UserId;
use crate::parcel::{BindingId, FlowId, Seq};
use crate::store::{Membership, PendingReply};

/// A connection within its worker; never used twice.
pub(super) type ConnId = u64;

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ConnRef {
    pub(super) worker: usize,
    pub(super) id: ConnId,
}

/// An order to a worker.
#[derive(Debug)]
pub(super) enum Command {
    Accept {
        stream: std::net::TcpStream,
        remote: std::net::SocketAddr,
    },
    /// Another connection has this client id now. The answer comes when the old one is gone and all it knew is stored.
    TakeOver {
        conn: ConnId,
        reply: oneshot::Sender<Resume>,
    },
    Attach {
        conn: ConnId,
        membership: Membership,
        reply: oneshot::Sender<()>,
    },
    Detach {
        conn: ConnId,
        flow: FlowId,
        reply: oneshot::Sender<()>,
    },
    Settle {
        reply: oneshot::Sender<()>,
    },
    Answer {
        conn: ConnId,
        reply: PendingReply,
        payload: Vec<u8>,
    },
    /// These dispatches were cancelled: they are not sent from now on.
    Revoke {
        seqs: Arc<[Seq]>,
        reply: oneshot::Sender<()>,
    },
    /// These dispatches are not sent until they are let go. The answer names the bindings to which they are under way.
    HoldBack {
        dispatches: Arc<[(FlowId, Seq)]>,
        reply: oneshot::Sender<Vec<(BindingId, Seq)>>,
    },
    LetGo {
        dispatches: Arc<[(FlowId, Seq)]>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

pub(super) type WorkerHandle = mpsc::UnboundedSender<Command>;

#[derive(Debug)]
pub(super) struct Registry {
    workers: Vec<WorkerHandle>,
    max_connections: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Accepted sockets, with or without a CONNECT.
    sockets: usize,
    clients: HashMap<String, ConnRef>,
    users: HashMap<UserId, Vec<(ConnRef, Connection)>>,
    /// Pushes under way on connections that are just ending: no session has them now, and nothing is parked yet.
    ending: HashMap<ConnRef, Vec<(BindingId, Seq)>>,
    /// What interrupted sessions had under way, until they come back or end.
    parked: HashMap<String, Resume>,
    /// Wills that wait for their delay.
    wills: HashMap<String, oneshot::Sender<bool>>,
}

impl Registry {
    pub(super) fn new(workers: Vec<WorkerHandle>, max_connections: usize) -> Self {
        Self { workers, max_connections, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a new socket; `false` where there are enough.
    pub(super) fn open_socket(&self) -> bool {
        let mut inner = self.inner();
        if inner.sockets >= self.max_connections {
            return false;
        }
        inner.sockets += 1;
        true
    }

    pub(super) fn close_socket(&self) {
        self.inner().sockets -= 1;
    }

    /// Claims a client id for a new connection. Whoever had it is gone when this returns; what it had under way comes
    /// back, from a connection that was taken over or from one that ended before.
    pub(super) async fn claim(&self, client: &str, clean: bool, at: ConnRef) -> Resume {
        let (old, parked) = {
            let mut inner = self.inner();
            if let Some(will) = inner.wills.remove(client) {
                // A clean start ends the session that the will belongs to; resuming it takes the will back.
                let _ = will.send(clean);
            }
            (inner.clients.insert(client.to_owned(), at), inner.parked.remove(client))
        };
        let Some(old) = old else { return parked.unwrap_or_default() };
        let (reply, gone) = oneshot::channel();
        self.send(old.worker, Command::TakeOver { conn: old.id, reply });
        match gone.await {
            Ok(resume) => resume,
            // It ended by itself meanwhile, and may have left something here.
            Err(_) => parked.or_else(|| self.inner().parked.remove(client)).unwrap_or_default(),
        }
    }

    /// Keeps a will that waits for its delay, in place of an earlier one. The answer, if one comes, says whether it is
    /// published before its time.
    pub(super) fn keep_will(&self, client: &str) -> oneshot::Receiver<bool> {
        let (tell, told) = oneshot::channel();
        let mut inner = self.inner();
        if inner.wills.len() > 1_024 && inner.wills.len() == inner.wills.capacity() {
            inner.wills.retain(|_, will| !will.is_closed());
        }
        inner.wills.insert(client.to_owned(), tell);
        told
    }

    /// Gives a client id back, unless another connection has claimed it since.
    pub(super) fn release(&self, client: &str, at: ConnRef) {
        let mut inner = self.inner();
        if inner.clients.get(client) == Some(&at) {
            inner.clients.remove(client);
        }
    }

    /// A connection begins to end; what it has under way stays so until [`Registry::ended`].
    pub(super) fn ending(&self, at: ConnRef, under_way: Vec<(BindingId, Seq)>) {
        if !under_way.is_empty() {
            self.inner().ending.insert(at, under_way);
        }
    }

    /// By now that is parked, or with another connection, or given up.
    pub(super) fn ended(&self, at: ConnRef) {
        self.inner().ending.remove(&at);
    }

    /// The bindings to which these dispatches are under way though nobody is connected.
    fn interrupted(&self, seqs: &HashSet<Seq>) -> Vec<(BindingId, Seq)> {
        let inner = self.inner();
        let ending = inner.ending.values().flatten().copied();
        let parked = inner.parked.values().flat_map(Resume::pushes);
        ending.chain(parked).filter(|(_, seq)| seqs.contains(seq)).collect()
    }

    /// Keeps what an interrupted session had under way.
    pub(super) fn park(&self, client: &str, resume: Resume) {
        if !resume.inflight.is_empty() || !resume.received.is_empty() {
            self.inner().parked.insert(client.to_owned(), resume);
        }
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

    fn present(&self, user: &UserId) -> Vec<ConnRef> {
        self.inner().users.get(user).map(|present| present.iter().map(|(at, _)| *at).collect()).unwrap_or_default()
    }

    /// Sends one order to each connection of a user and waits for all of them.
    async fn order(&self, user: &UserId, command: impl Fn(ConnId, oneshot::Sender<()>) -> Command) {
        let mut replies = Vec::new();
        for at in self.present(user) {
            let (reply, done) = oneshot::channel();
            self.send(at.worker, command(at.id, reply));
            replies.push(done);
        }
        for done in replies {
            let _ = done.await;
        }
    }

    /// Sends one order to these workers and waits for all of them.
    async fn order_some(
        &self,
        workers: impl IntoIterator<Item = usize>,
        command: impl Fn(oneshot::Sender<()>) -> Command,
    ) {
        let mut replies = Vec::new();
        for worker in workers {
            let (reply, done) = oneshot::channel();
            self.send(worker, command(reply));
            replies.push(done);
        }
        for done in replies {
            let _ = done.await;
        }
    }

    async fn order_workers(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        self.order_some(0..self.workers.len(), command).await;
    }

    /// Closes every connection and waits until all that they knew is stored.
    pub(super) async fn stop(&self) {
        self.order_workers(|reply| Command::Stop { reply }).await;
    }
}

impl Terminals for Registry {
    fn connections(&self, user: &UserId) -> Vec<Connection> {
        let inner = self.inner();
        let present = inner.users.get(user).map(|present| present.iter().map(|(_, connection)| connection.clone()));
        present.map(Iterator::collect).unwrap_or_default()
    }

    fn is_here(&self, user: &UserId) -> bool {
        self.inner().users.contains_key(user)
    }

    fn is_connected(&self, client: &str) -> bool {
        self.inner().clients.contains_key(client)
    }

    fn settle<'a>(&'a self, user: &'a UserId) -> Later<'a, ()> {
        Box::pin(async move {
            let mut workers: Vec<usize> = self.present(user).iter().map(|at| at.worker).collect();
            workers.sort_unstable();
            workers.dedup();
            self.order_some(workers, |reply| Command::Settle { reply }).await;
        })
    }

    fn attach<'a>(&'a self, user: &'a UserId, membership: Membership) -> Later<'a, ()> {
        Box::pin(async move {
            self.order(user, |conn, reply| Command::Attach { conn, membership: membership.clone(), reply }).await;
        })
    }

    fn detach<'a>(&'a self, user: &'a UserId, flow: FlowId) -> Later<'a, ()> {
        Box::pin(self.order(user, move |conn, reply| Command::Detach { conn, flow, reply }))
    }

    fn answer<'a>(&'a self, user: &'a UserId, reply: PendingReply, payload: Vec<u8>) -> Later<'a, ()> {
        Box::pin(async move {
            for at in self.present(user) {
                self.send(at.worker, Command::Answer { conn: at.id, reply: reply.clone(), payload: payload.clone() });
            }
        })
    }

    fn revoke<'a>(&'a self, seqs: &'a [Seq]) -> Later<'a, ()> {
        Box::pin(async move {
            if !seqs.is_empty() {
                let seqs: Arc<[Seq]> = seqs.into();
                self.order_workers(|reply| Command::Revoke { seqs: Arc::clone(&seqs), reply }).await;
            }
        })
    }

    fn hold_back<'a>(&'a self, dispatches: &'a [(FlowId, Seq)]) -> Later<'a, Vec<(BindingId, Seq)>> {
        Box::pin(async move {
            let dispatches: Arc<[(FlowId, Seq)]> = dispatches.into();
            let replies: Vec<_> = (0..self.workers.len())
                .map(|worker| {
                    let (reply, holders) = oneshot::channel();
                    self.send(worker, Command::HoldBack { dispatches: Arc::clone(&dispatches), reply });
                    holders
                })
                .collect();
            let mut holders = Vec::new();
            for reply in replies {
                holders.extend(reply.await.unwrap_or_default());
            }
            // After the workers: a connection that has ended meanwhile is found here.
            holders.extend(self.interrupted(&dispatches.iter().map(|(_, seq)| *seq).collect()));
            holders
        })
    }

    fn let_go(&self, dispatches: &[(FlowId, Seq)]) {
        let dispatches: Arc<[(FlowId, Seq)]> = dispatches.into();
        for worker in 0..self.workers.len() {
            self.send(worker, Command::LetGo { dispatches: Arc::clone(&dispatches) });
        }
    }

    fn forget_session(&self, client: &str) {
        self.inner().parked.remove(client);
    }

    fn settle_all(&self) -> Later<'_, ()> {
        Box::pin(self.order_workers(|reply| Command::Settle { reply }))
    }
}
