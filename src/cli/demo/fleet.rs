//! The devices of the demo: real MQTT terminals that join, are switched off, and come back.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cast::Cast;
use super::message::{GROUP, SMALL, TEXT};
use super::page;
use crate::terminal::{Event, MAX_PACKET, Options, Terminal};

/// For all devices to do something. Nothing on one machine takes as long.
const PATIENCE: Duration = Duration::from_secs(120);

enum News {
    Joined(u32),
    /// Connected, and has been in the group before.
    Back(u32),
    Off(u32),
    Arrived {
        number: u32,
        push_id: Option<String>,
        at: Instant,
        whole: bool,
    },
}

/// What all devices together have told.
#[derive(Default)]
struct Seen {
    joined: HashSet<u32>,
    back: HashSet<u32>,
    off: HashSet<u32>,
    /// The push that is looked at, and who has it since when.
    push_id: String,
    got: HashMap<u32, Instant>,
    twice: u32,
    broken: u32,
}

impl Seen {
    fn note(&mut self, news: News) {
        match news {
            News::Joined(number) => drop(self.joined.insert(number)),
            News::Back(number) => drop(self.back.insert(number)),
            News::Off(number) => drop(self.off.insert(number)),
            News::Arrived { number, push_id, at, whole } if push_id.as_ref() == Some(&self.push_id) => {
                self.broken += u32::from(!whole);
                self.twice += u32::from(self.got.insert(number, at).is_some());
            }
            News::Arrived { .. } => {}
        }
    }
}

pub(super) struct Fleet {
    mqtt: SocketAddr,
    cast: Cast,
    news: mpsc::UnboundedSender<News>,
    heard: mpsc::UnboundedReceiver<News>,
    switches: HashMap<u32, CancellationToken>,
    /// They go when this is dropped.
    devices: JoinSet<()>,
    seen: Seen,
}

impl Fleet {
    pub(super) fn new(mqtt: SocketAddr, cast: Cast) -> Self {
        let (news, heard) = mpsc::unbounded_channel();
        let (switches, devices, seen) = Default::default();
        Self { mqtt, cast, news, heard, switches, devices, seen }
    }

    /// All devices connect and ask to join the group.
    pub(super) async fn join(&mut self) -> anyhow::Result<()> {
        (0..self.cast.all).for_each(|number| self.start(number, false));
        self.until("joined", self.cast.all, |seen| seen.joined.len()).await
    }

    /// They say goodbye; they stay in the group.
    pub(super) async fn switch_off(&mut self, numbers: Range<u32>) -> anyhow::Result<()> {
        self.seen.off.clear();
        let count = numbers.end - numbers.start;
        numbers.filter_map(|number| self.switches.remove(&number)).for_each(|switch| switch.cancel());
        self.until("off", count, |seen| seen.off.len()).await
    }

    /// They connect, and ask for nothing: they are in the group.
    pub(super) fn switch_on(&mut self, numbers: Range<u32>) {
        numbers.for_each(|number| self.start(number, true));
    }

    /// From now on this push is looked at.
    pub(super) fn expect(&mut self, push_id: &str) {
        self.seen = Seen { push_id: push_id.to_owned(), ..Seen::default() };
    }

    pub(super) async fn arrived(&mut self, count: u32) -> anyhow::Result<()> {
        self.until("delivered", count, |seen| seen.got.len()).await?;
        anyhow::ensure!(self.seen.broken == 0, "{} devices got something else than was sent", self.seen.broken);
        Ok(())
    }

    /// The gateway is about to go: who connects now has come back.
    pub(super) fn look_away(&mut self) {
        self.seen.back.clear();
    }

    pub(super) async fn reconnected(&mut self, count: u32) -> anyhow::Result<()> {
        self.until("reconnected", count, |seen| seen.back.len()).await
    }

    /// When each had the push, in order.
    pub(super) fn times(&self) -> Vec<Instant> {
        let mut times: Vec<Instant> = self.seen.got.values().copied().collect();
        times.sort_unstable();
        times
    }

    /// Deliveries of the push beyond the first to each device.
    pub(super) fn twice(&self) -> u32 {
        self.seen.twice
    }

    /// Lets them do what they do, for ever.
    pub(super) async fn go_on(&mut self) {
        while let Some(news) = self.heard.recv().await {
            self.seen.note(news);
        }
    }

    async fn until(&mut self, name: &'static str, wanted: u32, count: fn(&Seen) -> usize) -> anyhow::Result<()> {
        if wanted == 0 {
            return Ok(());
        }
        let bar = page::bar(name, wanted);
        let deadline = Instant::now() + PATIENCE;
        while count(&self.seen) < wanted as usize {
            let Ok(Some(news)) = tokio::time::timeout_at(deadline, self.heard.recv()).await else {
                let (so_far, seconds) = (count(&self.seen), PATIENCE.as_secs());
                bar.abandon();
                anyhow::bail!("{name}: {so_far} of {wanted} devices after {seconds} seconds");
            };
            self.seen.note(news);
            bar.set_position(count(&self.seen) as u64);
        }
        bar.finish();
        Ok(())
    }

    fn start(&mut self, number: u32, is_member: bool) {
        let options = Options {
            host: self.mqtt.ip().to_string(),
            port: self.mqtt.port(),
            token: None,
            client_id: format!("device-{number}"),
            user: format!("sip:device-{number}@demo.example"),
            session_expiry: 0,
            max_packet: if self.cast.is_small(number) { SMALL } else { MAX_PACKET },
        };
        let switch = CancellationToken::new();
        self.switches.insert(number, switch.clone());
        self.devices.spawn(device(options, number, is_member, switch, self.news.clone()));
    }
}

/// One device, until it is switched off.
async fn device(
    options: Options,
    number: u32,
    mut is_member: bool,
    switch: CancellationToken,
    news: mpsc::UnboundedSender<News>,
) {
    let mut terminal = Terminal::new(&options);
    loop {
        let event = tokio::select! {
            event = terminal.next() => event,
            () = switch.cancelled() => break,
        };
        let said = match event {
            Event::Connected if is_member => News::Back(number),
            Event::Connected => {
                terminal.join(GROUP);
                continue;
            }
            Event::Answer(answer) if answer.status == "accepted" => {
                is_member = true;
                News::Joined(number)
            }
            Event::Push(push) => {
                let whole = push.body == TEXT.as_bytes();
                News::Arrived { number, push_id: push.push_id, at: Instant::now(), whole }
            }
            Event::Answer(_) | Event::Disconnected(_) => continue,
        };
        if news.send(said).is_err() {
            return;
        }
    }
    terminal.close().await;
    let _ = news.send(News::Off(number));
}
