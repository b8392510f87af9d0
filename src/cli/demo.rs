//! `papcast demo`: the whole thing on one machine, with nothing prepared.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::Method;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{Gateway, escape};
use super::signals::Interrupt;
use super::{out, push};
use crate::app::App;
use crate::config;
use crate::pap::document::{DeliveryMethod, PushMessage, QualityOfService};
use crate::terminal::{Event, MAX_PACKET, Options, Terminal};

/// Start a gateway, let terminals join a group, post one PAP message, and watch it arrive.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many terminals. Each takes some 50 KB of memory and two open files; 200 more are open besides.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    terminals: u32,
    /// Print the result as JSON, and nothing else on stdout.
    #[arg(long)]
    json: bool,
}

const GROUP: &str = "demo";
const TEXT: &str = "Hello, group! One request, sent to all of you.";
/// For each of: connecting and joining, and delivering. Nothing on one machine takes as long.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    enough_files(args.terminals)?;
    // Before the folder is made: whoever interrupts the demo finds it removed.
    let mut interrupt = Interrupt::watch().context("signals cannot be watched")?;
    let folder = Folder::new()?;
    let flags = [
        ("http.listen", "127.0.0.1:0".to_owned()),
        ("mqtt.listen", "127.0.0.1:0".to_owned()),
        ("store.path", folder.0.join("demo.db").display().to_string()),
    ];
    let app =
        App::build(config::load(None, [], &flags)?, Arc::new(|| Err("the demo has no configuration".into()))).await?;
    let bound = app.entrances().addresses();
    let (Some(http), Some(mqtt)) = (bound.http, bound.mqtt) else { anyhow::bail!("the demo needs both listeners") };
    let addresses = Places { http, mqtt };
    eprintln!("gateway   HTTP {http}, MQTT {mqtt}");
    eprintln!("store     in a temporary folder, removed at the end");
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run(stop.clone()));
    let result = tokio::select! {
        result = show(addresses, args.terminals) => result,
        () = interrupt.came() => Err(anyhow::anyhow!("the demo was interrupted")),
    };
    stop.cancel();
    running.await??;
    // What is printed last may end the process, if nobody reads it.
    drop(folder);
    let result = result?;
    result.print(args.json);
    anyhow::ensure!(result.state == "delivered", "the push is {} ({})", result.state, result.desc);
    Ok(())
}

/// Files that a gateway and this program have open besides the two ends of each connection.
const OTHER_FILES: u64 = 200;

/// Too few open files would show as terminals that never join.
fn enough_files(terminals: u32) -> anyhow::Result<()> {
    let needed = 2 * u64::from(terminals) + OTHER_FILES;
    let allowed = rlimit::increase_nofile_limit(needed).unwrap_or(needed);
    let fit = allowed.saturating_sub(OTHER_FILES) / 2;
    let fewer = if fit > 0 { format!("ask for fewer (--terminals {fit}), or ") } else { String::new() };
    anyhow::ensure!(
        allowed >= needed,
        "{terminals} terminals need {needed} open files, and the system allows this program {allowed}: \
         {fewer}raise the limit (ulimit -n {needed})"
    );
    Ok(())
}

/// A temporary folder that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("papcast-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path)
            .with_context(|| format!("{}: the folder for the demo cannot be made (TMPDIR)", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        let _ = std::fs::remove_dir_all(path);
    }
}

enum News {
    Joined,
    Arrived { at: Instant, whole: bool },
}

/// What the demo shows at its end.
struct Shown {
    terminals: u32,
    answered: Duration,
    /// How long each delivery took, in order.
    deliveries: Vec<Duration>,
    state: String,
    desc: String,
}

/// Where its listeners are.
#[derive(Debug, Clone, Copy)]
struct Places {
    http: SocketAddr,
    mqtt: SocketAddr,
}

