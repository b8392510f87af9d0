//! `papcast group`

use std::io::IsTerminal as _;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};

use super::client::{Admin, Gateway, escape, text};
use super::ending::sentence;
use super::names::{self, count};
use super::{group_import, many, out};

/// List, show, make and remove groups, and decide on joins.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    admin: Admin,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All groups: ID, join policy, number of members, MQTT topic.
    List,
    /// One group.
    Show {
        #[arg(value_parser = names::group)]
        group: String,
    },
    /// Make a group, or change its policy.
    Add {
        #[arg(value_parser = names::group)]
        group: String,
        /// Who may join; where nothing is said, groups.default_policy of the configuration.
        #[arg(long)]
        policy: Option<Policy>,
        /// What a new member gets: nothing, or the group's last push that is not over.
        #[arg(long)]
        welcome: Option<Welcome>,
    },
    /// Unbind all members and remove the group. This cannot be undone.
    ///
    /// Pushes to the group end for those who have not got them.
    Remove {
        #[arg(value_parser = names::group)]
        group: String,
        /// Do it although the group has members.
        #[arg(long)]
        yes: bool,
    },
    /// Joins that wait for a decision.
    Requests {
        #[arg(value_parser = names::group)]
        group: String,
    },
    /// Let users in.
    Approve(Waiting),
    /// Turn users away.
    Reject(Waiting),
    Import(group_import::Args),
}

/// Some of those who wait, or all.
#[derive(Debug, clap::Args)]
struct Waiting {
    #[arg(value_parser = names::group)]
    group: String,
    #[arg(value_name = "USER", value_parser = names::user, required_unless_present = "all")]
    users: Vec<String>,
    /// Everybody who waits now.
    #[arg(long, conflicts_with = "users")]
    all: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    Open,
    Approval,
    Closed,
}

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approval => "approval",
            Self::Closed => "closed",
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Welcome {
    None,
    Last,
}

impl Welcome {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Last => "last",
        }
    }
}

pub(super) use super::client::group_path as path;

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Admin { gateway, json } = &args.admin;
    match args.action {
        Action::List => {
            let groups = gateway.all("/api/v1/groups", "groups").await?;
            if *json { out::list(&groups) } else { table(&groups) }
        }
        Action::Show { group } => {
            let shown = gateway.json(Method::GET, &path(&group), None).await?;
            if *json { out::json(&shown) } else { table(&[shown]) }
        }
        Action::Add { group, policy, welcome } => {
            let mut body = serde_json::Map::new();
            body.extend(policy.map(|policy| ("policy".to_owned(), json!(policy.name()))));
            body.extend(welcome.map(|welcome| ("welcome".to_owned(), json!(welcome.name()))));
            let shown = gateway.json(Method::PUT, &path(&group), Some(body.into())).await?;
            if *json { out::json(&shown) } else { table(&[shown]) }
        }
        Action::Remove { group, yes } => remove(gateway, &group, yes, *json).await?,
        Action::Requests { group } => {
            let requests = gateway.all(&format!("{}/requests", path(&group)), "requests").await?;
            if *json {
                out::list(&requests);
            } else {
                let row = |request: &Value| vec![text(request, "user"), text(request, "requested_at")];
                out::table(&["user", "requested at"], &requests.iter().map(row).collect::<Vec<_>>());
            }
        }
        Action::Approve(waiting) => decide(gateway, waiting, "approve", *json).await?,
        Action::Reject(waiting) => decide(gateway, waiting, "reject", *json).await?,
        Action::Import(args) => group_import::run(gateway, &args, *json).await?,
    }
    Ok(())
}

fn table(groups: &[Value]) {
    let row = |group: &Value| {
        vec![text(group, "id"), text(group, "policy"), group["members"].to_string(), text(group, "topic")]
    };
    out::table(&["group", "policy", "members", "topic"], &groups.iter().map(row).collect::<Vec<_>>());
}

/// A removal may take minutes: each member is unbound for itself.
const REMOVAL: u64 = 3_600;

async fn remove(gateway: &Gateway, group: &str, yes: bool, json: bool) -> anyhow::Result<()> {
    let shown = gateway.json(Method::GET, &path(group), None).await?;
    let members = shown["members"].as_u64().unwrap_or(0);
    if members > 0 && !yes {
        confirm(group, members)?;
    }
    let counted = [("prefer", "return=representation")];
    let (_, removed) = gateway.patient(REMOVAL).call(Method::DELETE, &path(group), None, &counted).await?;
    if json {
        out::json(&removed);
        return Ok(());
    }
    let number = |field: &str| removed[field].as_u64().unwrap_or(0);
    println!("{} unbound, {} ended", number("unbound"), count(number("pushes_ended"), "push", "pushes"));
    Ok(())
}

/// Asks where somebody can answer; elsewhere `--yes` is needed.
fn confirm(group: &str, members: u64) -> anyhow::Result<()> {
    let members = count(members, "member", "members");
    let refuse = format!(
        "the group {group:?} has {members}, and removing it cannot be undone: nothing was removed; --yes removes it"
    );
    anyhow::ensure!(std::io::stdin().is_terminal() && std::io::stderr().is_terminal(), "{refuse}");
    eprintln!(
        "The group {group:?} has {members}. Removing it unbinds them and cannot be undone. Type \"yes\" to remove it:"
    );
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("the answer cannot be read")?;
    anyhow::ensure!(answer.trim() == "yes", "nothing was removed");
    Ok(())
}

async fn decide(gateway: &Gateway, waiting: Waiting, decision: &'static str, json: bool) -> anyhow::Result<()> {
    let Waiting { group, mut users, all } = waiting;
    if all {
        let requests = gateway.all(&format!("{}/requests", path(&group)), "requests").await?;
        users = requests.iter().map(|request| text(request, "user")).collect();
    }
    let done = if decision == "approve" { "bound" } else { "rejected" };
    if let ([user], false) = (users.as_slice(), all) {
        decide_one(gateway, &group, user, decision).await?;
        if json {
            out::json(&json!({ "group": group, "user": user, "done": done }));
        } else {
            println!("{done}");
        }
        return Ok(());
    }
    let answers = many::each(users, |user| {
        let (gateway, group) = (gateway.clone(), group.clone());
        async move { (decide_one(&gateway, &group, &user, decision).await.map_err(|error| sentence(&error)), user) }
    });
    let answers = answers.await?;
    let failed = answers.iter().filter(|(answer, _)| answer.is_err()).count();
    if json {
        let item = |(answer, user): &(Result<(), String>, String)| match answer {
            Ok(()) => json!({ "group": group, "user": user, "done": done }),
            Err(why) => json!({ "group": group, "user": user, "error": why }),
        };
        out::list(&answers.iter().map(item).collect::<Vec<_>>());
    } else {
        answers.iter().filter_map(|(answer, _)| answer.as_ref().err()).for_each(|why| eprintln!("{why}"));
        println!("{} {done}, {failed} failed", answers.len() - failed);
    }
    anyhow::ensure!(failed == 0, "{failed} of {} failed", count(answers.len() as u64, "decision", "decisions"));
    Ok(())
}

async fn decide_one(gateway: &Gateway, group: &str, user: &str, decision: &str) -> anyhow::Result<()> {
    let place = format!("{}/requests/{}", path(group), escape(user));
    gateway.json(Method::POST, &place, Some(json!({ "decision": decision }))).await.map(drop)
}
