//! `papcast terminal`

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;

use super::ending;
use super::names;
use super::settings::{SignIn, Token};
use super::signals::Interrupt;
use crate::ids::encode_level;
use crate::terminal::{Answer, Event, Joined, MAX_PACKET, Memory, Options, Push, Terminal};

/// The reference terminal: joins groups, remembers them, prints each push as it arrives.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// User ID.
    #[arg(long, value_parser = names::user)]
    user: String,
    /// Groups to join.
    #[arg(long, num_args = 1.., value_name = "GROUP", value_parser = names::group)]
    join: Vec<String>,
    /// Address of the gateway's MQTT side.
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "HOST:PORT")]
    mqtt: String,
    // The token of this user: the MQTT password. The settings file is not asked for it: it is about the HTTP side.
    #[command(flatten)]
    sign_in: SignIn,
    /// MQTT client id; made from the user ID where it is missing.
    #[arg(long)]
    client_id: Option<String>,
    /// File with the gateway's answers (groups and topics); read at the next start, so that nothing is asked twice.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Bytes of the largest MQTT packet that it takes; the gateway is told, and sends nothing larger.
    #[arg(long, value_name = "BYTES", default_value_t = MAX_PACKET, value_parser = clap::value_parser!(u32).range(1_024..=268_435_455))]
    max_packet: u32,
    /// End after so many pushes.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print each push as a JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let (host, port) = args.mqtt.rsplit_once(':').context("--mqtt: expected HOST:PORT")?;
    let options = Options {
        host: host.to_owned(),
        port: port.parse().context("--mqtt: expected HOST:PORT")?,
        user: args.user.clone(),
        client_id: args.client_id.clone().unwrap_or_else(|| format!("papcast-terminal-{}", encode_level(&args.user))),
        token: args.sign_in.token(None)?.map(|Token(token)| token),
        session_expiry: 86_400,
        max_packet: args.max_packet,
    };
    let path = args.state.clone().unwrap_or_else(|| default_state(&args.user));
    let mut memory = Memory::open(&path, &args.user).with_context(|| format!("{}: cannot be read", path.display()))?;
    for joined in memory.groups() {
        eprintln!("bound to {} ({}), as {} says", joined.group, joined.topic, path.display());
    }
    let wanted: Vec<String> = args.join.iter().filter(|group| !memory.knows(group)).cloned().collect();
    let mut interrupt = Interrupt::watch().context("signals cannot be watched")?;
    let mut terminal = Terminal::new(&options);
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let event = tokio::select! {
            event = terminal.next() => event,
            () = interrupt.came() => break,
        };
        match event {
            Event::Connected => {
                eprintln!("connected to {} as {}", args.mqtt, args.user);
                wanted.iter().for_each(|group| terminal.join(group));
            }
            Event::Disconnected(reason) => eprintln!("not connected: {reason}; trying again"),
            Event::Answer(answer) => {
                tell(&answer);
                remember(&mut memory, answer, &path)?;
            }
            Event::Push(push) => {
                if let Err(error) = print(&push, memory.group_of(&push.topic), args.json) {
                    // Nobody has seen it: it is to come again.
                    terminal.keep_back();
                    terminal.close().await;
                    return Err(ending::unprinted(error));
                }
                left -= 1;
            }
        }
    }
    terminal.close().await;
    Ok(())
}

fn remember(memory: &mut Memory, answer: Answer, path: &Path) -> anyhow::Result<()> {
    let (Some(group), Some(topic)) = (answer.group, answer.topic) else { return Ok(()) };
    memory.remember(Joined { group, topic }).with_context(|| format!("{}: cannot be written", path.display()))
}

fn tell(answer: &Answer) {
    let group = answer.group.as_deref().unwrap_or("?");
    let why = answer.reason.as_deref().or(answer.desc.as_deref()).unwrap_or("");
    eprintln!("{} {group}: {} {why}", answer.op.as_deref().unwrap_or("request"), answer.status);
}

fn print(push: &Push, group: Option<&str>, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let text = std::str::from_utf8(&push.body).ok();
    if json {
        let mut value = serde_json::json!({
            "topic": push.topic, "group": group, "push_id": push.push_id, "address": push.address, "content_type": push.content_type,
        });
        match text {
            Some(text) => value["body"] = text.into(),
            None => value["body_base64"] = base64::engine::general_purpose::STANDARD.encode(&push.body).into(),
        }
        writeln!(out, "{value}")?;
    } else {
        let shown = text.map_or_else(|| format!("({} bytes)", push.body.len()), on_one_line);
        writeln!(out, "{}\t{shown}", push.topic)?;
    }
    out.flush()
}

/// Without line ends, and without what would move the cursor: the content comes from the network.
fn on_one_line(text: &str) -> String {
    text.replace(|letter: char| letter.is_control() && letter != '\t', " ")
}

/// `$XDG_STATE_HOME/papcast/<user>.json`
fn default_state(user: &str) -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    base.unwrap_or_else(|| PathBuf::from(".")).join("papcast").join(format!("{}.json", encode_level(user)))
}
