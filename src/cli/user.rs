//! `papcast user`

use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use super::client::{Admin, escape, text};
use super::ending::Ending;
use super::{names, out};

/// One user: its groups, connections, what it has not answered, and what happened to it last.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(flatten)]
    admin: Admin,
    #[command(subcommand)]
    command: Option<Command>,
    /// User ID.
    #[arg(value_parser = names::user, required = true)]
    user: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The same as without a command, for a user whose name is one.
    Show {
        /// User ID.
        #[arg(value_parser = names::user)]
        user: String,
    },
    /// Erase a user: memberships, sessions, tokens and what was to be sent to it alone. History keeps a pseudonym.
    Remove {
        /// User ID.
        #[arg(value_parser = names::user)]
        user: String,
        /// Do it. It cannot be undone.
        #[arg(long)]
        yes: bool,
    },
    /// End the connections of a user; they may come back at once.
    Disconnect {
        /// User ID.
        #[arg(value_parser = names::user)]
        user: String,
        /// Only the one with this client id.
        #[arg(long, value_name = "ID")]
        client: Option<String>,
    },
    /// Tell of every packet of a user's terminals for a while: see them with `papcast events -f --kind trace --user ID`.
    Trace {
        /// User ID.
        #[arg(value_parser = names::user)]
        user: String,
        /// For so long, in seconds.
        #[arg(long, default_value_t = 900)]
        seconds: u32,
        /// End the trace.
        #[arg(long)]
        stop: bool,
    },
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let admin = &args.admin;
    match (args.command, args.user) {
        (Some(Command::Show { user }), _) | (None, Some(user)) => show(admin, &user).await,
        (Some(Command::Remove { user, yes }), _) => remove(admin, &user, yes).await,
        (Some(Command::Disconnect { user, client }), _) => disconnect(admin, &user, client).await,
        (Some(Command::Trace { user, seconds, stop }), _) => trace(admin, &user, seconds, stop).await,
        (None, None) => Err(Ending::Usage("a user ID is needed; see papcast user --help".into()).into()),
    }
}

fn path(user: &str) -> String {
    format!("/api/v1/users/{}", escape(user))
}

async fn show(admin: &Admin, user: &str) -> anyhow::Result<()> {
    let shown = admin.gateway.json(Method::GET, &path(user), None).await?;
    if admin.json {
        out::json(&shown);
        return Ok(());
    }
    let mut rows = about(&shown);
    for group in entries(&shown, "groups") {
        rows.push(row(
            "group",
            [text(group, "group"), format!("since {}", text(group, "joined_at")), text(group, "source")],
        ));
    }
    for connection in entries(&shown, "connections") {
        let since = format!("since {}", text(connection, "connected_at"));
        let from = format!("{} from {}", text(connection, "protocol"), text(connection, "remote"));
        rows.push(row("connection", [text(connection, "client_id"), since, from]));
    }
    for push in entries(&shown, "owed") {
        let taken = format!("taken {}", text(push, "created_at"));
        rows.push(row("owes", [text(push, "push_id"), taken, text(push, "address")]));
    }
    for push in entries(&shown, "refused") {
        let what = format!("{} {} at {}", push["code"], text(push, "desc"), text(push, "at"));
        rows.push(row("refused", [text(push, "push_id"), what, text(push, "address")]));
    }
    for event in entries(&shown, "events") {
        rows.push(row("event", [text(event, "event"), text(event, "at"), words(event)]));
    }
    out::table(&["what", "", "", ""], &rows);
    Ok(())
}

fn entries<'a>(shown: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    shown[field].as_array().into_iter().flatten()
}

fn row(what: &str, cells: [String; 3]) -> Vec<String> {
    std::iter::once(what.to_owned()).chain(cells).collect()
}

fn about(shown: &Value) -> Vec<Vec<String>> {
    let device = &shown["device"];
    let states: Vec<&str> = device["states"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let seen = match device["last_seen"].as_str() {
        _ if device["connected"] == true => "connected".to_owned(),
        Some(at) => format!("last seen {at}"),
        None => "never seen".to_owned(),
    };
    let state = if states.is_empty() { "ok".to_owned() } else { states.join(" ") };
    let mut rows = vec![row("user", [text(shown, "user"), seen, state])];
    if let Some(until) = shown["traced_until"].as_str() {
        rows.push(row("traced", [format!("until {until}"), String::new(), String::new()]));
    }
    rows
}

/// What is worth knowing of an event, on one line.
pub(super) fn words(event: &Value) -> String {
    let field = |name: &str| event[name].as_str().map(ToOwned::to_owned);
    let numbers = event["recipients"].as_u64().map(|all| format!("{} of {all}", event["delivered"]));
    let by = field("by").map(|by| format!("by {by}"));
    let parts = [
        field("user"),
        field("who"),
        field("client_id"),
        field("group"),
        field("push_id"),
        field("address"),
        numbers,
        field("state"),
        field("direction"),
        field("packet"),
        field("protocol"),
        field("transport"),
        field("act"),
        field("object"),
        field("detail"),
        field("desc"),
        by,
    ];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

async fn remove(admin: &Admin, user: &str, yes: bool) -> anyhow::Result<()> {
    if !yes {
        let text = format!("this erases {user} for good: say --yes");
        return Err(Ending::Usage(text).into());
    }
    let prefer = [("prefer", "return=representation")];
    let (_, done) = admin.gateway.call(Method::DELETE, &path(user), None, &prefer).await?;
    if admin.json {
        out::json(&done);
    } else {
        println!(
            "{user} is erased: {} memberships, {} sessions, {} tokens, {} pushes ended",
            done["memberships"], done["sessions"], done["credentials"], done["pushes"]
        );
    }
    Ok(())
}

async fn disconnect(admin: &Admin, user: &str, client: Option<String>) -> anyhow::Result<()> {
    let client = client.map(|client| format!("/{}", escape(&client))).unwrap_or_default();
    let done = admin.gateway.json(Method::DELETE, &format!("{}/connections{client}", path(user)), None).await?;
    if admin.json {
        out::json(&done);
    } else {
        println!("{} connections ended", done["disconnected"]);
    }
    Ok(())
}

async fn trace(admin: &Admin, user: &str, seconds: u32, stop: bool) -> anyhow::Result<()> {
    let at = format!("{}/trace", path(user));
    if stop {
        admin.gateway.json(Method::DELETE, &at, None).await?;
        return Ok(());
    }
    let done = admin.gateway.json(Method::POST, &at, Some(json!({ "seconds": seconds }))).await?;
    if admin.json {
        out::json(&done);
    } else {
        println!("traced until {}: papcast events -f --kind trace --user {user}", text(&done, "until"));
    }
    Ok(())
}
