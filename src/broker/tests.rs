//! How rumqttd's links have to be handled: one test for each fact that this folder relies on.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::worker_link::FeedMessages;
use super::*;
use crate::ids::{GroupId, UserId};
use crate::parcel::Seq;

const DEADLINE: Duration = Duration::from_secs(20);

fn broker(segment_size: usize, max_topics: usize) -> (Broker, Watchdog) {
    Broker::start(
        Settings { max_topics, segment_size, segment_count: 2, feeds: 2 },
        &crate::supervision::Health::default(),
    )
    .unwrap()
}

fn parcel(group: &str, seq: i64, size: usize) -> Arc<Parcel> {
    Arc::new(Parcel {
        seq: Seq(seq),
        flow: 1,
        target: Target::Group(GroupId::parse(group).unwrap()),
        push: seq,
        siblings: crate::parcel::Siblings::None,
        confirmed: true,
        since: 0,
        deadline: i64::MAX,
        welcome: None,
        push_id: format!("p{seq}"),
        address: "a".into(),
        content_type: "text/plain".into(),
        headers: vec![],
        body: Bytes::from(vec![b'x'; size]),
    })
}

fn channel(group: &str) -> Channel {
    Channel::Group(GroupTopic::from(&GroupId::parse(group).unwrap()))
}

async fn next_push(messages: &mut FeedMessages) -> Arc<Parcel> {
    match timeout(DEADLINE, messages.next()).await.expect("a message in time").unwrap() {
        Delivery::Push { parcel, .. } => parcel,
        other => panic!("a push, not {other:?}"),
    }
}

#[tokio::test]
async fn one_publish_reaches_every_feed_that_wants_the_group_and_no_other() {
    let (broker, _watchdog) = broker(65_536, 100);
    let (mut wants, mut messages) = broker.feed(0).unwrap().split();
    let (mut other_wants, mut other_messages) = broker.feed(1).unwrap().split();
    wants.add(&channel("news"));
    other_wants.add(&channel("news"));
    other_wants.add(&channel("é/x"));
    broker.publisher().push(parcel("é/x", 1, 10), None);
    broker.publisher().push(parcel("news", 2, 10), None);
    assert_eq!(next_push(&mut messages).await.seq, Seq(2));
    let mut both = [next_push(&mut other_messages).await.seq.0, next_push(&mut other_messages).await.seq.0];
    both.sort_unstable();
    assert_eq!(both, [1, 2], "between two topics there is no order");
}

#[tokio::test]
async fn wanting_a_group_twice_does_not_double_its_messages() {
    let (broker, _watchdog) = broker(65_536, 100);
    let (mut wants, mut messages) = broker.feed(0).unwrap().split();
    wants.add(&channel("news"));
    wants.add(&channel("news"));
    wants.remove(&channel("news"), &channel("news"));
    for seq in 1..=3 {
        broker.publisher().push(parcel("news", seq, 10), None);
    }
    for seq in 1..=3 {
        assert_eq!(next_push(&mut messages).await.seq, Seq(seq));
    }
}

#[tokio::test]
async fn what_nobody_wants_any_more_is_not_published_and_wanting_again_begins_anew() {
    let (broker, _watchdog) = broker(65_536, 100);
    let (mut wants, mut messages) = broker.feed(0).unwrap().split();
    wants.add(&channel("news"));
    wants.add(&Channel::Direct);
    wants.remove(&channel("news"), &channel("news"));
    broker.publisher().push(parcel("news", 1, 10), None);
    let direct = Parcel { target: Target::User(UserId::parse("a").unwrap()), ..(*parcel("x", 2, 1)).clone() };
    broker.publisher().push(Arc::new(direct), None);
    assert_eq!(next_push(&mut messages).await.seq, Seq(2));
    wants.add(&channel("news"));
    broker.publisher().push(parcel("news", 3, 10), None);
    assert_eq!(next_push(&mut messages).await.seq, Seq(3));
}

