//! Who a CONNECT comes as: the user it acts for, and the credential that it shows.

use super::codec::{Connect, reason};
use super::connect_refusal::Refusal;
use super::connection::Conn;
use super::worker::Worker;
use crate::caller::{Caller, Kind, OPERATOR_PREFIX, Role};
use crate::config::{ClientName, UserIdFrom};
use crate::gateway::Denied;
use crate::ids::UserId;
use crate::store::SignedIn;
use crate::tls;

/// The user of a connection; operators, and clients whose id we assigned, are nobody's terminal.
pub(super) async fn sign_in(
    worker: &Worker,
    conn: &Conn,
    connect: &Connect,
    client_id: &str,
    assigned: bool,
) -> Result<Option<UserId>, Refusal> {
    let name = connect.username.as_deref().filter(|name| !name.is_empty());
    let is_operator = name.is_some_and(|name| name.starts_with(OPERATOR_PREFIX));
    let user = if is_operator { None } else { user_of(worker.settings().user_id, name, client_id, assigned)? };
    if !worker.gateway.requires_sign_in() {
        return Ok(user);
    }
    let wrong = |why: &str| Refusal::new(reason::BAD_USER_NAME_OR_PASSWORD, why);
    if let Some(certified) = certified(worker, conn).filter(|_| connect.password.is_none()) {
        return by_certificate(worker, conn, &certified, name, client_id).await;
    }
    let token = connect.password.as_ref();
    // What somebody else has signed names the user ID and not a login that many share.
    let is_client_id = !is_operator
        && worker.settings().user_id == UserIdFrom::ClientId
        && token.is_some_and(|token| worker.gateway.takes_jwt(token.reveal()));
    let name = if is_client_id { Some(client_id) } else { name };
    let name =
        name.ok_or_else(|| wrong("it has no username: its user ID belongs there, and its token into the password"))?;
    let token = token.ok_or_else(|| wrong("it has no password: its token belongs there"))?;
    let removals = worker.gateway.removals();
    match worker.gateway.sign_in(name, token.reveal(), Some(conn.remote.ip())).await {
        Ok(signed_in) => conn.state.borrow_mut().signed_in = Some(Box::new(signed_in)),
        Err(Denied::Wrong) => return Err(wrong("its token does not fit its username, or is none")),
        Err(Denied::Unavailable) => return Err(Refusal::new(reason::UNAVAILABLE, "the store cannot answer")),
    }
    // Whoever takes a credential away ends the connections that have it; this one was none of them until now.
    if worker.gateway.removals() != removals && worker.gateway.sign_in(name, token.reveal(), None).await.is_err() {
        return Err(wrong("its token has just been taken away"));
    }
    Ok(user)
}

/// Whom its certificate names, where certificates do.
fn certified(worker: &Worker, conn: &Conn) -> Option<String> {
    let field = worker.settings().client_name;
    let certificate = (field != ClientName::None).then(|| conn.socket.certificate())??;
    tls::client_name(&certificate, field)
}

/// A device that was added and shows a certificate in place of its token: its username, if it has one, is the name in there.
async fn by_certificate(
    worker: &Worker,
    conn: &Conn,
    certified: &str,
    name: Option<&str>,
    client_id: &str,
) -> Result<Option<UserId>, Refusal> {
    let not_its = |why: &str| Refusal::new(reason::NOT_AUTHORIZED, why);
    let own = UserId::parse(certified).map_err(|_| not_its("the name in its certificate is no user ID"))?;
    let named = name.map(UserId::parse).transpose().map_err(|_| not_its("its username is no user ID"))?;
    if named.is_some_and(|named| named != own) || certified.starts_with(OPERATOR_PREFIX) {
        return Err(not_its("its username is not the name in its certificate"));
    }
    let removals = worker.gateway.removals();
    match worker.gateway.is_device(own.as_str()).await {
        Ok(true) => {}
        Ok(false) => return Err(not_its("the name in its certificate is no device that was added")),
        Err(_) => return Err(Refusal::new(reason::UNAVAILABLE, "the store cannot answer")),
    }
    let user = match worker.settings().user_id {
        UserIdFrom::Username => own.clone(),
        UserIdFrom::ClientId => UserId::parse(client_id).map_err(|_| not_its("its client id is no user ID"))?,
    };
    let signed_in = SignedIn { kind: Kind::Device, name: own.to_string(), role: None, hash: [0; 32], until: None };
    conn.state.borrow_mut().signed_in = Some(Box::new(signed_in));
    let is_still =
        worker.gateway.removals() == removals || worker.gateway.is_device(own.as_str()).await.unwrap_or(false);
    if is_still { Ok(Some(user)) } else { Err(not_its("its device has just been removed")) }
}

/// The user ID: the username, else the client id; none where that was assigned by us.
fn user_of(from: UserIdFrom, name: Option<&str>, client_id: &str, assigned: bool) -> Result<Option<UserId>, Refusal> {
    match name.filter(|_| from == UserIdFrom::Username) {
        Some(name) => UserId::parse(name).map(Some).map_err(|error| {
            let why = format!("its username is its user ID, and {error} (a token belongs into the password)");
            Refusal::new(reason::NOT_AUTHORIZED, why)
        }),
        None if assigned => Ok(None),
        None => UserId::parse(client_id).map(Some).map_err(|error| {
            Refusal::new(
                reason::CLIENT_ID_INVALID,
                format!("without a username its client id is its user ID, and {error}"),
            )
        }),
    }
}

/// Who owns what this connection has; nobody does where everybody is believed.
pub(super) fn owner(conn: &Conn, user: Option<&UserId>) -> Option<String> {
    let state = conn.state.borrow();
    let signed_in = state.signed_in.as_deref()?;
    Some(user.map_or_else(|| format!("{OPERATOR_PREFIX}{}", signed_in.name), ToString::to_string))
}

/// A viewer looks and changes nothing.
pub(super) fn may_publish(conn: &Conn) -> bool {
    conn.state.borrow().signed_in.as_deref().is_none_or(|signed_in| signed_in.role != Some(Role::Viewer))
}

/// Who a connection is, for whoever decides what it may.
pub(super) fn caller(conn: &Conn) -> Caller {
    let state = conn.state.borrow();
    let user = || state.session.as_ref().and_then(|session| session.user.clone());
    match state.signed_in.as_deref() {
        None => Caller::Anybody { initiator: None },
        Some(SignedIn { name, role: Some(role), .. }) => Caller::Operator { name: name.clone(), role: *role },
        // Not before its session has begun.
        Some(_) => user().map_or(Caller::Stranger, Caller::Device),
    }
}
