//! What the configuration says of groups and pushes, as the gateway works with it.

use std::time::Duration;

use crate::clock::Millis;
use crate::config::{AssignRule, Config, History, parse_target};
use crate::ids::{Duplicates, JoinPolicy, Target};
use crate::store::Limits;

/// The rules an operator sets for groups and pushes.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) create: Option<JoinPolicy>,
    pub(super) default_policy: JoinPolicy,
    pub(super) assign: Vec<AssignRule>,
    pub(super) limits: Limits,
    pub(super) pending_ttl: Duration,
    /// Milliseconds; none: never.
    pub(super) forget_after: Option<Millis>,
    pub(super) history: History,
    pub(super) default_ttl: Duration,
    pub(super) max_ttl: Duration,
    pub(super) retention: Duration,
    pub(super) clock_skew: Duration,
    pub(super) max_addresses: usize,
    pub(super) max_content: usize,
    pub(super) max_headers: usize,
    pub(super) max_pending: i64,
    pub(super) duplicates: Duplicates,
    pub(super) aliases: Vec<(String, Target)>,
}

impl Rules {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            create: config.groups.auto_create.then_some(config.groups.default_policy),
            default_policy: config.groups.default_policy,
            assign: config.groups.assign.clone(),
            limits: Limits {
                of_user: config.mqtt.max_groups_per_user,
                groups: i64::from(config.groups.max),
                requests: i64::from(config.groups.max_pending),
                made: i64::from(config.groups.max_made_per_user),
                users: i64::from(config.store.max_users),
                size: i64::try_from(config.store.max_size).unwrap_or(i64::MAX),
            },
            pending_ttl: config.groups.pending_ttl,
            forget_after: Some(millis(config.groups.forget_after)).filter(|after| *after > 0),
            history: config.history.clone(),
            default_ttl: config.push.default_ttl,
            max_ttl: config.push.max_ttl,
            retention: config.store.retention,
            clock_skew: config.push.clock_skew,
            max_addresses: config.push.max_addresses,
            max_content: config.push.max_content,
            max_headers: config.pap.max_header_lines,
            max_pending: i64::from(config.push.max_pending_per_initiator),
            duplicates: config.push.duplicates,
            aliases: config
                .aliases
                .iter()
                .filter_map(|(alias, target)| Some((alias.clone(), parse_target(target)?)))
                .collect(),
        }
    }
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}
