//! The writer: one thread owns the only connection that writes. Requests that wait while a commit is under way share
//! the next one, so the price of `synchronous = FULL` is paid per commit, not per request.
//!
//! A request that fails is rolled back alone (savepoint). Answers go out, and the observer is told, only after the
//! commit: nothing is ever reported that a crash could take back.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::{Folding, fold, pushes};
use super::commit_health::Commits;
use super::lock_file::Lock;
use super::{Error, Event, Result, Store};
use crate::faults;
use crate::log_limit::LogLimit;
use crate::parcel::PushKey;
use crate::signals::Signals;
use crate::supervision::Part;
use crate::trace::Span;

/// Requests that share one commit at most. Bounds how long the first of them waits.
const BATCH: usize = 512;

/// One request: run inside the transaction, or refused because there is none.
trait Request: Send {
    fn run(self: Box<Self>, tx: &mut Tx<'_>) -> Answer;
    fn refuse(self: Box<Self>, error: &Error);
}
type Job = Box<dyn Request>;
/// Called after the commit, with its outcome.
type Answer = Box<dyn for<'a> FnOnce(std::result::Result<(), &'a Error>)>;
pub(super) type Observer = Box<dyn Fn(Vec<Event>) + Send>;

/// What a request works with: the connection inside an open transaction, and the counters.
pub(super) struct Tx<'a> {
    pub(super) sql: &'a Connection,
    counters: Counters,
    events: Vec<Event>,
    ids: &'a Ids,
    /// A request without a savepoint has failed: nothing of this batch may be committed.
    spoiled: bool,
}

/// The newest row ids. SQLite would give the id of a forgotten row to the next one, and connections that have been there
/// all the time would take one for the other.
#[derive(Debug)]
struct Ids {
    flow: Cell<i64>,
    binding: Cell<i64>,
}

impl Ids {
    fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = |table: &str| {
            let text = format!("SELECT coalesce(max(id), 0) FROM {table}");
            connection.query_row(&text, [], |row| row.get(0)).map(Cell::new)
        };
        Ok(Self { flow: newest("flows")?, binding: newest("bindings")? })
    }
}

