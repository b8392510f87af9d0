//! Devices as an operator asks for them: who is away, who is mute, who lags behind, who comes and goes all the time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Gateway;
use crate::clock::{self, Millis};
use crate::ids::UserId;
use crate::signals::FLAPPING;
use crate::store::{DeviceView, Error};

/// Users that one look at the store finds, and looks for one answer where few of them are wanted.
const LOOK: usize = 1_000;
const LOOKS: usize = 10;

/// A device that has left a push unanswered for so long while it is here is mute, in milliseconds.
const MUTE: Millis = 60_000;

const HOUR: Millis = 3_600_000;

/// What may be wrong with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// None of its terminals is here.
    Away,
    /// One is here, and has not answered a push for [`MUTE`].
    Mute,
    /// It owes an answer to some push.
    Lagging,
    /// It connected [`FLAPPING`] times within an hour.
    Flapping,
}

impl DeviceState {
    pub const ALL: [Self; 4] = [Self::Away, Self::Mute, Self::Lagging, Self::Flapping];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Mute => "mute",
            Self::Lagging => "lagging",
            Self::Flapping => "flapping",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One device, with all that is known.
#[derive(Debug, Clone)]
pub struct Device {
    pub view: DeviceView,
    pub connected: bool,
    /// Since when it has left a push unanswered that is under way to it.
    pub unanswered_since: Option<Millis>,
    /// How often it connected within the last hour; up to 32 are counted.
    pub connects: usize,
}

impl Device {
    /// When a terminal of it was here last; now where one is.
    #[must_use]
    pub fn last_seen(&self) -> Option<Millis> {
        if self.connected { Some(clock::now()) } else { self.view.seen.at }
    }

    #[must_use]
    pub fn is(&self, state: DeviceState) -> bool {
        match state {
            DeviceState::Away => !self.connected,
            DeviceState::Mute => self.unanswered_since.is_some_and(|since| clock::now() - since >= MUTE),
            DeviceState::Lagging => self.view.owed > 0,
            DeviceState::Flapping => self.connects >= FLAPPING,
        }
    }

    #[must_use]
    pub fn states(&self) -> Vec<&'static str> {
        DeviceState::ALL.into_iter().filter(|state| self.is(*state)).map(DeviceState::name).collect()
    }
}

/// Which devices are asked for.
#[derive(Debug, Clone, Default)]
pub struct AskedDevices {
    pub state: Option<DeviceState>,
    /// Away for so long at least, in milliseconds.
    pub away_for: Option<Millis>,
    /// The name begins so.
    pub prefix: String,
    /// The name has this in it.
    pub search: String,
}

impl AskedDevices {
    fn takes(&self, device: &Device) -> bool {
        let away =
            |least: Millis| !device.connected && device.view.seen.at.is_none_or(|seen| clock::now() - seen >= least);
        self.state.is_none_or(|state| device.is(state))
            && self.away_for.is_none_or(away)
            && device.view.user.starts_with(&self.prefix)
    }
}

/// Some of them, and the name after which the next ones begin.
#[derive(Debug, Default)]
pub struct DevicePage {
    pub devices: Vec<Device>,
    pub next: Option<String>,
}

impl Gateway {
    /// Devices in order of their names.
    pub async fn devices(&self, asked: &AskedDevices, mut after: String, limit: usize) -> Result<DevicePage, Error> {
        let mut page = DevicePage::default();
        if after < asked.prefix {
            // Whoever has the prefix for a name is wanted too.
            after = before(&asked.prefix);
        }
        for _ in 0..LOOKS {
            let views = self.store.devices(asked.search.clone(), after.clone(), LOOK).await?;
            let is_last = views.len() < LOOK;
            for device in self.look_at(views).await {
                after.clone_from(&device.view.user);
                if !after.starts_with(&asked.prefix) && after > asked.prefix {
                    return Ok(page);
                }
                if asked.takes(&device) {
                    page.devices.push(device);
                    if page.devices.len() >= limit {
                        page.next = Some(after);
                        return Ok(page);
                    }
                }
            }
            if is_last {
                return Ok(page);
            }
        }
        page.next = Some(after);
        Ok(page)
    }

    /// Those that lag furthest behind, or were seen last the longest time ago. It looks at all of them, one asker at a time.
    pub async fn worst_devices(&self, asked: &AskedDevices, by: Sort, limit: usize) -> Result<Vec<Device>, Error> {
        let _turn = self.counting.lock().await;
        let mut worst: BinaryHeap<Reverse<Ranked>> = BinaryHeap::new();
        let mut after = String::new();
        loop {
            let views = self.store.devices(asked.search.clone(), after.clone(), LOOK).await?;
            let is_last = views.len() < LOOK;
            for device in self.look_at(views).await {
                after.clone_from(&device.view.user);
                if asked.takes(&device) {
                    worst.push(Reverse(Ranked { rank: by.rank(&device), device: Box::new(device) }));
                    if worst.len() > limit {
                        worst.pop();
                    }
                }
            }
            if is_last {
                let sorted = worst.into_sorted_vec();
                return Ok(sorted.into_iter().map(|Reverse(ranked)| *ranked.device).collect());
            }
        }
    }

    /// One device.
    pub async fn device(&self, user: &UserId) -> Result<Option<Device>, Error> {
        let Some(view) = self.store.device(user.clone()).await? else { return Ok(None) };
        Ok(self.look_at(vec![view]).await.pop())
    }

    /// What is known of them beside what is stored.
    async fn look_at(&self, views: Vec<DeviceView>) -> Vec<Device> {
        let users = views.iter().filter_map(|view| UserId::parse(&view.user).ok());
        let unanswered = self.terminals().unanswered(users.collect()).await;
        let hour_ago = clock::now() - HOUR;
        let look = |view: DeviceView| {
            let user = UserId::parse(&view.user).ok();
            Device {
                connected: user.as_ref().is_some_and(|user| self.terminals().is_here(user)),
                unanswered_since: user.and_then(|user| unanswered.get(&user).copied()),
                connects: self.signals.connects(&view.user, hour_ago),
                view,
            }
        };
        views.into_iter().map(look).collect()
    }
}

/// A name before which nothing comes that begins with the prefix.
fn before(prefix: &str) -> String {
    let mut name = prefix.to_owned();
    // The last character, made one smaller, with the largest one behind it.
    if let Some(last) = name.pop()
        && let Some(smaller) = (u32::from(last)).checked_sub(1).and_then(char::from_u32)
    {
        name.push(smaller);
        name.push(char::MAX);
    }
    name
}

/// What devices are sorted by, the worst ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Pushes that they owe an answer.
    Lag,
    /// How long ago they were seen.
    LastSeen,
}

impl Sort {
    fn rank(self, device: &Device) -> i64 {
        match self {
            Self::Lag => i64::try_from(device.view.owed).unwrap_or(i64::MAX),
            Self::LastSeen => clock::now() - device.last_seen().unwrap_or(0),
        }
    }
}

#[derive(Debug)]
struct Ranked {
    rank: i64,
    device: Box<Device>,
}

impl Ranked {
    fn key(&self) -> (i64, Reverse<&str>) {
        (self.rank, Reverse(&self.device.view.user))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_prefix_begins_with_who_has_just_that_name() {
        for prefix in ["a", "sip:", "meter-1"] {
            let from = before(prefix);
            assert!(from.as_str() < prefix, "{from:?}");
        }
        assert!(before("b").as_str() > "a" && before("b").as_str() > "azzz");
        assert_eq!(before(""), "");
    }
}
