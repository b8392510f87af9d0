//! What the console reads of the answers of the JSON API.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) started_at: String,
    pub(super) mode: String,
    pub(super) connections: u64,
    pub(super) users: u64,
    pub(super) groups: u64,
    pub(super) memberships: u64,
    pub(super) pending: u64,
    pub(super) scheduled: u64,
    pub(super) backlog: u64,
    pub(super) oldest: Option<String>,
    pub(super) pending_joins: u64,
    pub(super) notifications_waiting: u64,
    pub(super) store_bytes: u64,
    pub(super) last_backup: Option<String>,
    pub(super) deliveries: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Alarms {
    pub(super) alarms: Vec<Alarm>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Alarm {
    pub(super) severity: String,
    pub(super) name: String,
    pub(super) detail: String,
}

impl Alarm {
    pub(super) fn is_critical(&self) -> bool {
        self.severity == "critical"
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Pushes {
    pub(super) pushes: Vec<Push>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Push {
    pub(super) push_id: String,
    pub(super) initiator: String,
    pub(super) created_at: String,
    pub(super) content_type: String,
    pub(super) size: u64,
    pub(super) addresses: Vec<Address>,
}

impl Push {
    /// Whether something of it may still be delivered.
    pub(super) fn is_open(&self) -> bool {
        self.addresses.iter().any(Address::is_open)
    }

    pub(super) fn recipients(&self) -> u64 {
        self.addresses.iter().map(|address| address.recipients).sum()
    }

    pub(super) fn delivered(&self) -> u64 {
        self.addresses.iter().map(|address| address.delivered).sum()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Address {
    pub(super) address: String,
    pub(super) group: Option<String>,
    pub(super) user: Option<String>,
    pub(super) state: String,
    pub(super) code: u16,
    pub(super) desc: String,
    pub(super) recipients: u64,
    pub(super) delivered: u64,
    pub(super) event_time: Option<String>,
    pub(super) times: Option<Times>,
    pub(super) welcomed: Option<u64>,
    pub(super) notification: Option<Notification>,
}

impl Address {
    fn is_open(&self) -> bool {
        self.state == "pending" || self.state == "scheduled"
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Times {
    pub(super) first: Option<String>,
    pub(super) half: Option<String>,
    pub(super) most: Option<String>,
    pub(super) last: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Notification {
    pub(super) state: String,
    pub(super) attempts: u64,
    pub(super) failure: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Recipients {
    pub(super) counts: Option<BTreeMap<String, u64>>,
    pub(super) recipients: Vec<Recipient>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Recipient {
    pub(super) user: String,
    pub(super) address: String,
    pub(super) state: String,
    pub(super) desc: String,
    pub(super) at: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) connected: bool,
    pub(super) last_seen: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Progress {
    pub(super) points: Vec<Point>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Point {
    pub(super) at: String,
    pub(super) delivered: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) endpoint: String,
    pub(super) content_type: String,
    pub(super) size: u64,
    pub(super) complete: bool,
    pub(super) document: String,
    pub(super) repairs: Vec<Repair>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repair {
    pub(super) row: String,
    pub(super) repair: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Groups {
    pub(super) groups: Vec<Group>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) topic: String,
    pub(super) policy: String,
    pub(super) members: u64,
    pub(super) welcome: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Members {
    pub(super) members: Vec<Member>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub(super) user: String,
    pub(super) joined_at: String,
    pub(super) source: String,
    pub(super) connected: bool,
    pub(super) last_seen: Option<String>,
    pub(super) owed: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MembersThen {
    pub(super) at: String,
    pub(super) members: Vec<String>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct History {
    pub(super) history: Vec<HistoryEntry>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct HistoryEntry {
    pub(super) at: String,
    pub(super) user: String,
    pub(super) event: String,
    pub(super) by: String,
}

/// Joins that wait: of one group, or of all.
#[derive(Debug, Deserialize)]
pub(super) struct Joins {
    pub(super) requests: Vec<Join>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Join {
    /// Where those of all groups are asked for.
    pub(super) group: Option<String>,
    pub(super) user: String,
    pub(super) requested_at: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Devices {
    pub(super) devices: Vec<Device>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub(super) user: String,
    pub(super) states: Vec<String>,
    pub(super) connected: bool,
    pub(super) last_seen: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) groups: u64,
    pub(super) owed: u64,
    pub(super) unanswered_since: Option<String>,
    pub(super) connects_last_hour: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) user: String,
    pub(super) groups: Vec<UserGroup>,
    pub(super) connections: Vec<Connection>,
    pub(super) device: Option<Device>,
    pub(super) owed: Vec<Owed>,
    pub(super) refused: Vec<RefusedPush>,
    pub(super) events: Vec<serde_json::Map<String, serde_json::Value>>,
    pub(super) traced_until: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserGroup {
    pub(super) group: String,
    pub(super) joined_at: String,
    pub(super) source: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Connection {
    pub(super) client_id: String,
    pub(super) protocol: String,
    pub(super) remote: String,
    pub(super) connected_at: String,
    pub(super) receive_maximum: u64,
    pub(super) maximum_packet_size: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Owed {
    pub(super) push_id: String,
    pub(super) initiator: String,
    pub(super) address: String,
    pub(super) created_at: String,
    pub(super) deliver_before: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct RefusedPush {
    pub(super) push_id: String,
    pub(super) initiator: String,
    pub(super) address: String,
    pub(super) desc: String,
    pub(super) at: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Configuration {
    pub(super) settings: Vec<Setting>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) default: Option<String>,
    pub(super) set_by: Option<String>,
    pub(super) needs_restart: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Receivers {
    pub(super) receivers: Vec<Receiver>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Receiver {
    pub(super) receiver: String,
    pub(super) waiting: u64,
    pub(super) given_up: u64,
    pub(super) failure: String,
    pub(super) next_attempt: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repairs {
    pub(super) repairs: Vec<RepairCount>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RepairCount {
    pub(super) initiator: String,
    pub(super) row: String,
    pub(super) repair: String,
    pub(super) requests: u64,
    pub(super) first: String,
    pub(super) last: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Audit {
    pub(super) audit: Vec<Act>,
    pub(super) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Act {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) act: String,
    pub(super) object: String,
    pub(super) detail: String,
}
