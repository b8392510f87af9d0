//! Who sends a request, and whether he may: asked once for every request, before its body is read. The table of what each path
//! asks for is here; what a caller may is in [`crate::policy`].

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::console::{self, CSRF, Session, Sessions};
use super::origin::is_from_elsewhere;
use super::problem::Problem;
use super::remote::{Certified, Remote};
use crate::caller::Caller;
use crate::client_address::subscriber;
use crate::config::Config;
use crate::gateway::{Denied, Gateway, Offer};
use crate::policy::{self, Action};
use crate::rate_limit::{Rate, RateLimits};
use crate::token::digest;

/// One of these is enough; none: the path is for everybody.
pub(super) type Need = &'static [Action];

const EVERYBODY: Need = &[];
const PUSHES: Need = &[Action::Push, Action::SeeAllPushes];
const GROUPS: Need = &[Action::SeeGroups];
const CHANGE: Need = &[Action::ChangeGroups];

/// What a path that is not in the list asks for: nobody has it but who may do everything.
const UNLISTED: Need = &[Action::ChangeGroups];

const NEEDS: &[(Method, &str, Need)] = &[
    (Method::GET, "/healthz", EVERYBODY),
    (Method::GET, "/readyz", EVERYBODY),
    (Method::GET, "/mqtt", EVERYBODY),
    (Method::GET, "/metrics", &[Action::SeeMetrics]),
    (Method::GET, "/console", GROUPS),
    (Method::GET, "/console/attention", GROUPS),
    (Method::GET, "/console/pushes", GROUPS),
    (Method::GET, "/console/pushes/{push_id}", GROUPS),
    (Method::GET, "/console/pushes/{push_id}/bar", GROUPS),
    (Method::GET, "/console/send", GROUPS),
    (Method::GET, "/console/groups", GROUPS),
    (Method::GET, "/console/groups/{group}", GROUPS),
    (Method::GET, "/console/devices", GROUPS),
    (Method::GET, "/console/devices/{user}", GROUPS),
    (Method::GET, "/console/live", GROUPS),
    (Method::GET, "/console/operations", GROUPS),
    (Method::GET, "/console/sign-in", EVERYBODY),
    (Method::GET, "/console/console.js", EVERYBODY),
    (Method::GET, "/console/console.css", EVERYBODY),
    (Method::GET, "/console/icon.svg", EVERYBODY),
    (Method::GET, "/openapi.json", EVERYBODY),
    (Method::GET, "/api", EVERYBODY),
    (Method::GET, "/api/api.js", EVERYBODY),
    (Method::GET, "/api/api.css", EVERYBODY),
    (Method::POST, "/console/session", EVERYBODY),
    (Method::GET, "/console/session", GROUPS),
    (Method::DELETE, "/console/session", GROUPS),
    (Method::GET, "/api/v1/pushes", PUSHES),
    (Method::POST, "/api/v1/pushes", &[Action::Push]),
    (Method::GET, "/api/v1/pushes/{push_id}", PUSHES),
    (Method::DELETE, "/api/v1/pushes/{push_id}", &[Action::Push, Action::CancelAllPushes]),
    (Method::GET, "/api/v1/pushes/{push_id}/recipients", PUSHES),
    (Method::GET, "/api/v1/pushes/{push_id}/progress", PUSHES),
    (Method::GET, "/api/v1/pushes/{push_id}/document", PUSHES),
    (Method::GET, "/api/v1/groups", GROUPS),
    (Method::GET, "/api/v1/groups/{group}", GROUPS),
    (Method::PUT, "/api/v1/groups/{group}", CHANGE),
    (Method::DELETE, "/api/v1/groups/{group}", CHANGE),
    (Method::GET, "/api/v1/groups/{group}/members", GROUPS),
    (Method::PUT, "/api/v1/groups/{group}/members/{user}", CHANGE),
    (Method::DELETE, "/api/v1/groups/{group}/members/{user}", CHANGE),
    (Method::POST, "/api/v1/groups/{group}/members", CHANGE),
    (Method::GET, "/api/v1/groups/{group}/history", GROUPS),
    (Method::POST, "/api/v1/groups/{group}/requests", CHANGE),
    (Method::GET, "/api/v1/groups/{group}/requests", GROUPS),
    (Method::POST, "/api/v1/groups/{group}/requests/{user}", CHANGE),
    (Method::GET, "/api/v1/users/{user}", GROUPS),
    (Method::DELETE, "/api/v1/users/{user}", CHANGE),
    (Method::POST, "/api/v1/users/{user}/trace", CHANGE),
    (Method::DELETE, "/api/v1/users/{user}/trace", CHANGE),
    (Method::GET, "/api/v1/status", GROUPS),
    (Method::GET, "/api/v1/events", &[Action::Watch]),
    (Method::GET, "/api/v1/devices", GROUPS),
    (Method::POST, "/api/v1/devices/forget", CHANGE),
    (Method::GET, "/api/v1/audit", GROUPS),
    (Method::GET, "/api/v1/group-requests", GROUPS),
    (Method::GET, "/api/v1/alarms", GROUPS),
    (Method::GET, "/api/v1/configuration", GROUPS),
    (Method::GET, "/api/v1/notifications", GROUPS),
    (Method::GET, "/api/v1/repairs", GROUPS),
    (Method::DELETE, "/api/v1/users/{user}/connections", CHANGE),
    (Method::DELETE, "/api/v1/users/{user}/connections/{client_id}", CHANGE),
    (Method::POST, "/api/v1/group-requests", &[Action::JoinGroups, Action::JoinGroupsForOthers]),
    #[cfg(debug_assertions)]
    (Method::POST, "/debug/faults/{name}", EVERYBODY),
];

