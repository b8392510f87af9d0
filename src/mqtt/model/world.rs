//! The gateway of the model: the store as it is, and the few steps that workers and gateway take between store and
//! sessions, one after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;

use super::terminal::Connection;
use super::{GROUPS, Op, TERMINALS, To, USERS, Variant};
use crate::ids::{GroupId, JoinPolicy, Target, UserId};
use crate::mqtt::inflight_window::Resume;
use crate::mqtt::session::Offer;
use crate::mqtt::shared_frames::Frames;
use crate::mqtt::unanswered_pushes::Unanswered;
use crate::parcel::{BindingId, DispatchId, FlowId, Parcel, Seq};
use crate::store::{
    Address, Bind, Bound, CursorMove, DeliveryMethod, Digest, Event, Limits, Meaning, PendingReply, Priority,
    PushLimits, Removal, Replacing, Source, Store, Submission, Submitted,
};

/// A push as the model remembers it.
#[derive(Debug, Clone)]
pub(super) struct Push {
    pub(super) to: Vec<To>,
    pub(super) confirmed: bool,
    pub(super) deadline: i64,
    /// Members at the moment of dispatch, by address; those who left since are taken out.
    pub(super) owed: BTreeMap<To, BTreeSet<usize>>,
    /// Nobody may be sent it any more, but for those who hold it.
    pub(super) taken_back: BTreeMap<To, BTreeSet<usize>>,
    /// Who answered while it was not over.
    pub(super) resolved: BTreeMap<To, BTreeSet<usize>>,
    /// Whom the push that it replaces had reached.
    pub(super) left_out: BTreeMap<To, BTreeSet<usize>>,
    pub(super) expired: bool,
}

pub(super) struct World {
    /// None only in the middle of a crash.
    store: Option<Store>,
    path: std::path::PathBuf,
    _dir: tempfile::TempDir,
    news: Arc<Mutex<News>>,
    pub(super) now: i64,
    pub(super) members: [BTreeSet<usize>; GROUPS],
    pub(super) pushes: Vec<Push>,
    pub(super) terminals: [Option<Connection>; TERMINALS],
    pub(super) resumes: [Option<Resume>; TERMINALS],
    pub(super) orphans: Vec<CursorMove>,
    pub(super) revoked: BTreeSet<DispatchId>,
    /// Of the groups.
    pub(super) flows: BTreeMap<usize, FlowId>,
    /// The binding of a user to a group.
    bindings: BTreeMap<(usize, usize), BindingId>,
    pub(super) seqs: BTreeMap<(usize, String), Seq>,
    pub(super) unanswered: Unanswered,
    /// Devices that have to hang up.
    pub(super) hangs_up: BTreeSet<usize>,
    pub(super) variant: Variant,
    pub(super) connects: u64,
    /// Connections so far of the device that has a new client id for each.
    pub(super) new_ids: Option<usize>,
    /// The one that closes did so on the only push that it still owed an answer for.
    pub(super) closed_on_the_last: bool,
    pub(super) steady: Instant,
    /// What was ever set aside, for whom.
    pub(super) aside: BTreeSet<(usize, usize)>,
    /// What was dropped for a user because it had been taken back.
    pub(super) dropped: BTreeSet<(usize, usize)>,
    /// Users who answered a push: known to a worker, and written down.
    pub(super) answered: BTreeSet<(usize, usize)>,
    pub(super) durable: BTreeSet<(usize, usize)>,
    /// Answered by acknowledging, ever.
    pub(super) got: BTreeSet<(usize, usize)>,
}

/// The user that a terminal acts for.
pub(super) fn user_of(terminal: usize) -> usize {
    terminal % USERS
}

pub(super) fn user(number: usize) -> UserId {
    UserId::parse(&format!("u{number}")).unwrap()
}

fn group(number: usize) -> GroupId {
    GroupId::parse(&format!("g{number}")).unwrap()
}

pub(super) fn target(to: To) -> Target {
    match to {
        To::Group(number) => Target::Group(group(number)),
        To::User(number) => Target::User(user(number)),
    }
}

/// What commits told and nobody has heard of yet.
#[derive(Debug, Default)]
struct News {
    pushes: VecDeque<Arc<Parcel>>,
    cancelled: Vec<DispatchId>,
}

