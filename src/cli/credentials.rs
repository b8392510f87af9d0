//! `papcast device`, `papcast initiator`, `papcast operator`: who may sign in.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::text;
use super::{config, out};
use crate::caller::{Kind, Role};
use crate::control::{self, Reply};
use crate::credentials::{self, Credentials, Order};
use crate::store::Store;
use crate::supervision::Health;

/// Make, list, change and remove the tokens of devices. A device signs in with its user ID as MQTT username and its token as
/// password.
#[derive(Debug, clap::Args)]
pub(super) struct Device {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

/// Make, list, change and remove the tokens of push initiators. An initiator sends its token as `Authorization: Bearer`, or as
/// Basic with its name as user.
#[derive(Debug, clap::Args)]
pub(super) struct Initiator {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

/// Make, list, change and remove the tokens of operators. The commands of papcast take one with `--token-file` or PAPCAST_TOKEN; over
/// MQTT an operator signs in as `$operator/<name>`.
#[derive(Debug, clap::Args)]
pub(super) struct Operator {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: OperatorAction,
}

/// Whose credentials, and how to print them.
#[derive(Debug, clap::Args)]
struct Place {
    /// Configuration file of the gateway: its store.path says where the credentials are. A running gateway is told through the
    /// socket beside the store, so that what it changes holds at once; without one the store itself is changed.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make tokens. They are shown this once.
    Add {
        /// Names; a device's is its user ID.
        names: Vec<String>,
        /// File with one name on each line. Printed as CSV: name and token.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    #[command(flatten)]
    Other(Common),
}

#[derive(Debug, Subcommand)]
enum OperatorAction {
    /// Make a token. It is shown this once.
    Add {
        name: String,
        /// A viewer looks and changes nothing.
        #[arg(long, value_name = "ROLE", default_value = "operator", value_parser = role)]
        role: Role,
    },
    #[command(flatten)]
    Other(Common),
}

/// What all of them have.
#[derive(Debug, Subcommand)]
enum Common {
    /// All names, with role and the time each was made.
    List,
    /// Give one a new token. Connections with the old one end, unless it is kept for a while.
    Rotate {
        name: String,
        /// So long the old token works as well, such as "7days".
        #[arg(long, value_name = "TIME", value_parser = duration)]
        keep_old: Option<Duration>,
    },
    /// Take the tokens of one away. Its connections end within a second.
    Remove { name: String },
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a time such as \"7days\" or \"12h\"".into())
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "operator" => Ok(Role::Operator),
        "viewer" => Ok(Role::Viewer),
        _ => Err("expected operator or viewer".into()),
    }
}

pub(super) async fn device(args: Device) -> anyhow::Result<()> {
    run(Kind::Device, args.place, args.action).await
}

pub(super) async fn initiator(args: Initiator) -> anyhow::Result<()> {
    run(Kind::Initiator, args.place, args.action).await
}

pub(super) async fn operator(args: Operator) -> anyhow::Result<()> {
    let place = Desk::open(Kind::Operator, &args.place)?;
    match args.action {
        OperatorAction::Add { name, role } => place.add(vec![name], Some(role), false).await,
        OperatorAction::Other(other) => place.common(other).await,
    }
}

async fn run(kind: Kind, place: Place, action: Action) -> anyhow::Result<()> {
    let place = Desk::open(kind, &place)?;
    match action {
        Action::Add { mut names, file } => {
            if let Some(file) = &file {
                let text =
                    std::fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
                names.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
            }
            ensure!(!names.is_empty(), "name at least one, or a file with --file");
            place.add(names, None, file.is_some()).await
        }
        Action::Other(other) => place.common(other).await,
    }
}

/// Where credentials of one kind are looked after.
struct Desk {
    kind: Kind,
    store: PathBuf,
    json: bool,
}

/// Names of one page.
const PAGE: usize = 1_000;

impl Desk {
    fn open(kind: Kind, place: &Place) -> anyhow::Result<Self> {
        let (config, _) = config::load(place.config.as_deref())?;
        let desk = Self { kind, store: config.store.path, json: place.json };
        desk.check_owner()?;
        Ok(desk)
    }

    /// Another user would leave files that the gateway cannot open.
    fn check_owner(&self) -> anyhow::Result<()> {
        let Ok(metadata) = std::fs::metadata(&self.store) else { return Ok(()) };
        let own = rustix::process::geteuid().as_raw();
        ensure!(
            metadata.uid() == own,
            "{}: belongs to user {}, and you are user {own}: run this command as its owner",
            self.store.display(),
            metadata.uid()
        );
        Ok(())
    }