fn next(id: &Cell<i64>) -> i64 {
    id.set(id.get() + 1);
    id.get()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counters {
    groups: i64,
    requests: i64,
    pushes: i64,
    users: i64,
}

impl Tx<'_> {
    pub(super) fn new_flow(&self) -> i64 {
        next(&self.ids.flow)
    }

    pub(super) fn new_binding(&self) -> i64 {
        next(&self.ids.binding)
    }

    /// The id of a push that is about to be stored.
    pub(super) fn new_push(&mut self) -> PushKey {
        self.counters.pushes += 1;
        self.counters.pushes
    }

    /// Groups that are not deleted.
    pub(super) fn groups(&self) -> i64 {
        self.counters.groups
    }

    pub(super) fn count_groups(&mut self, more: i64) {
        self.counters.groups += more;
    }

    /// Joins that wait for a decision.
    pub(super) fn requests(&self) -> i64 {
        self.counters.requests
    }

    pub(super) fn count_requests(&mut self, more: i64) {
        self.counters.requests += more;
    }

    /// Users that are known.
    pub(super) fn users(&self) -> i64 {
        self.counters.users
    }

    pub(super) fn count_users(&mut self, more: i64) {
        self.counters.users += more;
    }

    /// Bytes of the file that are in use, with what this transaction has changed.
    pub(super) fn size(&self) -> Result<i64> {
        let mut query = self.sql.prepare_cached(
            "SELECT (page_count - freelist_count) * page_size
             FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()",
        )?;
        Ok(query.query_row([], |row| row.get(0))?)
    }

    /// To be told to the observer once this is committed.
    pub(super) fn emit(&mut self, event: Event) {
        self.events.push(event);
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    inner: Mutex<Inner>,
    commits: Arc<Commits>,
    /// Requests that have not been taken up.
    queue: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Inner {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, observer: Observer, inside: Inside) -> Result<Self> {
        let (jobs, queue) = channel();
        let ids = Ids::load(&connection)?;
        let commits = Arc::new(Commits::default());
        let noted = Arc::clone(&commits);
        let waiting = Arc::<AtomicUsize>::default();
        let taken = Arc::clone(&waiting);
        let thread = std::thread::Builder::new()
            .name("store-write".into())
            .spawn(move || {
                serve(&connection, &ids, &Queue { jobs: queue, waiting: taken }, &observer, &inside, &noted);
                let Inside { part, folding, lock, .. } = inside;
                drop(folding);
                close(&connection, &lock);
                drop(part);
            })
            .map_err(|error| Error::Open(format!("the writer thread cannot be started: {error}")))?;
        Ok(Self { inner: Mutex::new(Inner { jobs: Some(jobs), thread: Some(thread) }), commits, queue: waiting })
    }

    pub(super) fn commits(&self) -> &Commits {
        &self.commits
    }

    fn submit(&self, job: Job) -> Result<()> {
        self.queue.fetch_add(1, Ordering::Relaxed);
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or(Error::Closed)
    }

    pub(super) fn close(&self) {
        let thread = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.jobs = None;
            inner.thread.take()
        };
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// A writer that nobody closed is closed as well: the mark in the lock file says how far it came.
impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// What waits for the writer.
struct Queue {
    jobs: Receiver<Job>,
    waiting: Arc<AtomicUsize>,
}

/// What the writer's thread has besides its connection.
pub(super) struct Inside {
    /// First: where the thread panics it is the first to be dropped, and the one to be named.
    pub(super) part: Part,
    pub(super) folding: Folding,
    pub(super) lock: Arc<Lock>,
    pub(super) signals: Arc<Signals>,
}

fn serve(connection: &Connection, ids: &Ids, queue: &Queue, observer: &Observer, inside: &Inside, commits: &Commits) {
    let mut batch: Vec<Job> = Vec::with_capacity(BATCH);
    let mut trouble = Trouble::new();
    while let Ok(first) = queue.jobs.recv() {
        faults::trip("store-write");
        let changes = connection.total_changes();
        batch.push(first);
        batch.extend(queue.jobs.try_iter().take(BATCH - 1));
        queue.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        let mut answers = Vec::with_capacity(batch.len());
        let begun = Instant::now();
        let metrics = &inside.signals.metrics;
        metrics.commit_requests.observe(batch.len() as f64);
        match commit_all(connection, ids, &mut batch, &mut answers) {
            Ok(events) => {
                if connection.total_changes() != changes {
                    commits.worked();
                }
                inside.folding.note();
                metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
                trouble.success();
                if !events.is_empty() {
                    observer(events);
                }
                answers.into_iter().for_each(|answer| answer(Ok(())));
            }
            Err(error) => {
                commits.failed(&error);
                let _ = connection.execute_batch("ROLLBACK");
                trouble.failure(&error, answers.len() + batch.len());
                answers.into_iter().for_each(|answer| answer(Err(&error)));
                batch.drain(..).for_each(|job| job.refuse(&error));
                // A limit on the size of files, which is a full disk as well, comes as any other failure to write. On a full
                // disk the log may have the space that is missing: folded in, it may be written over by the next commit.
                // SQLite itself folds only after a commit.
                if !matches!(error, Error::Damaged(_)) {
                    fold(connection);
                }
            }
        }
    }
}

fn close(connection: &Connection, lock: &Lock) {
    if let Ok(pushes) = pushes(connection) {
        lock.mark(pushes, false);
    }
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);") {
        tracing::warn!(%error, "the write-ahead log could not be folded in; it will be at the next start");
    }
}

/// Commits have to succeed for so long until the trouble is over: on a disk that is nearly full, small ones do.
const CALM: Duration = Duration::from_secs(2);

/// Commits that fail: the log is told of the first, then once a minute, and when it is over.
struct Trouble {
    told: LogLimit,
    /// When the last commit failed, while it is not over.
    failed: Option<Instant>,
    /// Requests that were answered with an error since it began.
    refused: usize,
}

impl Trouble {
    fn new() -> Self {
        Self { told: LogLimit::new(1), failed: None, refused: 0 }
    }

    fn failure(&mut self, error: &Error, requests: usize) {
        self.failed = Some(Instant::now());
        self.refused += requests;
        if let Some(left_out) = self.told.pass() {
            tracing::error!(%error, requests, left_out, "a commit failed; its requests are answered with the error");
        }
    }

    fn success(&mut self) {
        if self.failed.is_some_and(|failed| failed.elapsed() >= CALM) {
            tracing::warn!("the store takes writes again; {} requests were refused meanwhile", self.refused);
            *self = Self::new();
        }
    }
}

