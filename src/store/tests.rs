//! The store where it cannot be seen from outside: a disk that is full, and commits that are shared.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::*;
use crate::ids::{GroupId, Target, UserId};
use crate::parcel::{Membership, Seq};

struct Open {
    store: Store,
    dispatched: Arc<Mutex<Vec<Seq>>>,
    /// The bodies of what was dispatched.
    bodies: Arc<Mutex<Vec<Bytes>>>,
    _dir: tempfile::TempDir,
}

async fn open() -> Open {
    let dir = tempfile::tempdir().unwrap();
    let dispatched = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&dispatched);
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let observer = move |events| {
        for event in events {
            let Event::Dispatched(parcel) = event else { continue };
            heard.lock().unwrap().push(parcel.seq);
            seen.lock().unwrap().push(parcel.body.clone());
        }
    };
    let store =
        Store::open(&dir.path().join("t.db"), 1, &crate::supervision::Health::default(), observer, Default::default())
            .unwrap();
    let bind = Bind {
        user: UserId::parse("alice").unwrap(),
        group: GroupId::parse("news").unwrap(),
        source: Source::Join,
        hand: Hand::Terminal,
        create: Some(crate::ids::JoinPolicy::Open),
        limits: Limits::WIDE,
        reply: PendingReply::default(),
        now: 1,
    };
    assert!(matches!(store.bind(bind).await.unwrap(), Bound::Member { fresh: true, .. }));
    Open { store, dispatched, bodies, _dir: dir }
}

fn address(raw: &str, target: Target) -> Address {
    Address { raw: raw.into(), meanings: vec![Meaning { target, connected: true }] }
}

pub(super) fn push(id: &str, size: usize) -> Submission {
    Submission {
        initiator: "i".into(),
        push_id: id.into(),
        digest: Digest { stable: 7, former: 8 },
        duplicates: crate::ids::Duplicates::Reject,
        now: 10,
        deliver_after: 0,
        deliver_before: 1_000,
        delivery: DeliveryMethod::Confirmed,
        priority: Priority::Medium,
        source: None,
        request: None,
        notify: None,
        content_type: "text/plain".into(),
        headers: vec![],
        body: Bytes::from(vec![b'x'; size]),
        addresses: vec![address("group:news", Target::Group(GroupId::parse("news").unwrap()))],
        skip_unknown: false,
        limits: PushLimits::WIDE,
        replace: None,
    }
}

