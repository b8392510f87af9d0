//! `/api/v1/devices`: who is away, mute, lagging or flapping; and devices that never came back.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::openapi::Object;
use utoipa::{IntoParams, ToSchema};

use super::csv::{Format, List};
use super::listing::{Page, one_of};
use super::problem::{Body, Problem, Query};
use super::{Api, to_the_end};
use crate::caller::Caller;
use crate::clock::{self, Millis};
use crate::gateway::{AskedDevices, Device, DeviceState, Sort};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    #[serde(default)]
    #[param(schema_with = states)]
    state: Option<String>,
    /// Only those that were away for so long: a duration such as `30days`.
    #[serde(default)]
    #[param(example = "30days")]
    away_for: Option<String>,
    /// Only users whose names begin so.
    #[serde(default)]
    prefix: Option<String>,
    /// Only users whose names have this in them. Capital and small letters of ASCII are the same.
    #[serde(default)]
    search: Option<String>,
    #[serde(default)]
    #[param(schema_with = orders)]
    sort: Option<String>,
}

fn states() -> Object {
    one_of("Only those of which this is true.", DeviceState::ALL.map(DeviceState::name))
}

fn orders() -> Object {
    one_of("With `lag` or `last_seen` the worst come first, and there is no next page.", ["user", "lag", "last_seen"])
}

impl Filter {
    fn asked(&self) -> Result<AskedDevices, Problem> {
        let state = self.state.as_deref().map(|name| {
            let known = || DeviceState::ALL.map(DeviceState::name).join(", ");
            DeviceState::parse(name)
                .ok_or_else(|| Problem::bad_request(format!("state: {:?} is none; known: {}", short(name), known())))
        });
        Ok(AskedDevices {
            state: state.transpose()?,
            away_for: self.away_for.as_deref().map(duration).transpose()?,
            prefix: self.prefix.clone().unwrap_or_default(),
            search: self.search.clone().unwrap_or_default(),
        })
    }

    fn sort(&self) -> Result<Option<Sort>, Problem> {
        match self.sort.as_deref() {
            None | Some("user") => Ok(None),
            Some("lag") => Ok(Some(Sort::Lag)),
            Some("last_seen") => Ok(Some(Sort::LastSeen)),
            Some(other) => {
                Err(Problem::bad_request(format!("sort: {:?} is none; known: user, lag, last_seen", short(other))))
            }
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

fn duration(text: &str) -> Result<Millis, Problem> {
    let parsed: Result<Duration, _> = humantime::parse_duration(text);
    let wrong = || Problem::bad_request(format!("away_for: {:?} is no duration such as \"30days\"", short(text)));
    Millis::try_from(parsed.map_err(|_| wrong())?.as_millis()).map_err(|_| wrong())
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Devices {
    devices: Vec<ShownDevice>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device)]
pub(super) struct ShownDevice {
    user: String,
    /// Which of `away`, `mute`, `lagging` and `flapping` are true of it.
    states: Vec<&'static str>,
    connected: bool,
    #[schema(required)]
    last_seen: Option<String>,
    /// Why its last connection ended.
    #[schema(required)]
    reason: Option<String>,
    #[schema(required)]
    protocol: Option<String>,
    groups: u64,
    /// Pushes that it owes an answer; 1,000 are counted at most.
    owed: u64,
    /// When the oldest of them was taken.
    #[schema(required)]
    owed_since: Option<String>,
    /// Since when it has left a push unanswered that was sent to it.
    #[schema(required)]
    unanswered_since: Option<String>,
    /// How often it connected within the last hour; 32 are counted at most.
    connects_last_hour: usize,
}

impl From<Device> for ShownDevice {
    fn from(device: Device) -> Self {
        Self {
            states: device.states(),
            connected: device.connected,
            last_seen: device.last_seen().map(clock::format_utc),
            reason: device.view.seen.gone.clone(),
            protocol: device.view.protocol.clone(),
            groups: device.view.groups,
            owed: device.view.owed,
            owed_since: device.view.owed_since.map(clock::format_utc),
            unanswered_since: device.unanswered_since.map(clock::format_utc),
            connects_last_hour: device.connects,
            user: device.view.user,
        }
    }
}

impl List for Devices {
    const HEAD: &'static [&'static str] = &[
        "user",
        "states",
        "connected",
        "last_seen",
        "reason",
        "protocol",
        "groups",
        "owed",
        "owed_since",
        "unanswered_since",
        "connects_last_hour",
    ];

    fn rows(&self) -> Vec<Vec<String>> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let row = |one: &ShownDevice| {
            vec![
                one.user.clone(),
                one.states.join(" "),
                one.connected.to_string(),
                text(&one.last_seen),
                text(&one.reason),
                text(&one.protocol),
                one.groups.to_string(),
                one.owed.to_string(),
                text(&one.owed_since),
                text(&one.unanswered_since),
                one.connects_last_hour.to_string(),
            ]
        };
        self.devices.iter().map(row).collect()
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// Lists devices, by their users or the worst first.
#[utoipa::path(
    get,
    path = "/api/v1/devices",
    params(Filter, Page, Format),
    responses((status = 200, content((Devices = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
    Query(format): Query<Format>,
) -> Result<Response, Problem> {
    let (asked, limit) = (filter.asked()?, page.limit());
    let found = match filter.sort()? {
        None => {
            let found = api.gateway.devices(&asked, page.after.unwrap_or_default(), limit).await?;
            Devices { devices: found.devices.into_iter().map(Into::into).collect(), next: found.next }
        }
        Some(_) if page.after.is_some() => {
            return Err(Problem::bad_request("after= goes with sort=user: the others show the worst ones only"));
        }
        Some(sort) => {
            let worst = api.gateway.worst_devices(&asked, sort, limit).await?;
            Devices { devices: worst.into_iter().map(Into::into).collect(), next: None }
        }
    };
    format.answer(found)
}

/// Which devices are to be taken out of their groups.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Forget {
    /// Those that were away for so long: a duration such as `30days`.
    #[schema(example = "30days")]
    away_for: String,
    /// Only count them.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Forgotten {
    /// So many were ended, or would be.
    memberships: u64,
    dry_run: bool,
}

/// Takes devices that were away for long out of their groups, or counts them.
#[utoipa::path(
    post,
    path = "/api/v1/devices/forget",
    request_body = Forget,
    responses((status = 200, body = Forgotten))
)]
pub(super) async fn forget(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(asked): Body<Forget>,
) -> Result<Json<Forgotten>, Problem> {
    let away_for = duration(&asked.away_for)?;
    let dry_run = asked.dry_run;
    let work = async move { api.gateway.forget_away(&caller, away_for, dry_run).await };
    Ok(Json(Forgotten { memberships: to_the_end(work).await??, dry_run }))
}