pub(super) fn need_of(method: &Method, path: &str) -> Need {
    let listed = NEEDS.iter().find(|(of, at, _)| of == method && *at == path);
    listed.map_or(UNLISTED, |(_, _, need)| need)
}

/// What decides.
#[derive(Debug)]
pub(super) struct Access {
    gateway: Arc<Gateway>,
    /// PAP endpoints, and whether name and token may stand in the query of one.
    pap: HashMap<String, bool>,
    open_metrics: bool,
    sessions: Arc<Sessions>,
    rate: Rate,
    rates: Arc<RateLimits<Asker>>,
}

/// Whose requests are counted together.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Name(&'static str, String),
    Address(IpAddr),
}

impl Access {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        sessions: Arc<Sessions>,
        rates: Arc<RateLimits<Asker>>,
        config: &Config,
    ) -> Self {
        let in_query = config.pap.endpoints.iter().map(|(path, endpoint)| (path.clone(), endpoint.query_credentials));
        let rate = Rate { most: config.http.max_requests_per_second, window: Duration::from_secs(1) };
        Self { gateway, pap: in_query.collect(), open_metrics: config.auth.open_metrics, rate, rates, sessions }
    }

    /// Whether this caller has asked too often; then, for how long he should not.
    fn is_too_often(&self, caller: &Caller, from: Option<IpAddr>) -> Option<Duration> {
        let asker = match (caller, from) {
            (Caller::Anybody { initiator: None } | Caller::Stranger, Some(from)) => Asker::Address(subscriber(from)),
            (Caller::Device(user), _) => Asker::Name("device", user.to_string()),
            (caller, _) => Asker::Name("", caller.initiator()),
        };
        let wait = self.rates.pass(self.rate, asker).err()?;
        self.gateway.over_limit("http.max_requests_per_second", from.map_or_else(String::new, |from| from.to_string()));
        Some(wait)
    }

    /// None where there is no such path: everybody is told so.
    fn need(&self, request: &Request) -> Option<Need> {
        let path = request.extensions().get::<MatchedPath>()?.as_str();
        if self.pap.contains_key(path) {
            return Some(&[Action::Push]);
        }
        if path == "/metrics" && self.open_metrics {
            return Some(EVERYBODY);
        }
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        Some(need_of(method, path))
    }

    /// What a request shows: its Authorization counts first, then its query, then its cookie, then its certificate.
    fn shown(&self, request: &Request) -> Shown {
        match Shown::of(request.headers()) {
            Shown::Nothing => {}
            shown => return shown,
        }
        if let Some((name, token)) = self.in_query(request) {
            return Shown::Name(name, token);
        }
        if let Some(session) = console::named_in(request.headers()).and_then(|id| self.sessions.find(id)) {
            return Shown::Session(session);
        }
        let certified = request.extensions().get();
        certified.map_or(Shown::Nothing, |Certified(name): &Certified| Shown::Certificate(name.clone()))
    }

    /// `?username=…&password=…`, where an endpoint allows that: Kannel's clients sign in so.
    fn in_query(&self, request: &Request) -> Option<(String, String)> {
        if !self.pap.get(request.uri().path()).copied().unwrap_or(false) {
            return None;
        }
        let value = |name: &str| {
            let pairs = request.uri().query().unwrap_or_default().split('&');
            let found = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1;
            let plain = found.replace('+', " ");
            Some(percent_encoding::percent_decode_str(&plain).decode_utf8().ok()?.into_owned())
        };
        Some((value("username")?, value("password")?))
    }
}

