//! `papcast who`

use hyper::Method;
use serde_json::{Value, json};

use super::client::{Admin, Gateway, escape, text};
use super::out;

/// Who has a push and since when, who has not, and why.
///
/// Reasons: never-connected, away, sent (and not acknowledged), behind (other pushes come first), too-large, refused, set-aside, left,
/// expired, cancelled.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    admin: Admin,
    /// Push-id.
    push_id: String,
    /// Only those who have not got it.
    #[arg(long)]
    missing: bool,
    /// Only those who have not got it for this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Whose push it is; operators see those of every initiator.
    #[arg(long, value_name = "NAME")]
    initiator: Option<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Admin { gateway, json } = &args.admin;
    let path = format!("/api/v1/pushes/{}/recipients", escape(&args.push_id));
    let mut filters = Vec::new();
    filters.extend(args.missing.then(|| "missing=true".to_owned()));
    filters.extend(args.reason.map(|reason| format!("reason={}", escape(&reason))));
    filters.extend(args.initiator.map(|name| format!("initiator={}", escape(&name))));
    let (counts, recipients) = all(gateway, &path, &filters).await?;
    if *json {
        out::json(&json!({ "items": recipients, "next": null, "counts": counts }));
        return Ok(());
    }
    eprintln!("{}", summary(&counts));
    let row = |one: &Value| {
        let why_or_when = if one["reason"].is_null() { when(one) } else { text(one, "desc") };
        let seen = if one["connected"] == true { "connected".to_owned() } else { text(one, "last_seen") };
        vec![text(one, "user"), one["reason"].as_str().unwrap_or("has it").to_owned(), seen, why_or_when]
    };
    out::table(&["user", "reason", "last seen", "why, or when"], &recipients.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

/// When one that has it got it: "at 2026-11-27T02:02:27Z", or nothing where that is not kept any more.
fn when(one: &Value) -> String {
    one["at"].as_str().map_or_else(String::new, |at| format!("at {at}"))
}

/// The counts that the first page brings, and all pages.
async fn all(gateway: &Gateway, path: &str, filters: &[String]) -> anyhow::Result<(Value, Vec<Value>)> {
    let (mut counts, mut found, mut after): (Value, Vec<Value>, Option<String>) = (Value::Null, Vec::new(), None);
    loop {
        let mut query = vec!["limit=1000".to_owned()];
        query.extend(filters.iter().cloned());
        query.push(after.as_ref().map_or("counts=true".to_owned(), |after| format!("after={}", escape(after))));
        let page = gateway.json(Method::GET, &format!("{path}?{}", query.join("&")), None).await?;
        if after.is_none() {
            counts = page["counts"].clone();
        }
        found.extend(page["recipients"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok((counts, found)),
        }
    }
}

/// "330 of 400 have it; 20 away, 10 never-connected"
fn summary(counts: &Value) -> String {
    let counts = counts.as_object().cloned().unwrap_or_default();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let all: u64 = counts.values().map(number).sum();
    let has = counts.get("delivered").map_or(0, number);
    let mut others: Vec<(String, u64)> = counts
        .into_iter()
        .filter(|(reason, count)| reason != "delivered" && number(count) > 0)
        .map(|(reason, count)| (reason, number(&count)))
        .collect();
    others.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others: Vec<String> = others.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let others = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
    format!("{has} of {all} have it{others}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_reason_comes_first() {
        let counts = json!({"delivered": 330, "away": 20, "never-connected": 40, "left": 0});
        assert_eq!(summary(&counts), "330 of 390 have it; 40 never-connected, 20 away");
        assert_eq!(summary(&json!({"delivered": 2})), "2 of 2 have it");
    }
}
