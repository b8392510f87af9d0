//! What an operator looks after: `/api/v1/alarms`, `/api/v1/configuration`, `/api/v1/notifications`, `/api/v1/repairs`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::listing::{Page, next};
use super::problem::{Problem, Query};
use crate::clock;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alarms {
    /// What is wrong now; empty where nothing is.
    alarms: Vec<Alarm>,
}

/// Something that an operator has to know.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alarm {
    /// `critical`: pushes are not taken, or something has ended. `warning`: all else.
    severity: &'static str,
    /// What it is about, in one word.
    name: String,
    /// What is wrong, and what to do.
    detail: String,
}

impl Alarm {
    fn warning(name: &str, detail: String) -> Self {
        Self { severity: "warning", name: name.to_owned(), detail }
    }
}

/// Says what is wrong now.
///
/// Those that are critical are those of which `/readyz` and `/healthz` speak.
#[utoipa::path(get, path = "/api/v1/alarms", responses((status = 200, body = Alarms)))]
pub(super) async fn alarms(State(api): State<Arc<Api>>) -> Result<Json<Alarms>, Problem> {
    let failing = api.readiness.failing().await;
    let mut alarms: Vec<Alarm> =
        failing.into_iter().map(|(name, detail)| Alarm { severity: "critical", name, detail }).collect();
    if !api.gateway.requires_sign_in() {
        let text = "nobody has to sign in, and every user ID is believed (auth.mode = \"open\")";
        alarms.push(Alarm::warning("open", text.into()));
    }
    // Where the store cannot answer, that is among the critical ones.
    if let Ok(receivers) = api.gateway.store().failing_receivers(1).await
        && let Some(worst) = receivers.first()
    {
        let text = format!(
            "{} does not receive its result notifications: {} are tried again, {} were given up; the last failure: {}",
            place(&worst.receiver),
            worst.waiting,
            worst.given_up,
            worst.failure
        );
        alarms.push(Alarm::warning("notifications", text));
    }
    if let Some(setting) = api.settings.iter().find(|setting| setting.needs_restart) {
        let text = format!("{} has changed and holds only after a restart", setting.key);
        alarms.push(Alarm::warning("configuration", text));
    }
    Ok(Json(Alarms { alarms }))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Configuration {
    settings: Vec<ShownSetting>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Setting)]
struct ShownSetting {
    /// Dotted, such as `http.listen`.
    key: String,
    /// In TOML.
    value: String,
    /// Null where there is no such key by default.
    #[schema(required)]
    default: Option<String>,
    /// The file or variable that sets it; null where it is the default.
    #[schema(required)]
    set_by: Option<String>,
    /// The gateway runs with another value, until a restart.
    needs_restart: bool,
}

/// Lists the settings that are in force, each with its default.
///
/// Tokens and keys are in files of their own, of which only the names are settings.
#[utoipa::path(get, path = "/api/v1/configuration", responses((status = 200, body = Configuration)))]
pub(super) async fn configuration(State(api): State<Arc<Api>>) -> Json<Configuration> {
    let settings = api.settings.iter().cloned().map(|setting| ShownSetting {
        key: setting.key,
        value: setting.value,
        default: setting.default,
        set_by: setting.set_by,
        needs_restart: setting.needs_restart,
    });
    Json(Configuration { settings: settings.collect() })
}

/// Host and port as people write them.
fn place(receiver: &str) -> String {
    receiver.rsplit_once(' ').map_or_else(|| receiver.to_owned(), |(host, port)| format!("{host}:{port}"))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Notifications {
    receivers: Vec<ShownReceiver>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailingReceiver)]
struct ShownReceiver {
    /// Host and port.
    receiver: String,
    /// Notifications that are tried again.
    waiting: u64,
    /// Those that are not (`notify.give_up`).
    given_up: u64,
    /// Why one of them failed last.
    failure: String,
    #[schema(required)]
    next_attempt: Option<String>,
}

/// Lists who does not receive the result notifications that are posted to it, at most 100.
#[utoipa::path(get, path = "/api/v1/notifications", responses((status = 200, body = Notifications)))]
pub(super) async fn notifications(State(api): State<Arc<Api>>) -> Result<Json<Notifications>, Problem> {
    let receivers = api.gateway.store().failing_receivers(100).await?;
    let shown = receivers.into_iter().map(|receiver| ShownReceiver {
        receiver: place(&receiver.receiver),
        waiting: receiver.waiting,
        given_up: receiver.given_up,
        failure: receiver.failure,
        next_attempt: receiver.next_at.map(clock::format_utc),
    });
    Ok(Json(Notifications { receivers: shown.collect() }))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Repairs)]
pub(super) struct ShownRepairs {
    repairs: Vec<ShownRepair>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RepairCount)]
struct ShownRepair {
    initiator: String,
    /// Of the table in docs/pap.md.
    row: &'static str,
    /// In words.
    repair: String,
    requests: u64,
    first: String,
    last: String,
}

/// Lists which malformed PAP requests were accepted since the gateway started, by initiator and kind.
#[utoipa::path(get, path = "/api/v1/repairs", params(Page), responses((status = 200, body = ShownRepairs)))]
pub(super) async fn repairs(
    State(api): State<Arc<Api>>,
    Query(page): Query<Page>,
) -> Result<Json<ShownRepairs>, Problem> {
    let skip = usize::try_from(page.key()?).unwrap_or(0);
    let limit = page.limit();
    let found = api.observer.repair_log.list(skip, limit);
    let next = next(&found, limit, |_| (skip + limit).to_string());
    let repairs = found.into_iter().map(|count| ShownRepair {
        row: count.repair.row(),
        repair: count.repair.to_string(),
        initiator: count.initiator,
        requests: count.requests,
        first: clock::format_utc(count.first),
        last: clock::format_utc(count.last),
    });
    Ok(Json(ShownRepairs { repairs: repairs.collect(), next }))
}