/// Allows the file so many pages more than it has.
async fn allow(store: &Store, pages: i64) {
    store
        .write(move |tx| {
            let count: i64 = tx.sql.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            tx.sql.query_row(&format!("PRAGMA max_page_count = {}", count + pages), [], |_| Ok(()))?;
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_loses_none_and_goes_on_by_itself() {
    let open = open().await;
    assert_eq!(open.store.submit(push("before", 100)).await.unwrap(), Submitted::Accepted { unknown: vec![] });
    allow(&open.store, 2).await;
    let refused = open.store.submit(push("large", 1_000_000)).await;
    assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
    // Requests that share a commit with one that finds the disk full are refused too, and nothing of them is heard.
    let (a, b, c) = tokio::join!(
        open.store.submit(push("a", 10)),
        open.store.submit(push("b", 1_000_000)),
        open.store.submit(push("c", 10))
    );
    assert!(matches!(b, Err(Error::Full)));
    let accepted: Vec<&str> =
        [("a", &a), ("c", &c)].iter().filter(|(_, result)| result.is_ok()).map(|(id, _)| *id).collect();
    allow(&open.store, 100_000).await;
    assert_eq!(open.store.submit(push("after", 1_000_000)).await.unwrap(), Submitted::Accepted { unknown: vec![] });
    let mut known: Vec<&str> = vec!["before", "after"];
    known.extend(&accepted);
    for id in ["before", "large", "a", "b", "c", "after"] {
        let there = open.store.push("i".into(), id.into()).await.unwrap().is_some();
        assert_eq!(there, known.contains(&id), "{id}");
    }
    let seqs = open.dispatched.lock().unwrap().clone();
    assert_eq!(seqs.len(), known.len());
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
}

#[tokio::test]
async fn a_cursor_is_counted_once_however_often_it_is_told() {
    let open = open().await;
    for id in ["p1", "p2"] {
        open.store.submit(push(id, 10)).await.unwrap();
    }
    let binding = open.store.memberships(UserId::parse("alice").unwrap()).await.unwrap();
    let binding = binding.iter().find(|known| matches!(known.target, Target::Group(_))).unwrap().clone();
    let first = binding.joined.next();
    let told = |upto, exceptions| CursorMove { binding: binding.binding, from: binding.joined, upto, exceptions };
    let got = Exception { seq: first.next(), kind: ExceptionKind::Got };
    for moves in [
        vec![told(first.before(), vec![got])],
        vec![told(first.before(), vec![got]), told(first, vec![])],
        vec![told(first.next(), vec![])],
    ] {
        open.store.settle(moves, 20).await.unwrap();
    }
    for id in ["p1", "p2"] {
        let view = open.store.push("i".into(), id.into()).await.unwrap().unwrap();
        assert_eq!((view.addresses[0].delivered, view.addresses[0].state), (1, State::Delivered), "{id}");
    }
}

#[tokio::test]
async fn rule_12_the_store_knows_what_a_user_got_by_another_address() {
    let open = open().await;
    let bind = |group: &str| Bind {
        user: UserId::parse("alice").unwrap(),
        group: GroupId::parse(group).unwrap(),
        source: Source::Join,
        hand: Hand::Terminal,
        create: Some(crate::ids::JoinPolicy::Open),
        limits: Limits::WIDE,
        reply: PendingReply::default(),
        now: 1,
    };
    open.store.bind(bind("other")).await.unwrap();
    let mut both = push("p1", 10);
    let other = Target::Group(GroupId::parse("other").unwrap());
    both.addresses.push(address("group:other", other.clone()));
    open.store.submit(both).await.unwrap();
    let memberships = open.store.memberships(UserId::parse("alice").unwrap()).await.unwrap();
    let of = |target: &Target| memberships.iter().find(|known| known.target == *target).unwrap().clone();
    let (news, other) = (of(&Target::Group(GroupId::parse("news").unwrap())), of(&other));
    let fetch = Fetch { binding: other.binding, after: other.acked, limit: 9, max_bytes: 9_999, now: 20 };
    let owed = open.store.fetch(fetch).await.unwrap().unwrap();
    assert_eq!((owed.parcels.len(), owed.parcels[0].settled), (1, None));
    let got = CursorMove { binding: news.binding, from: news.joined, upto: news.head, exceptions: vec![] };
    open.store.settle(vec![got], 20).await.unwrap();
    let owed = open.store.fetch(fetch).await.unwrap().unwrap();
    assert_eq!(owed.parcels[0].settled, Some(Settled::Got));
}

#[tokio::test]
async fn what_was_stepped_over_again_after_a_crash_was_listed_as_delivered() {
    let open = open().await;
    for id in ["p1", "p2", "p3"] {
        open.store.submit(push(id, 10)).await.unwrap();
    }
    let binding = open.store.memberships(UserId::parse("alice").unwrap()).await.unwrap();
    let binding = binding.iter().find(|known| matches!(known.target, Target::Group(_))).unwrap().clone();
    let first = binding.joined.next();
    let stepped = |upto| Exception { seq: first.next(), kind: ExceptionKind::Skipped { upto } };
    let told = |upto, exceptions| vec![CursorMove { binding: binding.binding, from: binding.joined, upto, exceptions }];
    // p2 is cancelled and stepped over while p1 is unanswered; a crash; p3 is cancelled too, and both are stepped over.
    open.store.cancel("i".into(), "p2".into(), vec![], 20).await.unwrap();
    open.store.settle(told(first.before(), vec![stepped(first.next())]), 21).await.unwrap();
    open.store.cancel("i".into(), "p3".into(), vec![], 22).await.unwrap();
    open.store.settle(told(first.next().next(), vec![stepped(first.next().next())]), 23).await.unwrap();
    for (id, state) in [("p1", State::Delivered), ("p2", State::Cancelled), ("p3", State::Cancelled)] {
        let page = open
            .store
            .recipients("i".into(), id.into(), Wanted::All, (0, 0), 10, crate::store::Detail::Full)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(page.recipients[0].state, state, "{id}");
    }
}

#[tokio::test]
async fn a_checked_request_that_fails_all_the_same_takes_its_batch_with_it() {
    let open = open().await;
    let failing = open.store.write_checked(|tx| {
        tx.sql.execute("UPDATE flows SET policy = 2", [])?;
        Err::<(), _>(Error::Unreadable("something".into()))
    });
    let answer = failing.await;
    assert!(matches!(&answer, Err(Error::Unreadable(what)) if what == "something"), "{answer:?}");
    let news = open.store.group(GroupId::parse("news").unwrap()).await.unwrap().unwrap();
    assert_eq!(news.policy, crate::ids::JoinPolicy::Open, "nothing of it was committed");
    assert_eq!(open.store.submit(push("after", 10)).await.unwrap(), Submitted::Accepted { unknown: vec![] });
}

#[tokio::test]
async fn a_replacement_that_came_upon_what_is_not_held_back_was_half_done() {
    let open = open().await;
    let two = |id: &str, replace| {
        let mut push = push(id, 10);
        push.addresses.push(address("user:alice", Target::User(UserId::parse("alice").unwrap())));
        Submission { replace, ..push }
    };
    open.store.submit(two("old", None)).await.unwrap();
    let pending = open.store.to_be_held_back("i".into(), "old".into(), true).await.unwrap();
    assert_eq!(pending.len(), 2);
    let replacing =
        |held_back| Some(Replacing { push_id: "old".into(), pending_only: true, held_back, holders: vec![] });
    let answer = open.store.submit(two("new", replacing(vec![pending[0]]))).await.unwrap();
    assert_eq!(answer, Submitted::NotHeldBack);
    assert_eq!(
        open.store.to_be_held_back("i".into(), "old".into(), true).await.unwrap(),
        pending,
        "nothing was taken back"
    );
    assert!(matches!(open.store.submit(two("new", replacing(pending))).await.unwrap(), Submitted::Accepted { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_that_come_faster_than_the_disk_takes_them_filled_the_memory() {
    let open = open().await;
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (began, beginning) = tokio::sync::oneshot::channel();
    let store = open.store.clone();
    let slow = tokio::spawn(async move {
        store
            .write(move |_| {
                let _ = began.send(());
                let _ = gate.recv();
                Ok(())
            })
            .await
    });
    beginning.await.unwrap();
    let size = 4 << 20;
    let waiting: Vec<_> = (0..admission::WAITING / size - 1)
        .map(|n| {
            let store = open.store.clone();
            tokio::spawn(async move { store.submit(push(&format!("p{n}"), size)).await })
        })
        .collect();
    // Each of these is either refused or waits; with those above, there is no room for all.
    let refused = loop {
        let more =
            tokio::time::timeout(std::time::Duration::from_millis(50), open.store.submit(push("more", size))).await;
        if let Ok(answer) = more {
            break answer;
        }
    };
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    go.send(()).unwrap();
    slow.await.unwrap().unwrap();
    for push in waiting {
        assert!(matches!(push.await.unwrap(), Ok(Submitted::Accepted { .. }) | Err(Error::Busy)));
    }
    assert!(matches!(open.store.submit(push("after", size)).await, Ok(Submitted::Accepted { .. })));
}

/// The steps of SQLite's machine that a statement has taken on this connection: work, whatever the time.
fn steps(sql: &rusqlite::Connection, text: &str) -> i32 {
    sql.prepare_cached(text).unwrap().get_status(rusqlite::StatementStatus::VmStep)
}

/// Dispatches to the group that were over before they reached anybody; answers alice's membership.
async fn expired(open: &Open, count: i64) -> Membership {
    open.store.submit(push("first", 10)).await.unwrap();
    let text = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
            INSERT INTO dispatches (push, position, address, flow, seq, priority, shared, due, deadline, state,
                code, recipients, event_at)
            SELECT push, i, address, flow, seq + i, 1, 0, 0, 5, 4, 4500, 1, 6 FROM dispatches, n;
         UPDATE dispatches SET state = 4, deadline = 5 WHERE position = 0;
         UPDATE flows SET last_seq = last_seq + {count} WHERE kind = 0;"
    );
    open.store.write(move |tx| Ok(tx.sql.execute_batch(&text)?)).await.unwrap();
    let memberships = open.store.memberships(UserId::parse("alice").unwrap()).await.unwrap();
    memberships.into_iter().find(|known| matches!(known.target, Target::Group(_))).unwrap()
}

#[tokio::test]
async fn who_had_been_away_walked_over_the_whole_history_of_a_busy_group() {
    let open = open().await;
    let alice = expired(&open, 5_000).await;
    open.store.submit(push("last", 10)).await.unwrap();
    let fetch = Fetch { binding: alice.binding, after: alice.acked, limit: 9, max_bytes: 9_999, now: 20 };
    let (portion, taken) = open
        .store
        .read(move |sql| {
            let portion = backlog::fetch_in(sql, fetch)?;
            Ok((portion.unwrap(), steps(sql, backlog::OWED)))
        })
        .await
        .unwrap();
    let texts: Vec<&str> = portion.parcels.iter().map(|owed| owed.parcel.push_id.as_str()).collect();
    assert_eq!((texts, portion.more), (vec!["last"], false));
    assert!(taken < 500, "{taken} steps for one push");
    // What was stepped over is written down without being looked at.
    let from = alice.joined.max(alice.acked);
    let skipped = Exception { seq: from.next(), kind: ExceptionKind::Skipped { upto: portion.scanned.before() } };
    let cursor = CursorMove { binding: alice.binding, from, upto: portion.scanned, exceptions: vec![skipped] };
    open.store.settle(vec![cursor], 21).await.unwrap();
    let taken = open.store.write(|tx| Ok(steps(tx.sql, acknowledge::SPAN))).await.unwrap();
    assert!(taken < 500, "{taken} steps to write down one acknowledgement");
    let view = open.store.push("i".into(), "last".into()).await.unwrap().unwrap();
    assert_eq!((view.addresses[0].state, view.addresses[0].delivered), (State::Delivered, 1));
    let page = open
        .store
        .recipients("i".into(), "first".into(), Wanted::All, (0, 0), 10, crate::store::Detail::Full)
        .await
        .unwrap()
        .unwrap();
    assert!(page.recipients.iter().all(|one| one.state == State::Expired), "{page:?}");
}

#[tokio::test]
async fn who_left_walked_over_the_whole_history_of_a_busy_group() {
    let open = open().await;
    expired(&open, 5_000).await;
    open.store.submit(push("last", 10)).await.unwrap();
    let (alice, news) = (UserId::parse("alice").unwrap(), GroupId::parse("news").unwrap());
    open.store.unbind(alice, news, Removal::Leave, 30).await.unwrap();
    let taken = open.store.write(|tx| Ok(steps(tx.sql, closing::OWED))).await.unwrap();
    assert!(taken < 500, "{taken} steps for one push");
    let view = open.store.push("i".into(), "last".into()).await.unwrap().unwrap();
    assert_eq!((view.addresses[0].state, view.addresses[0].gone), (State::Undeliverable, 1));
}

#[tokio::test]
async fn pushes_that_came_due_together_were_all_held_in_memory_each_address_for_itself() {
    let open = open().await;
    let large = 1_000_000;
    for n in 0..12 {
        let mut push = push(&format!("p{n}"), large);
        push.deliver_after = 50;
        push.addresses.push(address("user:alice", Target::User(UserId::parse("alice").unwrap())));
        open.store.submit(push).await.unwrap();
    }
    let mut released = 0;
    while open.store.release_due(60).await.unwrap() > 0 {
        let bodies = std::mem::take(&mut *open.bodies.lock().unwrap());
        let different: std::collections::HashSet<*const u8> = bodies.iter().map(|body| body.as_ptr()).collect();
        assert!(different.len() * large <= 4 << 20, "{} bodies in one step", different.len());
        assert_eq!(bodies.len(), different.len() * 2, "two addresses of one push share its body");
        released += bodies.len();
    }
    assert_eq!(released, 24);
}

#[tokio::test]
async fn a_push_of_very_many_addresses_was_forgotten_in_one_transaction() {
    let open = open().await;
    expired(&open, 2_500).await;
    let left = |store: Store| async move {
        store.read(|sql| Ok(sql.query_row("SELECT count(*) FROM dispatches", [], |row| row.get::<_, i64>(0))?)).await
    };
    let mut before = left(open.store.clone()).await.unwrap();
    let mut pushes = vec![retention::Old { push: 1, size: 10 }];
    let mut transactions = 0;
    while !pushes.is_empty() {
        pushes = open
            .store
            .write(move |tx| {
                retention::delete_some(tx, &mut pushes)?;
                Ok(pushes)
            })
            .await
            .unwrap();
        let now = left(open.store.clone()).await.unwrap();
        assert!(before - now <= 1_000, "{} rows in one transaction", before - now);
        before = now;
        transactions += 1;
    }
    assert_eq!((before, transactions), (0, 3));
    assert!(open.store.push("i".into(), "first".into()).await.unwrap().is_none());
    // Bodies count as well.
    let mut large: Vec<retention::Old> = Vec::new();
    for n in 0..3 {
        open.store.submit(push(&format!("large{n}"), 3_000_000)).await.unwrap();
        large.push(retention::Old { push: 2 + n, size: 3_000_000 });
    }
    let rest = open.store.write(move |tx| retention::delete_some(tx, &mut large).map(|()| large)).await.unwrap();
    assert_eq!(rest.len(), 1, "two bodies of 3 MB are enough");
}

#[tokio::test]
async fn a_page_of_members_or_of_those_who_wait_sorted_the_whole_group() {
    let open = open().await;
    for text in [views::MEMBERS, pending_joins::PAGE] {
        let plan: Vec<String> = open
            .store
            .read(move |sql| {
                let mut query = sql.prepare(&format!("EXPLAIN QUERY PLAN {text}"))?;
                let rows = query.query_map([1, 0, 100], |row| row.get(3))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
            .unwrap();
        assert!(plan.iter().all(|step| step.starts_with("SEARCH")), "{plan:#?}");
    }
}
