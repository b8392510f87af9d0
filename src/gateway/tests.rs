//! The gateway with a real store and terminals that do as the test tells it.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::caller::Caller;
use crate::clock;
use crate::feed::Entry;
use crate::ids::{Duplicates, GroupId, Target, UserId};
use crate::parcel::{BindingId, DispatchId};
use crate::store::{
    Address, Bound, CursorMove, Decided, DeliveryMethod, Digest, Error, Event, Meaning, PendingReply, Priority,
    PushLimits, Removal, Source, State, Submission, Submitted,
};

/// Nothing that works takes as long.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Stub {
    here: Mutex<HashSet<UserId>>,
    /// What users were told.
    told: Mutex<Vec<(UserId, serde_json::Value)>>,
    settled: AtomicUsize,
}

fn ready<'a, T: Send + 'a>(value: T) -> Later<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Terminals for Stub {
    fn connections(&self, _: &UserId) -> Vec<Connection> {
        Vec::new()
    }
    fn is_here(&self, user: &UserId) -> bool {
        self.here.lock().unwrap().contains(user)
    }
    fn look(&self, _: Vec<(UserId, DispatchId)>) -> Later<'_, HashMap<(UserId, DispatchId), InSight>> {
        ready(HashMap::new())
    }
    fn count(&self) -> usize {
        self.here.lock().unwrap().len()
    }
    fn unanswered(&self, _: Vec<UserId>) -> Later<'_, HashMap<UserId, crate::clock::Millis>> {
        Box::pin(std::future::ready(HashMap::new()))
    }
    fn is_connected(&self, _: &str) -> bool {
        false
    }
    fn settle<'a>(&'a self, _: &'a UserId) -> Later<'a, ()> {
        ready(())
    }
    fn answer<'a>(&'a self, user: &'a UserId, _: PendingReply, payload: Vec<u8>) -> Later<'a, ()> {
        self.told.lock().unwrap().push((user.clone(), serde_json::from_slice(&payload).unwrap()));
        ready(())
    }
    fn interrupted(&self, _: &[DispatchId]) -> Vec<(BindingId, DispatchId)> {
        Vec::new()
    }
    fn forget_session(&self, _: &str) {}
    fn sign_out(&self, _: crate::caller::Login) -> Later<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    fn disconnect(&self, _: UserId, _: Option<String>) -> Later<'_, usize> {
        ready(0)
    }
    fn settle_all(&self) -> Later<'_, ()> {
        self.settled.fetch_add(1, Ordering::Relaxed);
        ready(())
    }
}

struct World {
    gateway: Arc<Gateway>,
    terminals: Arc<Stub>,
    /// Users whose bindings were closed.
    left: Arc<Mutex<Vec<UserId>>>,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let config = crate::config::load(None, [], &[]).unwrap();
    let feed = Feed::default();
    let heard = feed.clone();
    let left: Arc<Mutex<Vec<UserId>>> = Arc::default();
    let noted = Arc::clone(&left);
    let observer = move |events: Vec<Event>| {
        for event in events {
            if let Event::Left { user, flow, binding, .. } = event {
                noted.lock().unwrap().push(user.clone());
                heard.append([Entry::Left { user, flow, binding }]);
            }
        }
    };
    let store =
        Store::open(&dir.path().join("g.db"), 1, &crate::supervision::Health::default(), observer, Default::default())
            .unwrap();
    let credentials = crate::credentials::Credentials::open(&store).await.unwrap();
    let gateway = Arc::new(Gateway::new(store, feed, credentials, Arc::default(), &config).unwrap());
    let terminals = Arc::new(Stub::default());
    gateway.set_terminals(Arc::clone(&terminals) as Arc<dyn Terminals>);
    World { gateway, terminals, left, _dir: dir }
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn group(name: &str) -> GroupId {
    GroupId::parse(name).unwrap()
}

impl World {
    async fn join(&self, who: &str, to: &str) {
        let bound = self.gateway.bind(user(who), group(to), Source::Join, PendingReply::default()).await.unwrap();
        assert!(matches!(bound, Bound::Member { fresh: true, .. }), "{bound:?}");
    }

    /// A session that has been away too long from the next millisecond on.
    async fn expired_session(&self, client: &str, who: &str, subscribed: &str) {
        let outcome = subscribe_group(&self.gateway, client, &user(who), group(subscribed), 1).await;
        assert_eq!(outcome, SubscribeOutcome::Granted);
        self.gateway.store().session_away(client.into(), 1, clock::now() - 10).await.unwrap();
    }

