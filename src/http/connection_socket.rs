//! The socket of one HTTP connection, as hyper sees it: request heads come through [`folded_headers`], and it is closed so
//! that the last answer arrives. Who closes a socket on which something still comes in resets the connection, and the reset
//! takes away what the other side has not read yet.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_io_timeout::TimeoutStream;

use super::folded_headers::{self, Head, Scan};
use super::stream::Stream;

/// An answer that nobody reads for so long is given up.
const WRITE: Duration = Duration::from_secs(30);
/// After the last answer so much is read and thrown away at most…
const LEFTOVER: u64 = 64 << 20;
/// …and so long is waited for more of it.
const PAUSE: Duration = Duration::from_secs(2);
/// Room that is kept for the next head.
const ROOM: usize = 16 * 1024;

/// Why the last request of a connection is not read.
pub(super) type Refusal = Arc<OnceLock<&'static str>>;

/// What follows the bytes that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another head.
    Head,
    /// hyper alone knows.
    Anything,
    /// Nothing that anybody should see.
    Nothing,
}

pub(super) struct Socket {
    stream: Pin<Box<TimeoutStream<Stream>>>,
    /// Read and not passed yet, from `served` on.
    held: Vec<u8>,
    served: usize,
    /// So many bytes may pass as they are.
    free: u64,
    next: Next,
    scan: Scan,
    refusal: Refusal,
    /// How long the rest of a request may take after its answer.
    patience: Duration,
    closing: Option<Closing>,
}

/// The writing half is closed, and the rest is being thrown away.
struct Closing {
    until: Instant,
    left: u64,
    pause: Pin<Box<Sleep>>,
}

impl Socket {
    pub(super) fn new(stream: Stream, patience: Duration) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE));
        Self {
            stream: Box::pin(stream),
            held: Vec::new(),
            served: 0,
            free: 0,
            next: Next::Head,
            scan: Scan::default(),
            refusal: Refusal::default(),
            patience,
            closing: None,
        }
    }

    /// The stream below, and what was read from it and has not passed.
    pub(super) fn into_parts(mut self) -> (Stream, Vec<u8>) {
        let stream = std::mem::replace(self.stream.as_mut().get_pin_mut().get_mut(), Stream::Gone);
        (stream, self.waiting().to_vec())
    }

    pub(super) fn refusal(&self) -> Refusal {
        Arc::clone(&self.refusal)
    }

    fn waiting(&self) -> &[u8] {
        &self.held[self.served..]
    }

    /// Bytes that may pass now.
    fn passing(&self) -> u64 {
        if self.next == Next::Anything { u64::MAX } else { self.free }
    }

    /// Passes what is held.
    fn pass(&mut self, buf: &mut ReadBuf<'_>) {
        let limit = usize::try_from(self.passing()).unwrap_or(usize::MAX);
        let count = self.waiting().len().min(buf.remaining()).min(limit);
        buf.put_slice(&self.held[self.served..self.served + count]);
        self.served += count;
        self.free = self.free.saturating_sub(count as u64);
        if self.served == self.held.len() {
            self.served = 0;
            self.held.clear();
            self.held.shrink_to(ROOM);
        }
    }

    /// A head of this length has come.
    fn judge(&mut self, length: usize) {
        let head = &self.held[self.served..self.served + length];
        match std::mem::take(&mut self.scan).judge(head) {
            Head::Plain(Some(body)) => self.free = body.saturating_add(length as u64),
            Head::Plain(None) => self.next = Next::Anything,
            Head::Unfolded(head, body) => {
                self.free = body.saturating_add(head.len() as u64);
                self.next = Next::Nothing;
                self.held.splice(self.served..self.served + length, head);
            }
            Head::Refused(why) => {
                let _ = self.refusal.set(why);
                self.held = folded_headers::stand_in(head);
                self.served = 0;
                self.free = self.held.len() as u64;
                self.next = Next::Nothing;
            }
        }
    }

    /// Reads more of a head; whether there is more.
    fn read_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(self.stream.as_mut().poll_read(cx, buf))?;
        self.held.extend_from_slice(&buf.filled()[before..]);
        let came = buf.filled().len() > before;
        buf.set_filled(before);
        Poll::Ready(Ok(came))
    }

    /// Reads what may pass; what comes behind it is held.
    fn read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.stream.as_mut().poll_read(cx, buf))?;
        let count = (buf.filled().len() - before) as u64;
        let passing = count.min(self.passing());
        if passing < count {
            let keep = before + usize::try_from(passing).unwrap_or(0);
            self.held.extend_from_slice(&buf.filled()[keep..]);
            buf.set_filled(keep);
        }
        self.free = self.free.saturating_sub(passing);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.passing() > 0 {
                if self.waiting().is_empty() {
                    return self.read_through(cx, buf);
                }
                self.pass(buf);
                return Poll::Ready(Ok(()));
            }
            if self.next == Next::Nothing {
                // hyper closes after its answer, which does not wait for this.
                return Poll::Pending;
            }
            let this = &mut *self;
            if let Some(length) = this.scan.end(&this.held[this.served..]) {
                this.judge(length);
            } else if this.waiting().len() > folded_headers::LONGEST {
                this.next = Next::Anything;
            } else if !ready!(this.read_head(cx, buf))? {
                // The end, perhaps in the middle of a head: hyper says what is wrong with that.
                if this.waiting().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.next = Next::Anything;
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    /// Closes the writing half; where a request was not read to its end, waits for that.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            ready!(self.stream.as_mut().poll_shutdown(cx))?;
            if self.next == Next::Head && self.free == 0 && self.waiting().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let until = Instant::now() + self.patience;
            let pause = Box::pin(tokio::time::sleep(PAUSE.min(self.patience)));
            self.closing = Some(Closing { until, left: LEFTOVER, pause });
        }
        let Self { stream, closing: Some(closing), .. } = &mut *self else { return Poll::Ready(Ok(())) };
        let mut room = [0; 8 * 1024];
        loop {
            let mut buf = ReadBuf::new(&mut room);
            match stream.as_mut().poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    closing.left = closing.left.saturating_sub(buf.filled().len() as u64);
                    let now = Instant::now();
                    if closing.left == 0 || now >= closing.until {
                        return Poll::Ready(Ok(()));
                    }
                    closing.pause.as_mut().reset(closing.until.min(now + PAUSE));
                }
                // The other side has closed, too.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(closing.pause.as_mut().poll(cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}
