//! The story itself, act by act.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::cast::Cast;
use super::fleet::Fleet;
use super::gateway_process::GatewayProcess;
use super::message::{self, GROUP, SMALL};
use super::page::Page;
use super::tally::Tally;
use crate::cli::client::Gateway;

/// The push of the story, and one more for whoever stays.
const PUSH: &str = "demo-1";
const SECOND: &str = "demo-2";

/// Gateway and devices.
pub(super) struct Running {
    gateway: GatewayProcess,
    fleet: Fleet,
    cast: Cast,
    api: Gateway,
}

/// What programs are told at the end.
#[derive(Default)]
struct Told {
    answered: f64,
    /// When the first, half and the last had it.
    delivered: [f64; 3],
    before: Value,
    down: f64,
    after: Value,
}

/// Tells it to its end. The devices go on for as long as somebody waits for [`Running::go_on`].
pub(super) async fn tell(page: &Page, folder: &Path, cast: Cast, keep: bool) -> anyhow::Result<Running> {
    let gateway = GatewayProcess::start(folder).await?;
    let (fleet, api) = (Fleet::new(gateway.places.mqtt, cast), Gateway::at(gateway.places.http)?);
    let mut running = Running { gateway, fleet, cast, api };
    let mut told = Told::default();
    running.joins(page).await?;
    running.push(page, &mut told).await?;
    running.who_has_it(page, &mut told).await?;
    running.killed(page, &mut told).await?;
    running.back(page, &mut told).await?;
    if keep {
        running.stays(page).await?;
    } else {
        page.say(NOW_TRY)?;
    }
    page.result(&running.result(&told, keep))?;
    Ok(running)
}

const NOW_TRY: &str = "
Now try
   papcast demo --keep    the same, and it stays: with its console in a browser
   papcast serve          a gateway of your own; then, in two other shells:
                          mosquitto_sub -u me -t groups/news -v
                          papcast push group:news \"Hello\"
   docs/tutorial.md       the first ten minutes with it, step by step";

impl Running {
    pub(super) async fn go_on(&mut self) {
        self.fleet.go_on().await;
    }

    async fn joins(&mut self, page: &Page) -> anyhow::Result<()> {
        let (places, pid, cast) = (self.gateway.places, self.gateway.pid(), self.cast);
        page.say(&format!(
            "1  A gateway, process {pid}: HTTP {}, MQTT {}.\n\n\
             2  {} connect over MQTT and ask to join the group {GROUP:?}.\n   \
             Each publishes to $push/request: {{\"op\":\"join\",\"group\":\"{GROUP}\"}}",
            places.http,
            places.mqtt,
            devices(cast.all)
        ))?;
        self.fleet.join().await?;
        self.fleet.switch_off(cast.absent_ones()).await?;
        let mut then = Vec::new();
        if cast.absent > 0 {
            then.push(format!("{} switched off", are(cast.absent)));
        }
        if cast.small > 0 {
            then.push(format!("one takes packets of {SMALL} bytes at most"));
        }
        if !then.is_empty() {
            page.say(&format!("   Now {}. All stay in the group.", then.join(",\n   and ")))?;
        }
        page.pause().await;
        Ok(())
    }

    async fn push(&mut self, page: &Page, told: &mut Told) -> anyhow::Result<()> {
        let submission = message::submission(PUSH);
        page.say("\n3  One request over PAP reaches the whole group:\n")?;
        for line in message::shown(&self.gateway.places.http.to_string(), &submission) {
            page.say(format!("   | {line}").trim_end())?;
        }
        page.pause().await;
        self.fleet.expect(PUSH);
        let posted = Instant::now();
        let answer = submission.post(&self.api, "/pap").await?;
        told.answered = ms(posted.elapsed());
        anyhow::ensure!(answer.code == 1001, "the push was refused: {} {}", answer.code, answer.desc);
        page.say(&format!(
            "\n   Answer after {} ms: {} {}. The push is on disk.",
            told.answered, answer.code, answer.desc
        ))?;
        self.fleet.arrived(self.cast.here()).await?;
        let times = self.fleet.times();
        let at = |share: usize| {
            let place = (times.len() * share / 100).min(times.len().saturating_sub(1));
            times.get(place).map_or(0.0, |at| ms(at.duration_since(posted)))
        };
        told.delivered = [at(0), at(50), at(100)];
        Ok(())
    }

