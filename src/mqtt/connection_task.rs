//! The task of one connection: reads packets, writes what waits, and puts everything in order when it ends.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::Interest;

use super::attach::{go_on, last_seen};
use super::codec::{self, BadPacket, Reply, Version, reason};
use super::connection::{Close, Conn, State};
use super::connection_events::{self, words};
use super::inflight_window::Resume;
use super::worker::Worker;
use super::{client_messages, connect, connect_refusal, packets, set_aside};

/// How long the last bytes to a connection that we end may take, and the last ones from one that broke.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A fault in one connection ends that connection, and frees what it had.
struct OnPanic {
    worker: Rc<Worker>,
    conn: Rc<Conn>,
}

impl Drop for OnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(remote = %self.conn.remote, "a connection is closed because its task has failed");
            let (worker, conn) = (Rc::clone(&self.worker), Rc::clone(&self.conn));
            tokio::task::spawn_local(async move {
                // In good order if that is still possible, and in any case out of everything.
                let ending = Rc::clone(&conn);
                let good_order = Rc::clone(&worker);
                conn.close(Close::Gone);
                let _ = tokio::task::spawn_local(async move { finish(&good_order, &ending).await }).await;
                worker.purge(&conn);
            });
        }
    }
}

/// So long others may have to wait to be accepted until a new connection says something.
const FIRST_WORD: Duration = Duration::from_millis(10);

pub(super) async fn serve(worker: Rc<Worker>, conn: Rc<Conn>) {
    let _on_panic = OnPanic { worker: Rc::clone(&worker), conn: Rc::clone(&conn) };
    let mut buffer = BytesMut::new();
    let mut unfinished = worker.registry.unfinished.hold();
    // Who has nothing to say yet keeps nobody waiting.
    if tokio::time::timeout(FIRST_WORD, conn.socket.readable()).await.is_ok()
        && let Err(close) = turn(&worker, &conn, &mut buffer).await
    {
        conn.close(close);
    }
    conn.has_arrived();
    let close = loop {
        if let Some(close) = ending(&worker, &conn, &mut buffer).await {
            break close;
        }
        if let Err(close) = turn(&worker, &conn, &mut buffer).await {
            break close;
        }
        if !unfinished.resize(buffer.len() + conn.socket.held()) {
            worker.gateway.over_limit("mqtt.max_unfinished", conn.remote);
            break Close::Reason(reason::QUOTA_EXCEEDED);
        }
    };
    drop(unfinished);
    conn.close(close);
    drop(buffer);
    finish(&worker, &conn).await;
}

/// Whether the connection ends now. What the other side said before that counts, acknowledgements above all: where it
/// takes nothing any more, to the end, which a broken socket tells at once; where we dismiss it, as far as it has come.
async fn ending(worker: &Rc<Worker>, conn: &Rc<Conn>, buffer: &mut BytesMut) -> Option<Close> {
    let (closing, dismissed, broken) = {
        let state = conn.state.borrow();
        (state.closing, state.dismissed, state.outbox.is_broken())
    };
    if closing.is_some() || (dismissed.is_none() && !broken) {
        return closing;
    }
    let heard = tokio::time::timeout(LAST_WORDS, hear_out(worker, conn, buffer, dismissed.is_none())).await;
    Some(match (heard, dismissed) {
        (Ok(Err(close)), _) => close,
        (_, Some(reason)) => Close::Reason(reason),
        (_, None) => Close::Gone,
    })
}

/// Deals with what waits to be read; an error where that, or the other side, ended the connection.
async fn hear_out(worker: &Rc<Worker>, conn: &Rc<Conn>, buffer: &mut BytesMut, to_the_end: bool) -> Result<(), Close> {
    loop {
        handle(worker, conn, buffer).await?;
        if let Some(close) = conn.state.borrow().closing {
            return Err(close);
        }
        // It does not even take the answers to what it said.
        if conn.state.borrow().outbox.is_full() {
            return Ok(());
        }
        if to_the_end {
            conn.socket.readable().await.map_err(|_| Close::Gone)?;
        } else {
            // The runtime looks at the sockets before it goes on here.
            tokio::task::yield_now().await;
        }
        if !read(worker, conn, buffer)? && !to_the_end {
            return Ok(());
        }
    }
}

