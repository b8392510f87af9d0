//! Signing in to the console, with a token, for which an operator gets a session cookie; and out again. The cookie
//! goes to no other site, scripts cannot read it, and what changes something needs a second secret besides, which the page has
//! and other pages do not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::sessions::{LASTS, Session};
use crate::caller::{Caller, Role};
use crate::gateway::{Denied, Offer};
use crate::http::Api;
use crate::http::problem::{Body, Problem};
use crate::http::remote::Remote;

const COOKIE: &str = "papcast_session";
pub(in crate::http) const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// The session of a request, as its cookie names it.
pub(in crate::http) fn named_in(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, id)| id).next()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SignIn {
    token: String,
}

/// Who is signed in.
#[derive(Debug, Serialize)]
struct SignedIn {
    /// None: nobody has to sign in.
    operator: Option<String>,
    role: Role,
    /// To be sent as X-CSRF-Token with what changes something.
    csrf: Option<String>,
}

impl SignedIn {
    fn of(caller: &Caller, csrf: Option<String>) -> Option<Self> {
        match caller {
            Caller::Operator { name, role } => Some(Self { operator: Some(name.clone()), role: *role, csrf }),
            Caller::Anybody { .. } => Some(Self { operator: None, role: Role::Operator, csrf: None }),
            Caller::Stranger | Caller::Device(_) | Caller::Initiator(_) => None,
        }
    }
}

/// Signs in: a session for a token of an operator or a viewer.
pub(in crate::http) async fn sign_in(
    State(api): State<Arc<Api>>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Result<Body<SignIn>, Problem>,
) -> Result<Response, Problem> {
    let Body(SignIn { token }) = body?;
    let from = Remote::of(&extensions).map(|remote| remote.address.ip());
    let signed_in = api.gateway.sign_in_with(Offer::Bearer(&token), from).await;
    let (caller, credential) = signed_in.map_err(|denied| match denied {
        Denied::Wrong => Problem::new(StatusCode::UNAUTHORIZED, "the token is wrong"),
        Denied::Unavailable => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store cannot answer"),
    })?;
    let not_his = || Problem::new(StatusCode::FORBIDDEN, "the console is for the tokens of operators and viewers");
    let (Caller::Operator { .. }, Some(credential)) = (&caller, credential) else {
        return SignedIn::of(&caller, None).map(|open| Json(open).into_response()).ok_or_else(not_his);
    };
    let no_random = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the system gives no random numbers");
    let (id, csrf) = api.sessions.begin(credential).map_err(no_random)?;
    let is_secure = is_over_tls(&extensions, &headers);
    let mut response = Json(SignedIn::of(&caller, Some(csrf)).ok_or_else(not_his)?).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(&id, LASTS.as_secs(), is_secure));
    Ok(response)
}

/// Who this is, and the second secret for a page that was loaded again.
pub(in crate::http) async fn whoami(
    caller: Caller,
    session: Option<axum::Extension<Session>>,
) -> Result<Response, Problem> {
    let csrf = session.map(|axum::Extension(session)| session.csrf);
    match SignedIn::of(&caller, csrf) {
        Some(signed_in) => Ok(Json(signed_in).into_response()),
        None => Err(Problem::new(StatusCode::FORBIDDEN, "this is for operators and viewers")),
    }
}

/// Ends the session.
pub(in crate::http) async fn sign_out(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    if let Some(id) = named_in(&headers) {
        api.sessions.end(id);
    }
    let is_secure = is_over_tls(&extensions, &headers);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie("", 0, is_secure))]).into_response()
}

/// Whether the browser speaks TLS, with papcast or with a proxy before it. Whoever lies about that keeps his own cookie from himself.
pub(super) fn is_over_tls(extensions: &Extensions, headers: &HeaderMap) -> bool {
    let said = headers.get("x-forwarded-proto").is_some_and(|said| said == "https");
    said || Remote::of(extensions).is_some_and(|remote| remote.is_secure)
}

fn cookie(id: &str, seconds: u64, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    // Base64 and numbers.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