    /// Asks the gateway, or does it itself where none runs.
    async fn order(&self, order: Order) -> anyhow::Result<Value> {
        let socket = control::path(&self.store);
        let asked = control::ask(&self.store, &control::Order::Credentials(order.clone()));
        match asked.with_context(|| format!("{}: the gateway cannot be asked", socket.display()))? {
            Some(Reply::Done(value)) => Ok(value),
            Some(Reply::Failed(why)) => bail!("{why}"),
            None => alone(&self.store, order).await,
        }
    }

    /// In portions. What was made before one failed is shown all the same: nobody could ask for it again.
    async fn add(&self, names: Vec<String>, role: Option<Role>, csv: bool) -> anyhow::Result<()> {
        let one = names.len() == 1 && !csv;
        let mut made = Vec::with_capacity(names.len());
        let mut failed = None;
        for portion in names.chunks(credentials::MOST) {
            match self.order(Order::Add { kind: self.kind, names: portion.to_vec(), role }).await {
                Ok(some) => made.extend(some.as_array().cloned().unwrap_or_default()),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        if !made.is_empty() {
            self.show(&made, one, csv);
        }
        failed.map_or(Ok(()), Err)
    }

    fn show(&self, made: &[Value], one: bool, csv: bool) {
        if self.json {
            let mut shown: Vec<Value> = made.iter().map(|made| self.named(made)).collect();
            return match shown.pop() {
                Some(made) if one => out::json(&made),
                last => {
                    shown.extend(last);
                    out::list(&shown);
                }
            };
        }
        if csv {
            println!("{},token", self.column());
        }
        for made in made {
            let (name, token) = (text(made, "name"), text(made, "token"));
            if csv {
                println!("{},{token}", quoted(&name));
            } else {
                println!("{name}\t{token}");
            }
        }
        if !csv {
            eprintln!("Keep it: it is not shown again.");
        }
    }

    async fn common(&self, action: Common) -> anyhow::Result<()> {
        match action {
            Common::List => self.list().await,
            Common::Rotate { name, keep_old } => self.rotate(name, keep_old).await,
            Common::Remove { name } => self.remove(name).await,
        }
    }

    async fn rotate(&self, name: String, keep_old: Option<Duration>) -> anyhow::Result<()> {
        let keep_old = keep_old.map(|keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        let made = self.order(Order::Rotate { kind: self.kind, name, keep_old }).await?;
        if self.json {
            out::json(&self.named(&made));
        } else {
            println!("{}\t{}", text(&made, "name"), text(&made, "token"));
        }
        Ok(())
    }

    async fn remove(&self, name: String) -> anyhow::Result<()> {
        self.order(Order::Remove { kind: self.kind, name: name.clone() }).await?;
        if self.json {
            out::json(&json!({ self.column(): name, "removed": true }));
        } else {
            println!("removed");
        }
        Ok(())
    }

    async fn list(&self) -> anyhow::Result<()> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|last| text(last, "name")).unwrap_or_default();
            let page = self.order(Order::List { kind: self.kind, after, limit: PAGE }).await?;
            let page = page.as_array().cloned().unwrap_or_default();
            let full = page.len() >= PAGE;
            all.extend(page);
            if !full {
                break;
            }
        }
        if self.json {
            out::list(&all.iter().map(|one| self.named(one)).collect::<Vec<_>>());
            return Ok(());
        }
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|one| {
                let cells = ["name", "role", "created_at", "old_token_until"].map(|field| text(one, field));
                cells.into_iter().collect()
            })
            .collect();
        out::table(&["NAME", "ROLE", "CREATED", "OLD TOKEN UNTIL"], &rows);
        Ok(())
    }

    fn column(&self) -> &'static str {
        match self.kind {
            Kind::Device => "user",
            Kind::Initiator => "initiator",
            Kind::Operator => "operator",
        }
    }

    /// With the name under the word that says whose it is.
    fn named(&self, value: &Value) -> Value {
        let mut fields = value.as_object().cloned().unwrap_or_default();
        if let Some(name) = fields.remove("name") {
            fields.insert(self.column().to_owned(), name);
        }
        Value::Object(fields)
    }
}

/// RFC 4180.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Without a gateway: the store is opened, and nobody else can while it is.
async fn alone(path: &Path, order: Order) -> anyhow::Result<Value> {
    if !path.exists() {
        let place = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let place = place.display();
        // Whoever is in the wrong folder shall not be told that nobody is known.
        ensure!(
            matches!(order, Order::Add { .. }),
            "{place}: there is no such store (store.path is relative to the folder of the gateway)"
        );
        eprintln!("{place}: a new store, for a gateway that is started in this folder");
    }
    let store = Store::open(path, 1, &Health::default(), |_| {}, Arc::default())?;
    let credentials = Credentials::open(&store).await?;
    let done = credentials.carry_out(order).await;
    tokio::task::spawn_blocking(move || store.close()).await?;
    // Nobody is connected.
    Ok(done?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_comma_is_one_field() {
        assert_eq!(quoted("sip:a@b"), "sip:a@b");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