/// What the head of a request shows.
enum Shown {
    Nothing,
    Name(String, String),
    Bearer(String),
    Certificate(String),
    /// A session of the console.
    Session(Session),
    /// It cannot be read.
    Unreadable,
}

impl Shown {
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Self::Nothing };
        let parts = value.to_str().ok().and_then(|text| text.trim().split_once(' '));
        match parts {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Self::Bearer(token.trim().to_owned()),
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => basic(pair).unwrap_or(Self::Unreadable),
            _ => Self::Unreadable,
        }
    }

    fn offer(&self) -> Option<Offer<'_>> {
        match self {
            Self::Nothing => Some(Offer::Nothing),
            Self::Name(name, token) => Some(Offer::Name { name, token }),
            Self::Bearer(token) => Some(Offer::Bearer(token)),
            Self::Certificate(name) => Some(Offer::Certificate(name)),
            Self::Session(session) => Some(Offer::Session(session.credential)),
            Self::Unreadable => None,
        }
    }
}

/// RFC 7617. A user ID may have colons in it (`sip:alice@example.com`), which Basic does not allow in a name; a token has none,
/// so the last one counts.
fn basic(pair: &str) -> Option<Shown> {
    let decoded = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (name, token) = decoded.rsplit_once(':')?;
    Some(Shown::Name(name.to_owned(), token.to_owned()))
}

/// What the script of the console sends with everything it asks for.
const SCRIPT: &str = "x-requested-with";

pub(super) async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let by_script = request.headers().contains_key(SCRIPT);
    let mut response = decide(&access, request, next).await;
    if by_script {
        // A browser would ask for name and password by itself, and keep them, where the page has a form for that.
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    response
}

async fn decide(access: &Access, mut request: Request, next: Next) -> Response {
    let changes = !request.method().is_safe();
    if changes && is_from_elsewhere(request.headers()) {
        let text = "a page of another host may not change anything here";
        return Problem::new(StatusCode::FORBIDDEN, text).with_code(2001).into_response();
    }
    let from = Remote::of(request.extensions()).map(|remote| remote.address.ip());
    let Some(need) = access.need(&request).filter(|need| !need.is_empty()) else {
        // Whoever signs in to the console is nobody yet.
        let wait = if changes { access.is_too_often(&Caller::Stranger, from) } else { None };
        return match wait {
            Some(wait) => too_many(wait),
            None => next.run(request).await,
        };
    };
    let page = asked_page(&request);
    let shown = access.shown(&request);
    if changes && let Shown::Session(session) = &shown {
        let said = request.headers().get(CSRF).map(HeaderValue::as_bytes).unwrap_or_default();
        // Compared by their hashes, whose look-alikes nobody can make: the time tells nothing.
        if digest(said) != digest(session.csrf.as_bytes()) {
            let text = "what a session of the console changes needs its X-CSRF-Token";
            return Problem::new(StatusCode::FORBIDDEN, text).into_response();
        }
    }
    let caller = match identify(access, &shown, from).await {
        Ok(caller) => caller,
        // Whoever guesses is counted with his address.
        Err(problem) => {
            let wait = access.is_too_often(&Caller::Stranger, from);
            let is_denied = problem.status() == StatusCode::UNAUTHORIZED;
            let answer = page.filter(|_| is_denied).map_or(problem, |page| console::to_sign_in(&page));
            return wait.map_or(answer, too_many);
        }
    };
    if let Some(wait) = access.is_too_often(&caller, from) {
        return too_many(wait);
    }
    if !need.iter().any(|action| policy::may(&caller, *action)) {
        return match page {
            Some(page) if caller == Caller::Stranger => console::to_sign_in(&page),
            _ => refuse(&caller, need),
        };
    }
    request.extensions_mut().insert(caller);
    if let Shown::Session(session) = shown {
        request.extensions_mut().insert(session);
    }
    next.run(request).await
}