/// Waits for the socket or for news, and deals with it.
async fn turn(worker: &Rc<Worker>, conn: &Rc<Conn>, buffer: &mut BytesMut) -> Result<(), Close> {
    let interest = {
        let outbox = &conn.state.borrow().outbox;
        match (outbox.is_free() && !conn.socket.has_pending(), outbox.is_full()) {
            (true, _) => Interest::READABLE,
            (false, false) => Interest::READABLE | Interest::WRITABLE,
            (false, true) => Interest::WRITABLE,
        }
    };
    let ready = tokio::select! {
        ready = conn.socket.ready(interest) => ready.map_err(|_| Close::Gone)?,
        () = conn.wake.notified() => return Ok(()),
    };
    if ready.is_writable() {
        drain(worker, conn);
        // Packets that were read before the outbox was full.
        handle(worker, conn, buffer).await?;
    }
    if ready.is_readable() && interest.is_readable() {
        if read(worker, conn, buffer)? {
            handle(worker, conn, buffer).await?;
        }
        // A client that always has something to say must not keep the others waiting.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Writes what waits; once it is out, QoS 0 pushes count and the next may follow.
fn drain(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    let freed = {
        let mut state = conn.state.borrow_mut();
        let State { session, outbox, heard, .. } = &mut *state;
        conn.socket.flush();
        if outbox.flush(&conn.socket) {
            // Who takes what we send is alive, even if we do not read from it meanwhile.
            *heard = Instant::now();
        }
        if let Some(session) = session {
            session.written(outbox);
        }
        outbox.is_free()
    };
    worker.list(conn);
    if freed {
        go_on(worker, conn);
    }
}

/// Reads once into the worker's buffer; `false` where nothing came.
fn read(worker: &Worker, conn: &Conn, buffer: &mut BytesMut) -> Result<bool, Close> {
    let mut scratch = worker.scratch.borrow_mut();
    match conn.socket.try_read(&mut scratch) {
        Ok(0) => Err(Close::Gone),
        Ok(count) => {
            buffer.extend_from_slice(&scratch[..count]);
            conn.state.borrow_mut().heard = Instant::now();
            Ok(true)
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
        Err(_) => Err(Close::Gone),
    }
}

/// Handles every whole packet in the buffer, in order.
async fn handle(worker: &Rc<Worker>, conn: &Rc<Conn>, buffer: &mut BytesMut) -> Result<(), Close> {
    loop {
        if conn.state.borrow().outbox.is_full() {
            return Ok(());
        }
        let settings = worker.settings();
        let most = if conn.version().is_some() { settings.max_packet } else { settings.max_connect };
        let length = match codec::packet_length(buffer, most) {
            Ok(Some(length)) if buffer.len() >= length => length,
            Ok(Some(_)) if conn.version().is_none() && buffer.first() != Some(&0x10) => return Err(Close::Gone),
            Ok(_) => break,
            Err(BadPacket(reason)) if conn.version().is_none() => {
                return Err(connect_refusal::unreadable(worker, conn, reason));
            }
            Err(BadPacket(code)) => {
                if code == reason::PACKET_TOO_LARGE {
                    worker.gateway.over_limit("mqtt.max_packet", conn.remote);
                }
                return Err(Close::Reason(code));
            }
        };
        tokio::task::consume_budget().await;
        let packet = buffer.split_to(length);
        match conn.version() {
            None => connect::first_packet(worker, conn, &packet).await?,
            Some(version) => {
                let packet = codec::decode(version, &packet).map_err(|BadPacket(reason)| Close::Reason(reason))?;
                if let Some(session) = &conn.state.borrow().session {
                    session.trace("in", || packet.to_string());
                }
                packets::handle(worker, conn, version, packet).await?;
            }
        }
        if conn.is_closing() {
            return Ok(());
        }
    }
    // A connection at rest keeps no buffer.
    if !buffer.has_remaining() {
        *buffer = BytesMut::new();
    }
    Ok(())
}

/// Takes the connection out of all tables, writes down what it knew, and ends or parks its session.
async fn finish(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    let close = conn.state.borrow().closing.unwrap_or(Close::Gone);
    connection_events::ended(worker.gateway.signals(), conn, close);
    let session = conn.state.borrow_mut().session.take();
    let Some(mut session) = session else { return worker.forget(conn) };
    let at = worker.at(conn);
    // At once: whoever settles from now on has to find them, and whoever replaces a push what is under way.
    worker.keep_moves(session.take_moves());
    worker.registry.ending(at, session.under_way());
    say_goodbye(conn, session.version, close).await;
    let (subscriptions, will, received, expiry, stored) = {
        let mut state = conn.state.borrow_mut();
        let subscriptions = std::mem::take(&mut state.subscriptions);
        (subscriptions, state.will.take(), std::mem::take(&mut state.received), state.expiry, state.stored)
    };
    worker.note(last_seen(&session, Some(words(close))));
    let client = session.client_id.clone();
    let user = session.user.clone();
    {
        let mut table = worker.table.borrow_mut();
        for flow in session.flow_ids() {
            table.detach(flow, conn.id);
        }
        if let Some(user) = &user {
            table.leave(user, conn.id);
        }
        for subscription in &subscriptions {
            client_messages::remove(&mut table, &subscription.filter, conn.id);
        }
    }
    client_messages::remove_wild(worker, &[], conn.id);
    worker.settle().await;
    if let Some(user) = &user {
        worker.registry.leave(user, at);
    }
    if close.is_the_client_s() {
        set_aside::note(worker, &mut session, close == Close::Unanswered).await;
    }
    let resume = if expiry > 0 { session.into_resume(received) } else { Resume::default() };
    if let Some(user) = user.filter(|_| stored) {
        worker.gateway.connection_ended(&client, &user, expiry).await;
    }
    if let Some(will) = will.filter(|_| close.publishes_will()) {
        worker.registry.wills.publish(&worker.settings().publisher, &client, *will, expiry);
    }
    worker.forget(conn);
    worker.registry.release(&client, at, resume);
}

/// MQTT 5 is told why; then what waits is written, for a moment.
async fn say_goodbye(conn: &Conn, version: Version, close: Close) {
    if let Some(reason) = close.reason() {
        conn.reply(version, &Reply::Disconnect { reason });
    } else {
        return;
    }
    let flushed = async {
        while (!conn.state.borrow().outbox.is_done() || conn.socket.has_pending())
            && conn.socket.writable().await.is_ok()
        {
            conn.socket.flush();
            conn.state.borrow_mut().outbox.flush(&conn.socket);
            // A socket that is always ready must not keep the time from passing.
            tokio::task::yield_now().await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORDS, flushed).await;
    conn.socket.end();
}
