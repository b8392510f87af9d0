//! `papcast member`

use clap::Subcommand;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Admin, Gateway, escape, group_path, text};
use super::{names, out};

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
    List {
        #[arg(value_parser = names::group)]
        group: String,
    },
    /// A user's groups and connections.
    Show {
        #[arg(value_parser = names::user)]
        user: String,
    },
    /// Bind a user to a group, connected or not.
    Add {
        #[arg(value_parser = names::group)]
        group: String,
        #[arg(value_parser = names::user)]
        user: String,
        /// Make the group where there is none of that name.
        #[arg(long)]
        create: bool,
    },
    /// Unbind a user from a group.
    Remove {
        #[arg(value_parser = names::group)]
        group: String,
        #[arg(value_parser = names::user)]
        user: String,
    },
}

fn path(group: &str) -> String {
    format!("{}/members", group_path(group))
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Admin { gateway, json } = &args.admin;
    match args.action {
        Action::List { group } => {
            let members = gateway.all(&path(&group), "members").await?;
            if *json { out::list(&members) } else { list(&members) }
        }
        Action::Show { user } => {
            let shown = gateway.json(Method::GET, &format!("/api/v1/users/{}", escape(&user)), None).await?;
            if *json { out::json(&shown) } else { show(&shown) }
        }
        Action::Add { group, user, create } => add(gateway, &group, &user, create, *json).await?,
        Action::Remove { group, user } => {
            gateway.json(Method::DELETE, &format!("{}/{}", path(&group), escape(&user)), None).await?;
            if *json {
                out::json(&json!({ "group": group, "user": user, "done": "unbound" }));
            } else {
                println!("unbound");
            }
        }
    }
    Ok(())
}

fn list(members: &[Value]) {
    let row = |member: &Value| {
        let here = if member["connected"] == true { "connected" } else { "away" };
        vec![text(member, "user"), here.into(), text(member, "source"), text(member, "joined_at")]
    };
    out::table(&["user", "now", "bound by", "since"], &members.iter().map(row).collect::<Vec<_>>());
}

fn show(user: &Value) {
    let group =
        |group: &Value| vec!["group".into(), text(group, "group"), text(group, "source"), text(group, "joined_at")];
    let connection = |connection: &Value| {
        let (id, protocol, remote) = ("client_id", "protocol", "remote");
        vec!["connection".into(), text(connection, id), text(connection, protocol), text(connection, remote)]
    };
    let mut rows: Vec<Vec<String>> = user["groups"].as_array().into_iter().flatten().map(group).collect();
    rows.extend(user["connections"].as_array().into_iter().flatten().map(connection));
    out::table(&["what", "name", "bound by / protocol", "since / from"], &rows);
}

/// Binds, and says what is new by it: a name that was mistyped is one that nobody knows.
async fn add(gateway: &Gateway, group: &str, user: &str, create: bool, json: bool) -> anyhow::Result<()> {
    let new_group = gateway.find(&group_path(group)).await?.is_none();
    anyhow::ensure!(!new_group || create, "there is no group {group:?}, and nobody was bound; --create makes it");
    let new_user = gateway.find(&format!("/api/v1/users/{}", escape(user))).await?.is_none();
    let place = format!("{}/{}", path(group), escape(user));
    let (status, _) = gateway.call(Method::PUT, &place, None, &[]).await?;
    let fresh = status == StatusCode::CREATED;
    if json {
        let done = if fresh { "bound" } else { "was bound already" };
        out::json(&json!({ "group": group, "user": user, "done": done, "new_user": new_user, "new_group": new_group }));
        return Ok(());
    }
    match (fresh, new_user, new_group) {
        (false, _, _) => println!("was bound already"),
        (true, true, true) => println!("bound (new user, new group)"),
        (true, true, false) => println!("bound (new user)"),
        (true, false, true) => println!("bound (new group)"),
        (true, false, false) => println!("bound"),
    }
    Ok(())
}
