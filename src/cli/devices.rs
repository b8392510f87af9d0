//! `papcast devices`

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use super::client::{Admin, escape, text};
use super::ending::Ending;
use super::out;

/// Devices: who is away, mute, lagging or flapping.
///
/// away: none of its terminals is connected. mute: connected, and has left a push unanswered for a minute. lagging: owes an answer to
/// some push. flapping: connected five times within an hour.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(flatten)]
    admin: Admin,
    #[command(subcommand)]
    command: Option<Command>,
    /// Only these.
    #[arg(long, value_parser = ["away", "mute", "lagging", "flapping"])]
    state: Option<String>,
    /// Only those that were away for so long, such as 30days.
    #[arg(long, value_name = "TIME")]
    away_for: Option<String>,
    /// Only those whose user ID begins with this.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// The worst ones first: "lag" or "last_seen".
    #[arg(long, value_parser = ["user", "lag", "last_seen"], default_value = "user")]
    sort: String,
    /// So many at most.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Behind those of an earlier answer: its "next".
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take devices out of their groups that never came back, and that joined before that.
    Forget {
        /// Those that were away for so long, such as 90days.
        #[arg(long, value_name = "TIME")]
        away_for: String,
        /// Only say how many memberships would end.
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    match &args.command {
        Some(Command::Forget { away_for, dry_run, yes }) => forget(&args.admin, away_for, *dry_run, *yes).await,
        None => list(&args).await,
    }
}

async fn list(args: &Args) -> anyhow::Result<()> {
    let Admin { gateway, json } = &args.admin;
    let mut query = vec![format!("limit={}", args.limit), format!("sort={}", args.sort)];
    let filters =
        [("state", &args.state), ("away_for", &args.away_for), ("prefix", &args.prefix), ("after", &args.after)];
    query.extend(filters.iter().filter_map(|(name, value)| Some(format!("{name}={}", escape(value.as_deref()?)))));
    let page = gateway.json(Method::GET, &format!("/api/v1/devices?{}", query.join("&")), None).await?;
    let devices = page["devices"].as_array().map_or(&[][..], Vec::as_slice);
    if *json {
        out::page(devices, &page["next"]);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = devices.iter().map(row).collect();
    out::table(&["user", "states", "last seen", "groups", "owed", "connects/h", "last ended because"], &rows);
    if let Some(next) = page["next"].as_str() {
        eprintln!("there are more: --after {next}");
    }
    Ok(())
}

fn row(device: &Value) -> Vec<String> {
    let states: Vec<&str> = device["states"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let seen = match device["last_seen"].as_str() {
        _ if device["connected"] == true => "connected",
        Some(at) => at,
        None => "never",
    };
    vec![
        text(device, "user"),
        if states.is_empty() { "ok".to_owned() } else { states.join(" ") },
        seen.to_owned(),
        device["groups"].to_string(),
        device["owed"].to_string(),
        device["connects_last_hour"].to_string(),
        text(device, "reason"),
    ]
}

async fn forget(admin: &Admin, away_for: &str, dry_run: bool, yes: bool) -> anyhow::Result<()> {
    if !dry_run && !yes {
        let text = "this takes devices out of their groups: say --yes, or look first with --dry-run";
        return Err(Ending::Usage(text.into()).into());
    }
    let asked = json!({ "away_for": away_for, "dry_run": dry_run });
    let done = admin.gateway.patient(600).json(Method::POST, "/api/v1/devices/forget", Some(asked)).await?;
    if admin.json {
        out::json(&done);
    } else {
        let word = if dry_run { "would end" } else { "ended" };
        println!("{} memberships {word}", done["memberships"]);
    }
    Ok(())
}