    async fn who_has_it(&mut self, page: &Page, told: &mut Told) -> anyhow::Result<()> {
        let Cast { absent, small, .. } = self.cast;
        let tally = Tally::of(self.cast.here(), absent, small);
        tally.awaited(&self.api, PUSH).await?;
        let [first, half, last] = told.delivered;
        let times = format!("first, half, last after {first}, {half}, {last} ms");
        told.before = tally.json();
        let table = tally.table(&self.api, PUSH, &times).await?;
        page.say(&format!("\n4  Who has it, and who has not, and why:\n\n{table}"))?;
        page.pause().await;
        Ok(())
    }

    async fn killed(&mut self, page: &Page, told: &mut Told) -> anyhow::Result<()> {
        page.say(&format!("\n5  kill -9 {}: the gateway is gone.", self.gateway.pid()))?;
        self.fleet.look_away();
        self.gateway.kill()?;
        page.pause().await;
        let begin = Instant::now();
        self.gateway.start_again().await?;
        told.down = ms(begin.elapsed());
        page.say(&format!(
            "   Started again, process {}: ready after {} ms, with the store it had.",
            self.gateway.pid(),
            told.down
        ))?;
        self.fleet.reconnected(self.cast.here() + self.cast.small).await?;
        page.pause().await;
        Ok(())
    }

    async fn back(&mut self, page: &Page, told: &mut Told) -> anyhow::Result<()> {
        let Cast { absent, small, .. } = self.cast;
        if absent > 0 {
            page.say(&format!("\n6  {} switched on again, and asked for nothing.", upper(&are(absent))))?;
        } else {
            page.say("\n6  What the gateway knows now:")?;
        }
        self.fleet.switch_on(self.cast.absent_ones());
        self.fleet.arrived(self.cast.here() + absent).await?;
        let tally = Tally::of(self.cast.here() + absent, 0, small);
        tally.awaited(&self.api, PUSH).await?;
        told.after = tally.json();
        let twice = self.fleet.twice();
        let once = if twice == 0 { "each of them once".to_owned() } else { format!("{twice} of them twice") };
        page.say(&format!("\n{}", tally.table(&self.api, PUSH, &once).await?))?;
        anyhow::ensure!(twice == 0, "the story did not come out: {twice} devices got the push twice");
        page.pause().await;
        Ok(())
    }

    /// Leaves something to look at: some are switched off again, and there is one more push.
    async fn stays(&mut self, page: &Page) -> anyhow::Result<()> {
        let gone = self.cast.leave_again();
        let count = gone.end;
        self.fleet.switch_off(gone).await?;
        self.fleet.expect(SECOND);
        let answer = message::submission(SECOND).post(&self.api, "/pap").await?;
        anyhow::ensure!(answer.code == 1001, "the second push was refused: {} {}", answer.code, answer.desc);
        let has_it = self.cast.all - self.cast.small - count;
        self.fleet.arrived(has_it).await?;
        Tally::of(has_it, count, self.cast.small).awaited(&self.api, SECOND).await?;
        let (http, mqtt) = (self.gateway.places.http, self.gateway.places.mqtt);
        page.say(&format!(
            "\nIt stays until Ctrl-C, with {} switched off again and one more push, {SECOND}.\n\n   \
             console   http://{http}/console\n   \
             MQTT      {mqtt}\n\n\
             Now try, in another shell\n   \
             papcast who {SECOND} --missing --gateway {http}\n   \
             papcast push group:{GROUP} \"Hello again\" --gateway {http}\n   \
             papcast events -f --gateway {http}",
            devices(count)
        ))
    }

    fn result(&self, told: &Told, keep: bool) -> Value {
        let [first, half, last] = told.delivered;
        let mut result = json!({
            "terminals": self.cast.all, "push_id": PUSH, "answered_ms": told.answered, "before": told.before,
            "first_ms": first, "half_ms": half, "last_ms": last, "restart_ms": told.down, "after": told.after,
            "twice": self.fleet.twice(),
        });
        if keep {
            let (http, mqtt) = (self.gateway.places.http, self.gateway.places.mqtt);
            result["http"] = http.to_string().into();
            result["mqtt"] = mqtt.to_string().into();
            result["console"] = format!("http://{http}/console").into();
        }
        result
    }
}

/// With one place behind the point.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

fn devices(count: u32) -> String {
    if count == 1 { "1 device".into() } else { format!("{count} devices") }
}

fn are(count: u32) -> String {
    if count == 1 { "one is".into() } else { format!("{count} are") }
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