/// Runs the batch in one transaction. What could not be run any more stays in `batch`.
fn commit_all(
    connection: &Connection,
    ids: &Ids,
    batch: &mut Vec<Job>,
    answers: &mut Vec<Answer>,
) -> Result<Vec<Event>> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let before = load_counters(connection)?;
    let mut tx = Tx { sql: connection, counters: before, events: Vec::new(), ids, spoiled: false };
    batch.reverse();
    while let Some(job) = batch.pop() {
        answers.push(job.run(&mut tx));
        // SQLite itself takes the whole transaction back when the disk is full or fails: nothing after that may run.
        if connection.is_autocommit() {
            return Err(Error::Full);
        }
        if tx.spoiled {
            return Err(Error::Sqlite("another request of the same commit failed".into()));
        }
    }
    store_counters(connection, before, tx.counters)?;
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(tx.events)
}

fn load_counters(connection: &Connection) -> rusqlite::Result<Counters> {
    connection
        .prepare_cached("SELECT group_count, request_count, pushes, user_count FROM counter")?
        .query_row([], |row| {
            Ok(Counters { groups: row.get(0)?, requests: row.get(1)?, pushes: row.get(2)?, users: row.get(3)? })
        })
}

fn store_counters(connection: &Connection, before: Counters, after: Counters) -> rusqlite::Result<()> {
    if before != after {
        connection
            .prepare_cached("UPDATE counter SET group_count = ?1, request_count = ?2, pushes = ?3, user_count = ?4")?
            .execute([after.groups, after.requests, after.pushes, after.users])?;
    }
    Ok(())
}

/// Runs one request under a savepoint of its own.
fn isolated<R>(tx: &mut Tx<'_>, request: impl FnOnce(&mut Tx<'_>) -> Result<R>) -> Result<R> {
    let (counters, events) = (tx.counters, tx.events.len());
    tx.sql.prepare_cached("SAVEPOINT request")?.execute([])?;
    let result = request(tx);
    if result.is_err() {
        tx.counters = counters;
        tx.events.truncate(events);
        tx.sql.prepare_cached("ROLLBACK TO request")?.execute([])?;
    }
    tx.sql.prepare_cached("RELEASE request")?.execute([])?;
    result
}

struct Call<F, R> {
    request: F,
    /// The request has a savepoint of its own, to which its failure is rolled back.
    guarded: bool,
    reply: oneshot::Sender<Result<R>>,
}

impl<F, R> Request for Call<F, R>
where
    F: FnOnce(&mut Tx<'_>) -> Result<R> + Send,
    R: Send + 'static,
{
    fn run(self: Box<Self>, tx: &mut Tx<'_>) -> Answer {
        let Self { request, guarded, reply } = *self;
        let result = if guarded { isolated(tx, request) } else { request(tx) };
        tx.spoiled |= !guarded && result.is_err();
        Box::new(move |committed| {
            let _ = reply.send(match committed {
                Ok(()) => result,
                Err(error) => Err(result.err().unwrap_or_else(|| error.clone())),
            });
        })
    }

    fn refuse(self: Box<Self>, error: &Error) {
        let _ = self.reply.send(Err(error.clone()));
    }
}

impl Store {
    /// Requests that wait for the writer.
    #[must_use]
    pub fn queue(&self) -> usize {
        self.writer.queue.load(Ordering::Relaxed)
    }

    /// Asks the writer; answers after the commit. What the request changed before it failed is rolled back.
    pub(super) async fn write<R: Send + 'static>(
        &self,
        request: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.ask(request, true).await
    }

    /// The same for a request that decides before it changes anything that a refusal would have to take back, so that only
    /// the disk can make it fail. (A user that was met for the first time may stay known.)
    /// It has no savepoint, which would cost as much as the request; should it fail, its whole batch does.
    pub(super) async fn write_checked<R: Send + 'static>(
        &self,
        request: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        self.ask(request, false).await
    }

    async fn ask<R: Send + 'static>(
        &self,
        request: impl FnOnce(&mut Tx<'_>) -> Result<R> + Send + 'static,
        guarded: bool,
    ) -> Result<R> {
        let (reply, answer) = oneshot::channel();
        self.writer.submit(Box::new(Call { request, guarded, reply }))?;
        Span::commit().around(answer).await.map_err(|_| Error::Closed)?
    }
}