fn open(path: &std::path::Path, news: &Arc<Mutex<News>>) -> Store {
    let heard = Arc::clone(news);
    let observer = move |events| {
        let mut news = heard.lock().unwrap();
        for event in events {
            match event {
                Event::Dispatched(parcel) => news.pushes.push_back(parcel),
                Event::Cancelled(dispatches) => news.cancelled.extend(dispatches),
                Event::Joined { .. } | Event::Left { .. } | Event::Stands(_) => {}
            }
        }
    };
    Store::open(path, 1, &crate::supervision::Health::default(), observer, Default::default()).unwrap()
}

impl World {
    pub(super) fn new(variant: Variant) -> Self {
        // In memory where that is possible: what is tested here is not the disk.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = dir.path().join("m.db");
        let news = Arc::default();
        Self {
            store: Some(open(&path, &news)),
            path,
            _dir: dir,
            news,
            now: 1_000_000,
            members: Default::default(),
            pushes: Vec::new(),
            terminals: Default::default(),
            resumes: Default::default(),
            orphans: Vec::new(),
            revoked: BTreeSet::new(),
            flows: BTreeMap::new(),
            bindings: BTreeMap::new(),
            seqs: BTreeMap::new(),
            unanswered: Unanswered::default(),
            hangs_up: BTreeSet::new(),
            new_ids: variant.new_ids.then_some(0),
            variant,
            connects: 0,
            closed_on_the_last: false,
            steady: Instant::now(),
            aside: BTreeSet::new(),
            dropped: BTreeSet::new(),
            answered: BTreeSet::new(),
            durable: BTreeSet::new(),
            got: BTreeSet::new(),
        }
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) async fn step(&mut self, op: &Op) {
        self.now += 1;
        match op {
            Op::Join { user, group } => self.join(*user, *group).await,
            Op::Leave { user, group } => self.leave(*user, *group).await,
            Op::Push { to, confirmed, brief } => self.push(to, *confirmed, *brief, None).await,
            Op::Replace { back, pending_only } => self.replace(*back, *pending_only).await,
            Op::Cancel { back, first } => self.cancel(*back, *first).await,
            Op::Publish { lost } => {
                self.publish(*lost).await;
            }
            Op::Fetch { terminal } => self.fetch(*terminal, true).await,
            Op::Connect { terminal } => self.connect(*terminal).await,
            Op::Stay { terminal } => self.stay(*terminal).await,
            Op::Break { terminal } => self.disconnect(*terminal).await,
            Op::Answer { terminal, which, refuse } => self.answer(*terminal, *which, *refuse),
            Op::Message { bad } => self.message(*bad),
            Op::Settle => self.settle().await,
            Op::Pass => {
                self.now += 400;
                self.expire().await;
                self.time_passes().await;
            }
            Op::Forget => {
                while self.store().forget_pushes(self.now).await.unwrap() > 0 {}
                self.store().forget_bindings(0).await.unwrap();
            }
            Op::Crash => self.crash(),
        }
        self.hang_up().await;
    }

    pub(super) async fn join(&mut self, who: usize, number: usize) {
        let bind = Bind {
            user: user(who),
            group: group(number),
            source: Source::Join,
            hand: crate::store::Hand::Terminal,
            create: Some(JoinPolicy::Open),
            limits: Limits::WIDE,
            reply: PendingReply::default(),
            now: self.now,
        };
        let Bound::Member { membership, .. } = self.store().bind(bind).await.unwrap() else { panic!("an open group") };
        self.members[number].insert(who);
        self.flows.insert(number, membership.flow);
        self.bindings.insert((who, number), membership.binding);
        for (number, terminal) in self.terminals.iter_mut().enumerate() {
            if let Some(terminal) = terminal.as_mut().filter(|_| user_of(number) == who) {
                terminal.session.attach(&membership, membership.head);
            }
        }
    }

    async fn leave(&mut self, who: usize, number: usize) {
        self.settle().await;
        self.store().unbind(user(who), group(number), Removal::Leave, self.now).await.unwrap();
        if !self.members[number].remove(&who) {
            return;
        }
        let (flow, binding) = (self.flows[&number], self.bindings[&(who, number)]);
        for (number, terminal) in self.terminals.iter_mut().enumerate() {
            if let Some(terminal) = terminal.as_mut().filter(|_| user_of(number) == who) {
                self.orphans.extend(terminal.session.detach(flow, binding));
            }
        }
        for push in &mut self.pushes {
            push.owed.get_mut(&To::Group(number)).map(|owed| owed.remove(&who));
        }
    }