#[tokio::test]
async fn a_feed_that_slept_while_segments_rotated_sees_the_hole_and_the_newest() {
    let (broker, _watchdog) = broker(16_384, 100);
    let (mut wants, mut messages) = broker.feed(0).unwrap().split();
    wants.add(&channel("news"));
    let last = 2_000;
    for seq in 1..=last {
        while broker.publisher().bytes_waiting() > 100_000 {
            tokio::task::yield_now().await;
        }
        broker.publisher().push(parcel("news", seq, 500), None);
    }
    let (mut seen, mut holes) = (0, 0);
    while seen < last {
        let Seq(next) = next_push(&mut messages).await.seq;
        assert!(next > seen, "in order");
        holes += usize::from(next != seen + 1);
        seen = next;
    }
    assert!(holes > 0, "2,000 messages of 500 bytes do not fit into two segments of 16 KiB");
}

#[tokio::test]
async fn a_paused_link_goes_on_after_two_hundred_messages() {
    let (broker, _watchdog) = broker(1 << 20, 100);
    let (mut wants, mut messages) = broker.feed(0).unwrap().split();
    wants.add(&channel("news"));
    for seq in 1..=1_000 {
        broker.publisher().push(parcel("news", seq, 10), None);
    }
    for seq in 1..=1_000 {
        assert_eq!(next_push(&mut messages).await.seq, Seq(seq));
    }
}

#[tokio::test]
async fn groups_beyond_the_topics_that_the_router_may_know_share_some_and_count_together() {
    let (broker, _watchdog) = broker(65_536, 2);
    let (mut wants, mut messages) = broker.feed(0).unwrap().split();
    for name in ["a", "b"] {
        assert_eq!(wants.add(&channel(name)), channel(name));
    }
    let groups: Vec<String> = (0..500).map(|n| format!("g{n}")).collect();
    for name in &groups {
        let at = wants.add(&channel(name));
        assert!(matches!(at, Channel::Shared(_)), "{at:?}");
    }
    let publisher = broker.publisher();
    for (seq, name) in (1..).zip(&groups) {
        let parcel = parcel(name, seq, 10);
        let place = publisher.place(&parcel.target);
        assert!(place.is_some());
        publisher.push(parcel, place);
    }
    let mut newest: std::collections::HashMap<u32, u64> = std::collections::HashMap::new();
    let mut came = std::collections::HashSet::new();
    while came.len() < groups.len() {
        let delivery = timeout(DEADLINE, messages.next()).await.expect("a message in time").unwrap();
        let Delivery::Push { parcel, place: Some(place) } = delivery else { panic!("{delivery:?}") };
        let before = newest.insert(place.channel, place.number).unwrap_or(0);
        assert_eq!(place.number, before + 1, "in order on its channel, without a hole");
        assert!(came.insert(parcel.target.id().to_owned()));
    }
    assert!(newest.len() > 30, "they are spread: {}", newest.len());
}

#[tokio::test]
async fn watchers_get_a_copy_of_every_push_on_a_channel_of_their_own() {
    let (broker, _watchdog) = broker(65_536, 100);
    let (mut wants, mut messages) = broker.feed(0).unwrap().split();
    wants.add(&Channel::Watch);
    broker.publisher().push(parcel("unwanted", 1, 10), None);
    match timeout(DEADLINE, messages.next()).await.unwrap().unwrap() {
        Delivery::Watched(parcel) => assert_eq!(parcel.seq, Seq(1)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_watchdog_notices_that_the_router_died() {
    let (broker, watchdog) = broker(65_536, 100);
    broker.router.kill();
    let error = timeout(DEADLINE, watchdog.died()).await.expect("noticed in time");
    assert!(error.to_string().starts_with("the embedded broker has stopped: its thread has ended"), "{error}");
    // Publishing into the void neither blocks nor panics.
    broker.publisher().push(parcel("news", 1, 1), None);
}
