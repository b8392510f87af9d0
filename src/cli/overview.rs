//! `papcast` alone, and `papcast top`: how the gateway stands.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use hyper::Method;
use serde_json::Value;

use super::client::{Admin, Failure, text};
use super::out;

/// How the gateway stands, again and again: connections, pushes under way, deliveries each second, and devices that need you.
#[derive(Debug, clap::Args)]
pub(super) struct Top {
    #[command(flatten)]
    admin: Admin,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
    /// Stop after so many looks.
    #[arg(long, value_name = "N")]
    times: Option<u64>,
}

/// What `papcast` alone takes from environment and settings file.
#[derive(Debug, clap::Parser)]
struct Bare {
    #[command(flatten)]
    admin: Admin,
}

/// Pushes and devices that are shown at once.
const SHOWN: usize = 5;

/// `papcast` alone. Where no gateway answers, it says what there is.
pub(super) async fn bare() -> anyhow::Result<()> {
    let Bare { admin } = Bare::try_parse_from(["papcast"])?;
    match look(&admin).await {
        Ok(look) => {
            print!("{}", look.text(None));
            Ok(())
        }
        Err(error) => {
            let nobody = error.chain().any(|cause| matches!(cause.downcast_ref(), Some(Failure::NoGateway { .. })));
            if !nobody {
                return Err(error);
            }
            // Whoever tries the program for the first time finds out what there is; a script finds out that nobody answers.
            print!("{}\n", super::Cli::command().render_help());
            Err(error)
        }
    }
}

pub(super) async fn top(args: Top) -> anyhow::Result<()> {
    let screen = std::io::stdout().is_terminal() && !args.admin.json;
    let mut before: Option<u64> = None;
    for number in 1_u64.. {
        let look = look(&args.admin).await?;
        let deliveries = look.status["deliveries"].as_u64().unwrap_or(0);
        let rate = before.map(|before| deliveries.saturating_sub(before) as f64 / args.every as f64);
        before = Some(deliveries);
        if args.admin.json {
            out::json(&look.status);
        } else {
            // The cursor home, and nothing below it.
            print!("{}{}", if screen { "\u{1b}[H\u{1b}[J" } else { "" }, look.text(rate));
        }
        if args.times == Some(number) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(args.every)).await;
    }
    Ok(())
}

/// What one look finds.
struct Look {
    status: Value,
    pushes: Vec<Value>,
    lagging: Vec<Value>,
}

async fn look(admin: &Admin) -> anyhow::Result<Look> {
    let gateway = &admin.gateway;
    let status = gateway.json(Method::GET, "/api/v1/status", None).await?;
    let pushes = gateway.json(Method::GET, "/api/v1/pushes?limit=20&initiator=%2A", None).await?;
    let owed = status["backlog"].as_i64().unwrap_or(0) > 0;
    let lagging = if owed {
        gateway.json(Method::GET, &format!("/api/v1/devices?state=lagging&limit={SHOWN}"), None).await?
    } else {
        Value::Null
    };
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let is_open =
        |push: &Value| push["addresses"].as_array().into_iter().flatten().any(|one| one["state"] == "pending");
    let pushes = list(&pushes, "pushes").into_iter().filter(is_open).take(SHOWN).collect();
    Ok(Look { pushes, lagging: list(&lagging, "devices"), status })
}

impl Look {
    fn text(&self, rate: Option<f64>) -> String {
        let status = &self.status;
        let number = |field: &str| status[field].to_string();
        let intake = if status["taking_pushes"] == true { "takes pushes" } else { "takes no pushes" };
        let mut lines = vec![
            format!(
                "papcast {}, up since {}, mode {}, {intake}",
                text(status, "version"),
                text(status, "started_at"),
                text(status, "mode")
            ),
            format!(
                "{} connected, {} users, {} groups, {} memberships",
                number("connections"),
                number("users"),
                number("groups"),
                number("memberships")
            ),
            self.under_way(),
        ];
        lines.extend(rate.map(|rate| format!("{rate:.0} deliveries a second")));
        let waiting = [
            ("pending_joins", "joins wait: papcast group requests GROUP"),
            ("notifications_waiting", "notifications wait"),
        ];
        for (field, what) in waiting {
            if status[field].as_i64().unwrap_or(0) > 0 {
                lines.push(format!("{} {what}", number(field)));
            }
        }
        for push in &self.pushes {
            for address in push["addresses"].as_array().into_iter().flatten().filter(|one| one["state"] == "pending") {
                let (id, to, desc) = (text(push, "push_id"), text(address, "address"), text(address, "desc"));
                lines.push(format!("  push {id} to {to}: {desc}"));
            }
        }
        for device in &self.lagging {
            let seen = if device["connected"] == true { "connected".to_owned() } else { text(device, "last_seen") };
            lines.push(format!("  device {} owes {} answers, {seen}", text(device, "user"), device["owed"]));
        }
        lines.iter().map(|line| line.replace(char::is_control, " ") + "\n").collect()
    }

    fn under_way(&self) -> String {
        let number = |field: &str| self.status[field].as_i64().unwrap_or(0);
        let since = self.status["oldest"].as_str().map(|at| format!(", the oldest since {at}")).unwrap_or_default();
        let (pending, scheduled) = (number("pending"), number("scheduled"));
        let later = if scheduled > 0 { format!(" ({scheduled} not due yet)") } else { String::new() };
        format!("{pending} addresses of pushes under way{later}, {} deliveries owed{since}", number("backlog"))
    }
}
