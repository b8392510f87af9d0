//! `papcast member`

use clap::Subcommand;
use hyper::Method;

use super::client::{self, Admin, escape};

/// List, show, bind and unbind members of groups.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    admin: Admin,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Members of a group.
    List { group: String },
    /// A user's groups and connections.
    Show { user: String },
    /// Bind a user to a group, connected or not.
    Add { group: String, user: String },
    /// Unbind a user from a group.
    Remove { group: String, user: String },
}

fn path(group: &str) -> String {
    format!("/api/v1/groups/{}/members", escape(group))
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Admin { gateway, json } = &args.admin;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
    match args.action {
        Action::List { group } => {
            let members = gateway.all(&path(&group), "members").await?;
            client::print(*json, &members, |member| {
                let here = if member["connected"] == true { "connected" } else { "away" };
                format!(
                    "{}\t{here}\t{}\t{}",
                    text(&member["user"]),
                    text(&member["source"]),
                    text(&member["joined_at"])
                )
            })
        }
        Action::Show { user } => {
            let shown = gateway.json(Method::GET, &format!("/api/v1/users/{}", escape(&user)), None).await?;
            if *json {
                println!("{}", serde_json::to_string_pretty(&shown)?);
                return Ok(());
            }
            for group in shown["groups"].as_array().into_iter().flatten() {
                println!("group\t{}\t{}\t{}", text(&group["group"]), text(&group["source"]), text(&group["joined_at"]));
            }
            for connection in shown["connections"].as_array().into_iter().flatten() {
                println!(
                    "connection\t{}\t{}\t{}",
                    text(&connection["client_id"]),
                    text(&connection["protocol"]),
                    text(&connection["remote"])
                );
            }
            Ok(())
        }
        Action::Add { group, user } => {
            gateway.json(Method::PUT, &format!("{}/{}", path(&group), escape(&user)), None).await.map(drop)
        }
        Action::Remove { group, user } => {
            gateway.json(Method::DELETE, &format!("{}/{}", path(&group), escape(&user)), None).await.map(drop)
        }
    }
}
