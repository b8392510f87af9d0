//! `papcast group`

use clap::{Subcommand, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};

use super::client::{self, Admin, Gateway, escape};

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
    /// All groups: ID, join policy, members, MQTT topic.
    List,
    /// One group.
    Show { group: String },
    /// Make a group, or change its policy.
    Add {
        group: String,
        /// Who may join; where nothing is said, groups.default_policy of the configuration.
        #[arg(long)]
        policy: Option<Policy>,
    },
    /// Unbind all members and remove the group.
    Remove { group: String },
    /// Joins that wait for a decision.
    Requests { group: String },
    /// Let a user in.
    Approve { group: String, user: String },
    /// Turn a user away.
    Reject { group: String, user: String },
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

fn path(group: &str) -> String {
    format!("/api/v1/groups/{}", escape(group))
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("")
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Admin { gateway, json } = &args.admin;
    let line = |group: &Value| {
        format!(
            "{}\t{}\t{} members\t{}",
            text(group, "id"),
            text(group, "policy"),
            group["members"],
            text(group, "topic")
        )
    };
    match args.action {
        Action::List => client::print(*json, &gateway.all("/api/v1/groups", "groups").await?, line),
        Action::Show { group } => client::print(*json, &[gateway.json(Method::GET, &path(&group), None).await?], line),
        Action::Add { group, policy } => {
            let body = policy.map(|policy| json!({ "policy": policy.name() }));
            client::print(*json, &[gateway.json(Method::PUT, &path(&group), body).await?], line)
        }
        Action::Remove { group } => gateway.json(Method::DELETE, &path(&group), None).await.map(drop),
        Action::Requests { group } => {
            let requests = gateway.all(&format!("{}/requests", path(&group)), "requests").await?;
            client::print(*json, &requests, |request| {
                format!("{}\t{}", text(request, "user"), text(request, "requested_at"))
            })
        }
        Action::Approve { group, user } => decide(gateway, &group, &user, "approve").await,
        Action::Reject { group, user } => decide(gateway, &group, &user, "reject").await,
    }
}

async fn decide(gateway: &Gateway, group: &str, user: &str, decision: &str) -> anyhow::Result<()> {
    let path = format!("{}/requests/{}", path(group), escape(user));
    gateway.json(Method::POST, &path, Some(json!({ "decision": decision }))).await.map(drop)
}
