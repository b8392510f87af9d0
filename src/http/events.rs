//! `/api/v1/events`: server-sent events (WHATWG HTML §9.2). A reader that is too slow is told how many it has lost; one that comes
//! back with `Last-Event-ID` goes on after that event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Frame;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::problem::{Problem, Query};
use crate::budget::Held;
use crate::signals::{Batch, Cursor, Filter, Kind, Reader};

/// A comment is sent when nothing has happened for so long, so that nobody takes the stream for broken.
const QUIET: Duration = Duration::from_secs(15);
/// How often it is looked whether the stream has to end.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only these: names of events with commas between them. If it is missing: all but `trace`.
    #[serde(default)]
    kind: Option<String>,
    /// Only what is about this group.
    #[serde(default)]
    group: Option<String>,
    /// Only what is about this user.
    #[serde(default)]
    user: Option<String>,
    /// Only what is about this push.
    #[serde(default)]
    push_id: Option<String>,
    /// Only what is about pushes of this initiator.
    #[serde(default)]
    initiator: Option<String>,
    /// Like `Last-Event-ID`; `0`: everything that is kept.
    #[serde(default)]
    after: Option<String>,
}

impl Asked {
    fn filter(&self) -> Result<Filter, Problem> {
        let names = self.kind.as_deref().unwrap_or_default().split(',').filter(|name| !name.is_empty());
        let kinds = names.map(|name| {
            Kind::parse(name).ok_or_else(|| {
                let known = Kind::ALL.map(Kind::name).join(", ");
                let name: String = name.chars().take(64).collect();
                Problem::bad_request(format!("kind: there are no events {name:?}; known: {known}"))
            })
        });
        Ok(Filter {
            kinds: kinds.collect::<Result<_, _>>()?,
            group: self.group.clone(),
            user: self.user.clone(),
            push_id: self.push_id.clone(),
            initiator: self.initiator.clone(),
        })
    }
}

/// Follows what happens, as server-sent events.
///
/// Each has an id, a name, and a JSON object with the same name as `event`. Whoever comes back with the last id goes on there.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    params(Asked, ("last-event-id" = Option<String>, Header, description = "Goes on after this event; instead of `after`.")),
    responses(
        (status = 200, description = "As long as somebody reads it.", body = String, content_type = "text/event-stream"),
    )
)]
pub(super) async fn stream(
    State(api): State<Arc<Api>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let filter = asked.filter()?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned).or(asked.after);
    let from = last.as_deref().map(place).transpose()?;
    let mut place_held = api.event_streams.hold();
    if !place_held.resize(1) {
        api.gateway.over_limit("http.max_event_streams", "a reader of events");
        let text = "so many streams of events at a time are too many (http.max_event_streams)";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, text).retry_after(LOOK));
    };
    let removals = api.gateway.removals();
    let follower = Follower { reader: api.gateway.signals().follow(from), api, filter, removals, _place: place_held };
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::new(Stream::new(follower))).into_response())
}

fn place(text: &str) -> Result<Cursor, Problem> {
    // No run is the 0th: everything that is kept.
    let text = if text == "0" { "0-0" } else { text };
    text.parse().map_err(|()| Problem::bad_request("Last-Event-ID is none of this gateway"))
}

/// One who follows.
struct Follower {
    api: Arc<Api>,
    reader: Reader,
    filter: Filter,
    /// How often credentials had been taken away when he was let in.
    removals: u64,
    _place: Held,
}

impl Follower {
    /// The next bytes of the stream; none at its end. Whoever was let in with a token that is taken away comes back, and is asked
    /// again who he is.
    async fn next(&mut self) -> Option<Bytes> {
        let mut quiet = Duration::ZERO;
        loop {
            if !self.api.readiness.is_taking_work() || self.api.gateway.removals() != self.removals {
                return None;
            }
            match tokio::time::timeout(LOOK, self.reader.next()).await {
                Ok(batch) => {
                    let text = self.write(&batch);
                    if !text.is_empty() {
                        return Some(text.into());
                    }
                }
                Err(_) => {
                    quiet += LOOK;
                    if quiet >= QUIET {
                        return Some(Bytes::from_static(b": nothing has happened\n\n"));
                    }
                }
            }
        }
    }

    fn write(&self, batch: &Batch) -> String {
        let mut out = String::new();
        if batch.lost > 0 {
            self.api.gateway.signals().metrics.events_lost.inc_by(batch.lost);
            out.push_str(&format!("event: lost\ndata: {{\"event\":\"lost\",\"lost\":{}}}\n\n", batch.lost));
        }
        for happening in self.filter.choose(&batch.events) {
            let id = self.reader.cursor_of(happening).to_string();
            let name = happening.event.kind().name();
            out.push_str(&format!("id: {id}\nevent: {name}\ndata: {}\n\n", happening.to_json(&id)));
        }
        out
    }
}

type Next = Pin<Box<dyn Future<Output = (Follower, Option<Bytes>)> + Send>>;

/// A body that lasts as long as somebody follows.
struct Stream(Option<Next>);

impl Stream {
    fn new(follower: Follower) -> Self {
        // The head of the answer goes out with the first bytes.
        // So does the place from which on it follows: whoever has seen nothing can come back to it.
        let first = format!(": papcast events\nid: {}\n\n", follower.reader.cursor());
        let begin = async move { (follower, Some(Bytes::from(first))) };
        Self(Some(Box::pin(begin)))
    }
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(next) = &mut self.0 else { return Poll::Ready(None) };
        let Poll::Ready((mut follower, bytes)) = next.as_mut().poll(context) else { return Poll::Pending };
        let Some(bytes) = bytes else {
            self.0 = None;
            return Poll::Ready(None);
        };
        self.0 = Some(Box::pin(async move {
            let bytes = follower.next().await;
            (follower, bytes)
        }));
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}