    pub(super) async fn push(&mut self, to: &[To], confirmed: bool, brief: bool, replace: Option<Replacing>) {
        let number = self.pushes.len();
        let to: Vec<To> = BTreeSet::from_iter(to.iter().copied()).into_iter().collect();
        let deadline = self.now + if brief { 100 } else { 1_000_000 };
        let submission = Submission {
            initiator: "i".into(),
            push_id: number.to_string(),
            digest: Digest { stable: 1, former: 1 },
            duplicates: crate::ids::Duplicates::Reject,
            now: self.now,
            deliver_after: 0,
            deliver_before: deadline,
            delivery: if confirmed { DeliveryMethod::Confirmed } else { DeliveryMethod::Unconfirmed },
            priority: Priority::Medium,
            source: None,
            request: None,
            notify: None,
            content_type: "t".into(),
            headers: vec![],
            body: Bytes::from(number.to_string()),
            addresses: to
                .iter()
                .map(|to| {
                    let meaning = Meaning { target: target(*to), connected: true };
                    Address { raw: format!("{to:?}"), meanings: vec![meaning] }
                })
                .collect(),
            skip_unknown: false,
            limits: PushLimits::WIDE,
            replace: replace.clone(),
        };
        let Submitted::Accepted { .. } = self.store().submit(submission).await.unwrap() else { return };
        self.hear_of_cancellations();
        let mut push = Push {
            to: to.clone(),
            confirmed,
            deadline,
            owed: BTreeMap::new(),
            taken_back: BTreeMap::new(),
            resolved: BTreeMap::new(),
            left_out: BTreeMap::new(),
            expired: false,
        };
        for one in &to {
            let all = match one {
                To::Group(group) => self.members[*group].clone(),
                To::User(user) => BTreeSet::from([*user]),
            };
            push.owed.insert(*one, all);
        }
        for parcel in self.news.lock().unwrap().pushes.iter() {
            self.seqs.insert((parcel.push_id.parse().unwrap(), parcel.target.topic()), parcel.seq);
        }
        self.pushes.push(push);
    }

    pub(super) fn hear_of_cancellations(&mut self) {
        let cancelled = std::mem::take(&mut self.news.lock().unwrap().cancelled);
        self.revoked.extend(cancelled);
    }

    pub(super) async fn publish_all(&mut self) {
        while self.publish(false).await {}
    }

    /// `false`: nothing was under way.
    async fn publish(&mut self, lost: bool) -> bool {
        let Some(parcel) = self.news.lock().unwrap().pushes.pop_front() else { return false };
        let moment = self.moment();
        let withheld = self.revoked.contains(&parcel.id());
        for number in 0..TERMINALS {
            self.meet(number, &parcel).await;
            let Some(terminal) = &mut self.terminals[number] else { continue };
            if lost {
                // Found by comparing the heads, some time later.
                terminal.session.fall_behind(parcel.flow);
                continue;
            }
            let mut frames = Frames::new(&parcel, withheld);
            let offer = terminal.session.offer(&mut frames, &mut terminal.outbox, &terminal.socket, moment);
            assert!(matches!(offer, Offer::Done | Offer::Behind));
            self.receive(number);
        }
        true
    }

    /// A first push to a user whose own flow was made just now.
    async fn meet(&mut self, number: usize, parcel: &Parcel) {
        let who = user(user_of(number));
        if parcel.target != Target::User(who.clone()) {
            return;
        }
        let memberships = self.store().memberships(who).await.unwrap();
        let Some(terminal) = &mut self.terminals[number] else { return };
        for membership in memberships {
            terminal.session.attach(&membership, membership.head);
        }
    }

    async fn expire(&mut self) {
        self.settle().await;
        while self.store().expire(self.now).await.unwrap() > 0 {}
        let now = self.now;
        self.pushes.iter_mut().for_each(|push| push.expired |= push.deadline <= now);
    }

    /// What was in memory is gone.
    fn crash(&mut self) {
        self.terminals = Default::default();
        self.resumes = Default::default();
        self.unanswered = Unanswered::default();
        self.hangs_up.clear();
        self.orphans.clear();
        self.answered.clear();
        self.revoked.clear();
        if let Some(store) = self.store.take() {
            store.close();
        }
        *self.news.lock().unwrap() = News::default();
        self.store = Some(open(&self.path, &self.news));
    }
}