async fn show(addresses: Places, count: u32) -> anyhow::Result<Shown> {
    let (news, mut heard) = mpsc::unbounded_channel();
    let mut terminals = JoinSet::new();
    for number in 0..count {
        terminals.spawn(terminal(addresses, number, news.clone()));
    }
    let bar = bar("joining  ", count);
    for _ in 0..count {
        let next = tokio::time::timeout(PATIENCE, heard.recv()).await;
        let next = next.map_err(|_| anyhow::anyhow!("the terminals did not join in time"))?;
        anyhow::ensure!(matches!(next, Some(News::Joined)), "a push arrived before it was sent");
        bar.inc(1);
    }
    bar.finish();
    let gateway = Gateway::at(addresses.http)?;
    let push_id = format!("{}@demo", uuid::Uuid::new_v4());
    let posted = Instant::now();
    let message = PushMessage {
        push_id: push_id.clone(),
        addresses: vec![format!("WAPPUSH={GROUP}/TYPE=GROUP@papcast.example")],
        quality_of_service: Some(QualityOfService { delivery_method: DeliveryMethod::Confirmed, ..Default::default() }),
        ..PushMessage::default()
    };
    let answer = push::submit(&gateway, "/pap", message, "text/plain", TEXT.as_bytes()).await?;
    let answered = posted.elapsed();
    anyhow::ensure!(answer.code == 1001, "the push was refused: {} {}", answer.code, answer.desc);
    let deliveries = follow(&mut heard, count, posted).await?;
    let (state, desc) = outcome(&gateway, &push_id).await?;
    terminals.abort_all();
    Ok(Shown { terminals: count, answered, deliveries, state, desc })
}

fn bar(name: &'static str, count: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} [{bar:40}] {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(u64::from(count)).with_style(style.progress_chars("=> "));
    bar.set_prefix(name);
    bar
}

/// One terminal: joins, then waits for the push.
async fn terminal(addresses: Places, number: u32, news: mpsc::UnboundedSender<News>) {
    let user = format!("sip:terminal-{number}@demo.example");
    let mut terminal = Terminal::new(&Options {
        host: addresses.mqtt.ip().to_string(),
        port: addresses.mqtt.port(),
        token: None,
        client_id: format!("terminal-{number}"),
        user,
        session_expiry: 0,
        max_packet: MAX_PACKET,
    });
    loop {
        let said = match terminal.next().await {
            Event::Connected => {
                terminal.join(GROUP);
                continue;
            }
            Event::Answer(answer) if answer.status == "accepted" => News::Joined,
            Event::Push(push) => News::Arrived { at: Instant::now(), whole: push.body == TEXT.as_bytes() },
            Event::Answer(_) | Event::Disconnected(_) => continue,
        };
        if news.send(said).is_err() {
            return;
        }
    }
}

/// How long each delivery took, in order.
async fn follow(
    heard: &mut mpsc::UnboundedReceiver<News>,
    count: u32,
    posted: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let bar = bar("delivered", count);
    let mut deliveries = Vec::new();
    while deliveries.len() < count as usize {
        let next = tokio::time::timeout(PATIENCE, heard.recv()).await;
        let next = next.map_err(|_| anyhow::anyhow!("the push did not reach everybody in time"))?;
        if let Some(News::Arrived { at, whole }) = next {
            anyhow::ensure!(whole, "a terminal got something else");
            deliveries.push(at.duration_since(posted));
            bar.inc(1);
        }
    }
    bar.finish();
    deliveries.sort_unstable();
    Ok(deliveries)
}

/// What the gateway says of the push, once all acknowledgements are in.
async fn outcome(gateway: &Gateway, push_id: &str) -> anyhow::Result<(String, String)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let push = gateway.json(Method::GET, &format!("/api/v1/pushes/{}", escape(push_id)), None).await?;
        let address = &push["addresses"][0];
        let text = |field: &str| address[field].as_str().unwrap_or("").to_owned();
        if text("state") != "pending" || Instant::now() > deadline {
            return Ok((text("state"), text("desc")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Shown {
    fn print(&self, json: bool) {
        let ms = |time: Duration| (time.as_secs_f64() * 10_000.0).round() / 10.0;
        let at = |share: usize| {
            let place = (self.deliveries.len() * share / 100).min(self.deliveries.len().saturating_sub(1));
            ms(self.deliveries.get(place).copied().unwrap_or_default())
        };
        let (first, half, last, answered) = (at(0), at(50), at(100), ms(self.answered));
        let (count, arrived, state, desc) = (self.terminals, self.deliveries.len(), &self.state, &self.desc);
        if json {
            out::json(&serde_json::json!({
                "terminals": count, "answered_ms": answered, "arrived": arrived, "first_ms": first, "half_ms": half,
                "last_ms": last, "state": state, "desc": desc,
            }));
            return;
        }
        println!();
        println!("terminals in group {GROUP:?}    {count}");
        println!("PAP requests posted          1, answered 1001 after {answered} ms");
        println!("arrived at terminals         {arrived} of {count}");
        println!("first / half / last          {first} / {half} / {last} ms");
        println!("acknowledged                 {desc} ({state})");
    }
}