/// The page of the console that is asked for, with its query.
fn asked_page(request: &Request) -> Option<String> {
    let uri = request.uri();
    let is_page = console::is_page(request.method(), uri.path());
    is_page.then(|| uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string))
}

/// The same question for a request that the console asks in this process: its caller is known.
pub(super) async fn allowed(request: Request, next: Next) -> Response {
    let caller = request.extensions().get().cloned().unwrap_or(Caller::Stranger);
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let need = need_of(request.method(), path);
    if !need.iter().any(|action| policy::may(&caller, *action)) {
        return refuse(&caller, need);
    }
    next.run(request).await
}

async fn identify(access: &Access, shown: &Shown, from: Option<IpAddr>) -> Result<Caller, Response> {
    let Some(offer) = shown.offer() else {
        // What cannot be read says nothing: where everybody is believed, that does no harm.
        if access.gateway.requires_sign_in() {
            return Err(unauthorized("the Authorization header is neither Basic nor Bearer"));
        }
        return Ok(Caller::Anybody { initiator: None });
    };
    access.gateway.caller(offer, from).await.map_err(|denied| match denied {
        Denied::Wrong => unauthorized("the token is wrong, or belongs to another name"),
        Denied::Unavailable => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot answer").into_response(),
    })
}

fn refuse(caller: &Caller, need: Need) -> Response {
    if *caller == Caller::Stranger {
        return unauthorized("a token is needed, as Authorization: Bearer, or as Basic with the name as user");
    }
    let what = need.first().map_or("this", |action| action.name());
    Problem::new(StatusCode::FORBIDDEN, format!("{what} is not allowed with this token"))
        .with_code(2001)
        .into_response()
}

fn too_many(wait: Duration) -> Response {
    let text = "so many requests in a second are too many (http.max_requests_per_second)";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, text).with_code(4001).retry_after(wait).into_response()
}

fn unauthorized(detail: &str) -> Response {
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).with_code(2001).into_response();
    let challenge = HeaderValue::from_static("Basic realm=\"papcast\", charset=\"UTF-8\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    /// Who [`check`] found out.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or(Self::Stranger))
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower_service::Service as _;

    use super::*;
    use crate::caller::Role;
    use crate::ids::UserId;

    /// Today whoever may look at a page may look at all that pages ask for; the table may change.
    #[tokio::test]
    async fn the_console_asks_with_the_rights_of_whoever_looks() {
        let answer = || async { "groups" };
        let inside = Router::new().route("/api/v1/groups", get(answer).delete(answer));
        let mut inside = inside.route_layer(axum::middleware::from_fn(allowed));
        let viewer = Caller::Operator { name: "vic".into(), role: Role::Viewer };
        let device = Caller::Device(UserId::parse("alice").unwrap());
        for (caller, method, code) in [
            (Some(viewer.clone()), Method::GET, StatusCode::OK),
            (Some(viewer), Method::DELETE, StatusCode::FORBIDDEN),
            (Some(device), Method::GET, StatusCode::FORBIDDEN),
            (None, Method::GET, StatusCode::UNAUTHORIZED),
        ] {
            let mut request = Request::builder().method(&method).uri("/api/v1/groups").body(Body::empty()).unwrap();
            caller.map(|caller| request.extensions_mut().insert(caller));
            let response = inside.call(request).await.unwrap();
            assert_eq!(response.status(), code, "{method}");
        }
    }

    fn shown(value: &'static str) -> Shown {
        Shown::of(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]))
    }

    /// RFC 7617 §2 has this example.
    #[test]
    fn basic_and_bearer_are_read_whatever_their_case() {
        assert!(
            matches!(shown("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Shown::Name(name, token) if name == "Aladdin" && token == "open sesame")
        );
        assert!(matches!(shown("bearer  abc"), Shown::Bearer(token) if token == "abc"));
        for bad in ["Basic !", "Digest x", "Basic", "Basic QQ=="] {
            assert!(matches!(shown(bad), Shown::Unreadable), "{bad}");
        }
    }

    /// sip:alice@example.com:token
    #[test]
    fn a_user_id_with_a_colon_is_a_name() {
        let value = "Basic c2lwOmFsaWNlQGV4YW1wbGUuY29tOnRva2Vu";
        assert!(
            matches!(shown(value), Shown::Name(name, token) if name == "sip:alice@example.com" && token == "token")
        );
    }
}