    async fn push(&self, id: &str, to: &str, after: i64, before: i64) {
        let target = Target::Group(group(to));
        let submission = Submission {
            skip_unknown: false,
            initiator: "i".into(),
            push_id: id.into(),
            digest: Digest { stable: 1, former: 1 },
            duplicates: Duplicates::Reject,
            now: clock::now(),
            deliver_after: after,
            deliver_before: before,
            delivery: DeliveryMethod::Confirmed,
            priority: Priority::Medium,
            source: None,
            request: None,
            notify: None,
            content_type: "text/plain".into(),
            headers: vec![],
            body: "x".into(),
            addresses: vec![Address { raw: to.into(), meanings: vec![Meaning { target, connected: false }] }],
            limits: PushLimits::WIDE,
            replace: None,
        };
        let submitted = self.gateway.store().submit(submission).await.unwrap();
        assert!(matches!(submitted, Submitted::Accepted { .. }), "{submitted:?}");
    }

    async fn state(&self, id: &str) -> State {
        self.gateway.store().push("i".into(), id.into()).await.unwrap().unwrap().addresses[0].state
    }

    async fn wait_state(&self, id: &str, state: State) {
        let wait = async {
            while self.state(id).await != state {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("{id} never came to be {state:?}"));
    }

    async fn members(&self, of: &str) -> Option<u64> {
        self.gateway.store().group(group(of)).await.unwrap().map(|view| view.members)
    }

    /// Runs `work` while somebody else changes alice's groups: it has to wait for that, however often the store answers.
    async fn waits_its_turn<T: std::fmt::Debug>(&self, what: &str, work: impl Future<Output = T>) {
        let mut work = std::pin::pin!(work);
        let others = async {
            for n in 0..30 {
                self.gateway.put_group(&Caller::Stranger, group(&format!("other{n}")), None, None).await.unwrap();
            }
        };
        let turn = async {
            tokio::select! {
                biased;
                done = &mut work => panic!("{what} did not wait: {done:?}"),
                () = others => {}
            }
        };
        self.gateway.while_still(&user("alice"), turn).await;
        work.await;
    }
}

async fn subscribe_group(gateway: &Gateway, client: &str, user: &UserId, group: GroupId, qos: u8) -> SubscribeOutcome {
    let wish = Subscribing { filter: group.topic(), options: qos, group: Some(group) };
    gateway.subscribe(client, user, vec![wish]).await.remove(0)
}

#[tokio::test]
async fn a_wave_of_sessions_that_ended_stopped_the_clock_of_pushes() {
    let world = world().await;
    world.join("bob", "news").await;
    world.expired_session("a", "alice", "other").await;
    // A worker that does not read.
    let _stuck = world.gateway.feed().reader();
    let stop = CancellationToken::new();
    let (house, clock) = (Arc::clone(&world.gateway), Arc::clone(&world.gateway));
    let (house_stop, clock_stop) = (stop.clone(), stop.clone());
    let house = tokio::spawn(async move { house.keep_house(house_stop).await });
    let clock = tokio::spawn(async move { clock.keep_time(clock_stop).await });
    // The session is over, and the house waits for its terminal ever since.
    tokio::time::timeout(DEADLINE, async {
        while world.members("other").await != Some(0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    let now = clock::now();
    world.push("later", "news", now + 100, now + 1_000_000).await;
    world.push("brief", "news", 0, now + 100).await;
    world.wait_state("later", State::Pending).await;
    world.wait_state("brief", State::Expired).await;
    stop.cancel();
    house.await.unwrap();
    clock.await.unwrap();
}

#[tokio::test]
async fn sessions_ended_one_by_one_each_with_a_commit_of_its_own() {
    let world = world().await;
    for n in 0..600 {
        world.expired_session(&format!("c{n}"), &format!("u{n}"), "news").await;
    }
    // One of them holds a binding of somebody else as well.
    subscribe_group(&world.gateway, "c7", &user("guest"), group("news"), 1).await;
    subscribe_group(&world.gateway, "c7", &user("u7"), group("more"), 1).await;
    world.push("p", "news", 0, clock::now() + 1_000_000).await;
    world.gateway.end_sessions().await.unwrap();
    assert_eq!((world.members("news").await, world.members("more").await), (Some(0), Some(0)));
    assert_eq!(world.state("p").await, State::Undeliverable);
    let rounds = world.terminals.settled.load(Ordering::Relaxed);
    assert!(rounds <= 3, "{rounds} transactions for 600 sessions");
    assert!(world.left.lock().unwrap().contains(&user("guest")), "whose binding it was");
}

#[tokio::test]
async fn ends_that_could_not_be_stored_were_stored_one_by_one() {
    let world = world().await;
    for n in 0..600 {
        let (client, who) = (format!("c{n}"), user(&format!("u{n}")));
        subscribe_group(&world.gateway, &client, &who, group("news"), 1).await;
        world.gateway.unstored.note(&client, &who, 0);
    }
    world.gateway.end_sessions().await.unwrap();
    assert_eq!(world.members("news").await, Some(0));
    assert!(world.gateway.unstored.all().is_empty());
    let rounds = world.terminals.settled.load(Ordering::Relaxed);
    assert!(rounds <= 3, "{rounds} transactions for 600 sessions");
}

#[tokio::test]
async fn rule_14_whoever_changes_the_groups_of_a_user_waits_for_its_turn() {
    let world = world().await;
    let (gateway, alice) = (&world.gateway, user("alice"));
    for joined in ["leaves", "deleted"] {
        world.join("alice", joined).await;
    }
    for subscribed in ["unsubscribed", "ended"] {
        subscribe_group(gateway, subscribed, &alice, group(subscribed), 1).await;
    }
    // A session of another user that holds a binding of hers.
    subscribe_group(gateway, "guest", &user("bob"), group("his"), 1).await;
    subscribe_group(gateway, "guest", &alice, group("hers"), 1).await;
    world.expired_session("expires", "alice", "expired").await;
    gateway.put_group(&Caller::Stranger, group("vip"), Some(JoinPolicy::Approval), None).await.unwrap();
    let asked = gateway.bind(alice.clone(), group("vip"), Source::Join, PendingReply::default()).await.unwrap();
    assert!(matches!(asked, Bound::Pending), "{asked:?}");

    let bind = gateway.bind(alice.clone(), group("joined"), Source::Join, PendingReply::default());
    world.waits_its_turn("a join", bind).await;
    world.waits_its_turn("a leave", gateway.unbind(&alice, group("leaves"), Removal::Leave)).await;
    world.waits_its_turn("a SUBSCRIBE", subscribe_group(gateway, "s", &alice, group("subscribed"), 1)).await;
    let filter = group("unsubscribed").topic();
    world.waits_its_turn("an UNSUBSCRIBE", gateway.unsubscribe_group("unsubscribed", &alice, &filter)).await;
    world.waits_its_turn("a decision", gateway.decide(&Caller::Stranger, group("vip"), &alice, true)).await;
    world.waits_its_turn("the end of a session", gateway.end_session("ended", &alice)).await;
    world.waits_its_turn("the end of another's session", gateway.end_session("guest", &user("bob"))).await;
    world.waits_its_turn("the end of what is over", gateway.end_sessions()).await;
    world.waits_its_turn("a deletion", gateway.delete_group(&Caller::Stranger, &group("deleted"))).await;

    let mut left: Vec<String> = Vec::new();
    for name in ["joined", "leaves", "subscribed", "unsubscribed", "vip", "ended", "hers", "expired", "deleted"] {
        if world.members(name).await == Some(1) {
            left.push(name.into());
        }
    }
    assert_eq!(left, ["joined", "subscribed", "vip"], "all of it was done in the end");
}

#[tokio::test]
async fn the_deletion_of_a_large_group_was_a_commit_for_each_member_and_was_not_resumed() {
    let world = world().await;
    for n in 0..1_100 {
        world.join(&format!("u{n}"), "big").await;
    }
    world.push("open", "big", 0, clock::now() + 1_000_000).await;
    world.push("later", "big", clock::now() + 900_000, clock::now() + 1_000_000).await;
    // As far as it had come when the process ended.
    let flow = world.gateway.store().delete_group(group("big"), clock::now()).await.unwrap().unwrap();
    assert_eq!(world.members("big").await, None, "it is gone at once");
    assert!(world.gateway.store().memberships(user("u7")).await.unwrap().iter().all(|known| known.flow != flow));
    // Who joins meanwhile is in another group of that name.
    world.join("u7", "big").await;
    world.gateway.go_on_deleting().await.unwrap();
    assert_eq!((world.state("open").await, world.state("later").await), (State::Undeliverable, State::Undeliverable));
    let rounds = world.terminals.settled.load(Ordering::Relaxed);
    assert!(rounds <= 2, "{rounds} transactions for 1,100 members");
    assert_eq!(world.left.lock().unwrap().len(), 1_100);
    assert_eq!(world.members("big").await, Some(1));
    assert!(world.gateway.store().deleted_groups().await.unwrap().is_empty());
    let gone = world.gateway.store().push("i".into(), "open".into()).await.unwrap().unwrap().addresses[0].gone;
    assert_eq!(gone, 1_100);
    // And all of it at once.
    assert_eq!(
        world.gateway.delete_group(&Caller::Stranger, &group("big")).await.unwrap().map(|removed| removed.unbound),
        Some(1)
    );
    assert!(world.gateway.delete_group(&Caller::Stranger, &group("big")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_decision_reached_only_who_was_there_to_hear_it() {
    let world = world().await;
    let (gateway, alice) = (&world.gateway, user("alice"));
    for name in ["vip", "club", "gone"] {
        gateway.put_group(&Caller::Stranger, group(name), Some(JoinPolicy::Approval), None).await.unwrap();
        let reply = PendingReply { request_id: Some(name.into()), ..PendingReply::default() };
        gateway.bind(alice.clone(), group(name), Source::Join, reply).await.unwrap();
    }
    assert!(matches!(
        gateway.decide(&Caller::Stranger, group("vip"), &alice, true).await.unwrap(),
        Decided::Approved(_)
    ));
    assert!(matches!(
        gateway.decide(&Caller::Stranger, group("club"), &alice, false).await.unwrap(),
        Decided::Rejected
    ));
    gateway.delete_group(&Caller::Stranger, &group("gone")).await.unwrap();
    assert!(world.terminals.told.lock().unwrap().is_empty(), "nobody is there");
    world.terminals.here.lock().unwrap().insert(alice.clone());
    for _ in 0..2 {
        gateway.while_still(&alice, gateway.send_answers(&alice)).await;
    }
    let told: Vec<(String, String, String)> = {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let told = world.terminals.told.lock().unwrap();
        told.iter().map(|(_, answer)| (text(&answer["id"]), text(&answer["status"]), text(&answer["reason"]))).collect()
    };
    let expected =
        [("vip", "accepted", ""), ("club", "rejected", "not-authorized"), ("gone", "rejected", "group-unknown")];
    assert_eq!(told, expected.map(|(id, status, reason)| (id.into(), status.into(), reason.into())));
}

#[tokio::test]
async fn answers_that_nobody_fetched_piled_up() {
    let world = world().await;
    let (gateway, alice) = (&world.gateway, user("alice"));
    for n in 0..120 {
        let name = format!("vip{n}");
        gateway.put_group(&Caller::Stranger, group(&name), Some(JoinPolicy::Approval), None).await.unwrap();
        gateway.bind(alice.clone(), group(&name), Source::Join, PendingReply::default()).await.unwrap();
        gateway.decide(&Caller::Stranger, group(&name), &alice, false).await.unwrap();
    }
    let waiting = gateway.store().answers(alice.clone()).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].group.as_str()), (100, "vip20"), "the newest hundred");
    assert_eq!(gateway.store().forget_answers(clock::now() + 1).await.unwrap(), 100);
    assert!(gateway.store().answers(alice).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_session_that_cannot_be_ended_kept_all_others() {
    let world = world().await;
    for name in ["a", "b", "c"] {
        world.expired_session(name, name, "news").await;
    }
    // Somebody has made the end of one of them impossible.
    let spoil =
        "CREATE TRIGGER spoil BEFORE DELETE ON sessions WHEN OLD.client = 'b' BEGIN SELECT RAISE(ABORT, 'no'); END";
    world.gateway.store().run_for_tests(spoil).await.unwrap();
    let ended: Result<(), Error> = world.gateway.end_sessions().await;
    assert_eq!(world.members("news").await, Some(1), "{ended:?}");
}

#[tokio::test]
async fn one_row_that_cannot_be_written_kept_all_acknowledgements_of_a_worker() {
    let world = world().await;
    let mut moves = Vec::new();
    for n in 0..40 {
        let who = format!("u{n}");
        world.join(&who, "news").await;
    }
    world.push("p", "news", 0, clock::now() + 60_000).await;
    for n in 0..40 {
        let memberships = world.gateway.store().memberships(user(&format!("u{n}"))).await.unwrap();
        let news = memberships.iter().find(|one| matches!(one.target, Target::Group(_))).unwrap();
        moves.push(CursorMove { binding: news.binding, from: news.joined, upto: news.head, exceptions: Vec::new() });
    }
    let guilty = moves[17].clone();
    let spoil: &'static str = Box::leak(
        format!(
            "CREATE TRIGGER spoil BEFORE UPDATE OF acked_seq ON bindings WHEN OLD.id = {} BEGIN SELECT RAISE(ABORT, 'no'); END",
            guilty.binding
        )
        .into_boxed_str(),
    );
    world.gateway.store().run_for_tests(spoil).await.unwrap();
    let unwritten = world.gateway.acknowledge(moves.clone()).await;
    assert_eq!(unwritten.guilty, std::slice::from_ref(&guilty));
    assert!(unwritten.later.is_empty() && unwritten.error.is_some(), "{unwritten:?}");
    let delivered =
        async || world.gateway.store().push("i".into(), "p".into()).await.unwrap().unwrap().addresses[0].delivered;
    assert_eq!(delivered().await, 39);
    world.gateway.store().run_for_tests("DROP TRIGGER spoil").await.unwrap();
    assert!(world.gateway.acknowledge(moves).await.error.is_none());
    assert_eq!(delivered().await, 40, "nobody is counted twice");
}
