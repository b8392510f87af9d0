//! `papcast events`

use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{Admin, Failure, Lines, escape, text};
use super::{out, user};

/// What happens, as it happens.
///
/// The same over MQTT: mosquitto_sub -t '$push/trace/GROUP'.
///
/// Kinds: join, leave, push, progress, final, connect, disconnect, refused, change, and trace, which is shown only where it is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    admin: Admin,
    /// Go on until it is stopped; without it, what the gateway remembers is shown.
    #[arg(long, short)]
    follow: bool,
    /// Only these kinds, with commas between them.
    #[arg(long, value_name = "KINDS")]
    kind: Option<String>,
    /// Only what is about this group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only what is about this user.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only what is about this push.
    #[arg(long, value_name = "PUSH-ID")]
    push_id: Option<String>,
    /// Only what is about pushes of this initiator.
    #[arg(long, value_name = "NAME")]
    initiator: Option<String>,
}

/// How soon a connection that was lost is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// What is remembered has come when nothing has for so long.
const QUIET: Duration = Duration::from_millis(500);
/// And however much happens meanwhile, after so long.
const ALL: Duration = Duration::from_secs(10);

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    // Without following, everything from the beginning on; with it, from now on.
    let mut last = (!args.follow).then(|| "0".to_owned());
    let mut has_followed = false;
    loop {
        match args.admin.gateway.stream(&path(&args), last.as_deref()).await {
            Ok(mut lines) => {
                has_followed = true;
                read(&args, &mut lines, &mut last).await?;
            }
            // It is away for a moment: a restart.
            Err(error) if has_followed && is_away(&error) => {}
            Err(error) => return Err(error),
        }
        if !args.follow {
            return Ok(());
        }
        // The gateway has stopped, or wants to know again who this is.
        tokio::time::sleep(AGAIN).await;
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    let away = |cause: &Failure| matches!(cause, Failure::NoGateway { .. } | Failure::Mute { .. });
    error.chain().any(|cause| cause.downcast_ref().is_some_and(away))
}

async fn read(args: &Args, lines: &mut Lines, last: &mut Option<String>) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        if !args.follow && begun.elapsed() > ALL {
            return Ok(());
        }
        let line = if args.follow {
            lines.next().await
        } else {
            tokio::time::timeout(QUIET, lines.next()).await.unwrap_or(Ok(None))
        };
        let Some(line) = line? else { return Ok(()) };
        if let Some(id) = line.strip_prefix("id: ") {
            *last = Some(id.to_owned());
        }
        if let Some(data) = line.strip_prefix("data: ") {
            show(args.admin.json, data);
        }
    }
}

fn path(args: &Args) -> String {
    let filters = [
        ("kind", &args.kind),
        ("group", &args.group),
        ("user", &args.user),
        ("push_id", &args.push_id),
        ("initiator", &args.initiator),
    ];
    let query: Vec<String> =
        filters.iter().filter_map(|(name, value)| Some(format!("{name}={}", escape(value.as_deref()?)))).collect();
    format!("/api/v1/events?{}", query.join("&"))
}

fn show(json: bool, data: &str) {
    let Ok(event) = serde_json::from_str::<Value>(data) else { return };
    if json {
        return out::json(&event);
    }
    if event["event"] == "lost" {
        eprintln!(
            "{} events or more were lost: this reader was too slow, or the gateway was started again",
            event["lost"]
        );
        return;
    }
    println!(
        "{}  {:<10}  {}",
        text(&event, "at"),
        text(&event, "event"),
        user::words(&event).replace(char::is_control, " ")
    );
}
