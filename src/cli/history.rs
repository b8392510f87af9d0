//! `papcast history` and `papcast audit`

use hyper::Method;
use serde_json::Value;

use super::client::{Admin, escape, group_path, text};
use super::{names, out};

/// Who came into a group and who left it, when, and by whose hand; or who was in it at a moment.
#[derive(Debug, clap::Args)]
pub(super) struct History {
    #[command(flatten)]
    admin: Admin,
    /// Group ID; also of a group that was removed.
    #[arg(value_parser = names::group)]
    group: String,
    /// Who was in it then, such as 2026-11-22T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    page: Page,
}

/// What operators changed, and who they were.
#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    page: Page,
}

#[derive(Debug, clap::Args)]
struct Page {
    /// So many at most.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Behind those of an earlier answer: its "next".
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

impl Page {
    fn query(&self) -> String {
        let after = self.after.as_ref().map(|after| format!("&after={}", escape(after))).unwrap_or_default();
        format!("limit={}{after}", self.limit)
    }
}

pub(super) async fn history(args: History) -> anyhow::Result<()> {
    let at = args.at.as_ref().map(|at| format!("&at={}", escape(at))).unwrap_or_default();
    let path = format!("{}/history?{}{at}", group_path(&args.group), args.page.query());
    let page = args.admin.gateway.json(Method::GET, &path, None).await?;
    if args.at.is_some() {
        let row = |user: &Value| vec![user.as_str().unwrap_or_default().to_owned()];
        return show(&args.admin, &page, "members", &["user"], row);
    }
    let row = |entry: &Value| ["at", "event", "user", "by"].map(|field| text(entry, field)).into();
    show(&args.admin, &page, "history", &["at", "event", "user", "by"], row)
}

pub(super) async fn audit(args: Audit) -> anyhow::Result<()> {
    let path = format!("/api/v1/audit?{}", args.page.query());
    let page = args.admin.gateway.json(Method::GET, &path, None).await?;
    let fields = ["at", "by", "act", "object", "detail"];
    show(&args.admin, &page, "audit", &fields, |entry| fields.map(|field| text(entry, field)).into())
}

fn show(
    admin: &Admin,
    page: &Value,
    field: &str,
    headers: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
) -> anyhow::Result<()> {
    let items = page[field].as_array().map_or(&[][..], Vec::as_slice);
    if admin.json {
        out::page(items, &page["next"]);
        return Ok(());
    }
    out::table(headers, &items.iter().map(row).collect::<Vec<_>>());
    if let Some(next) = page["next"].as_str() {
        eprintln!("there are more: --after {next}");
    }
    Ok(())
}
