//! The readers: a few threads with a read-only connection each. WAL lets them read while the writer writes.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Error, Result, Store, open_file};
use crate::faults;
use crate::supervision::Health;

type Job = Box<dyn FnOnce(&Connection) + Send>;

#[derive(Debug)]
pub(super) struct Readers {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(super) fn start(path: &Path, count: usize, health: &Health) -> Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let connection = open_file::open_reader(path)?;
            let queue = Arc::clone(&queue);
            let part = health.part(format!("store-read-{number}"));
            let thread = std::thread::Builder::new()
                .name(format!("store-read-{number}"))
                .spawn(move || {
                    let _part = part;
                    serve(&connection, &queue);
                })
                .map_err(|error| Error::Open(format!("a reader thread cannot be started: {error}")))?;
            threads.push(thread);
        }
        Ok(Self { inner: Mutex::new(Inner { jobs: Some(jobs), threads }) })
    }

    fn submit(&self, job: Job) -> Result<()> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or(Error::Closed)
    }

    pub(super) fn close(&self) {
        let threads = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.jobs = None;
            std::mem::take(&mut inner.threads)
        };
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => {
                faults::trip("store-read");
                job(connection);
            }
            Err(_) => return,
        }
    }
}

impl Store {
    pub(super) async fn read<R: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let (reply, answer) = oneshot::channel();
        self.readers.submit(Box::new(move |connection| {
            let _ = reply.send(query(connection));
        }))?;
        answer.await.map_err(|_| Error::Closed)?
    }
}
