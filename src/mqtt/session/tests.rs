//! The one rule of delivery, without sockets.

use std::cell::RefCell;
use std::io::{self, IoSlice};

use bytes::Bytes;

use super::*;
use crate::ids::{GroupId, Target};
use crate::parcel::{Parcel, Siblings};
use crate::store::{Aside, Owed, Portion, Settled};

const G: FlowId = 2;
const H: FlowId = 3;

/// A socket that takes everything; what it got can be searched for bodies.
#[derive(Default)]
struct Socket(RefCell<Vec<u8>>);

impl Sink for Socket {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut got = self.0.borrow_mut();
        parts.iter().for_each(|part| got.extend_from_slice(part));
        Ok(parts.iter().map(|part| part.len()).sum())
    }
}

struct Setup {
    session: Session,
    outbox: Outbox,
    socket: Socket,
}

fn membership(flow: FlowId, acked: i64) -> Membership {
    let target = Target::Group(GroupId::parse(&format!("g{flow}")).unwrap());
    Membership { binding: flow * 10, flow, target, joined: Seq(0), acked: Seq(acked), head: Seq(acked) }
}

fn parcel(flow: FlowId, seq: i64) -> Parcel {
    Parcel {
        seq: Seq(seq),
        flow,
        target: membership(flow, 0).target,
        push: seq * 100,
        siblings: Siblings::None,
        confirmed: true,
        since: 0,
        deadline: i64::MAX,
        welcome: None,
        push_id: "p".into(),
        address: "a".into(),
        content_type: "t".into(),
        headers: vec![],
        body: Bytes::from(format!("<{seq}>")),
    }
}

impl Setup {
    fn new() -> Self {
        let window = Window::new(8, vec![]);
        let mut session = Session::new(Version::V3, "c".into(), None, window, None, Rc::default());
        assert!(!session.attach(&membership(G, 5), Seq(5)));
        Self { session, outbox: Outbox::default(), socket: Socket::default() }
    }

    fn live(&mut self, parcel: &Parcel) -> Offer {
        let mut frames = Frames::new(parcel, false);
        self.session.offer(&mut frames, &mut self.outbox, &self.socket, Now::read())
    }

    fn wanted(&mut self) -> Option<Wanted> {
        self.session.next_behind(&self.outbox)
    }

    fn fetched(&mut self, wanted: &Wanted, parcels: Vec<(Parcel, Option<Settled>)>, scanned: i64, revoked: &[i64]) {
        assert!(self.fetch(wanted, parcels, scanned, revoked));
    }

    /// Whether all of the portion was sent.
    fn fetch(
        &mut self,
        wanted: &Wanted,
        parcels: Vec<(Parcel, Option<Settled>)>,
        scanned: i64,
        revoked: &[i64],
    ) -> bool {
        let owed = |(parcel, settled)| Owed { parcel: Arc::new(parcel), settled, held: false };
        let parcels = parcels.into_iter().map(owed).collect();
        let portion = Portion { parcels, scanned: Seq(scanned), more: false };
        let is_withheld = |id: DispatchId| revoked.contains(&id.seq.0);
        self.session.take_portion(wanted, &portion, &mut self.outbox, &self.socket, Now::read(), is_withheld)
    }

    /// The seqs whose bodies went out, in order.
    fn sent(&self) -> Vec<i64> {
        let text = String::from_utf8_lossy(&self.socket.0.borrow()).into_owned();
        text.split('<').skip(1).filter_map(|rest| rest.split('>').next()?.parse().ok()).collect()
    }
}

#[test]
fn a_live_push_is_sent_only_if_everything_before_it_was() {
    let mut setup = Setup::new();
    assert_eq!(setup.live(&parcel(G, 6)), Offer::Done);
    assert_eq!(setup.live(&parcel(G, 6)), Offer::Done, "the same again is dropped by its seq");
    assert_eq!(setup.live(&parcel(G, 8)), Offer::Behind, "7 was never seen");
    let wanted = setup.wanted().unwrap();
    assert_eq!((wanted.flow, wanted.after), (G, Seq(6)));
    setup.fetched(&wanted, vec![(parcel(G, 7), None), (parcel(G, 8), None)], 8, &[]);
    assert_eq!(setup.live(&parcel(G, 9)), Offer::Done, "caught up");
    assert_eq!(setup.sent(), [6, 7, 8, 9]);
    assert!(setup.wanted().is_none());
}

#[test]
fn rule_10_what_came_while_a_fetch_was_under_way_is_fetched_after_it() {
    let mut setup = Setup::new();
    setup.live(&parcel(G, 7));
    let wanted = setup.wanted().unwrap();
    // The fetch has read the store; 8 is dispatched, comes live and is dropped; then the fetch returns without it.
    assert_eq!(setup.live(&parcel(G, 8)), Offer::Behind);
    setup.fetched(&wanted, vec![(parcel(G, 6), None), (parcel(G, 7), None)], 7, &[]);
    let again = setup.wanted().expect("the dirty bit");
    assert_eq!(again.after, Seq(7));
    setup.fetched(&again, vec![(parcel(G, 8), None)], 8, &[]);
    assert!(setup.wanted().is_none());
    assert_eq!(setup.sent(), [6, 7, 8]);
}

#[test]
fn rule_17_deadline_and_cancellation_are_looked_at_when_the_frame_is_written() {
    let mut setup = Setup::new();
    let expired = Parcel { deadline: 1, ..parcel(G, 6) };
    assert_eq!(setup.live(&expired), Offer::Done);
    setup.live(&parcel(G, 8));
    let wanted = setup.wanted().unwrap();
    // 7 was cancelled after this was read: it is not sent, and the store is asked again.
    assert!(!setup.fetch(&wanted, vec![(parcel(G, 7), None), (parcel(G, 8), None)], 8, &[7]));
    assert_eq!(setup.sent(), [] as [i64; 0]);
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(parcel(G, 8), None)], 8, &[7]);
    assert_eq!(setup.sent(), [8]);
    let moves = setup.session.take_moves();
    let said: Vec<_> = moves[0].exceptions.iter().map(|exception| exception.kind).collect();
    assert_eq!(said, [ExceptionKind::Skipped { upto: Seq(6) }, ExceptionKind::Skipped { upto: Seq(7) }]);
}

#[test]
fn rule_12_what_the_user_has_by_another_address_is_not_sent() {
    let mut setup = Setup::new();
    setup.session.attach(&membership(H, 5), Seq(6));
    let shared = |flow, seq| Parcel { siblings: Siblings::Unknown, push: 77, ..parcel(flow, seq) };
    let wanted = setup.wanted().unwrap();
    assert_eq!(wanted.flow, H);
    setup.fetched(&wanted, vec![(shared(H, 6), Some(Settled::Got))], 6, &[]);
    assert_eq!(setup.sent(), [] as [i64; 0], "the store knows");
    assert_eq!(setup.live(&shared(G, 6)), Offer::Behind, "never by the live path");
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(Parcel { push: 78, ..shared(G, 6) }, None)], 6, &[]);
    setup.session.fall_behind(H);
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(Parcel { push: 78, ..shared(H, 7) }, None)], 7, &[]);
    assert_eq!(setup.sent(), [6], "under way on this connection");
    assert!(setup.session.acknowledge(1, 0));
    let moves = setup.session.take_moves();
    assert!(moves.iter().all(|cursor| cursor.exceptions.is_empty()));
    let reached: Vec<_> = moves.iter().map(|cursor| (cursor.binding, cursor.upto)).collect();
    assert_eq!(reached, [(20, Seq(6)), (30, Seq(7))], "one answer resolves both");
}

/// Whoever served but one of its destinations was sent to the store as well: a read for each member of a large group.
#[test]
fn a_push_with_two_addresses_was_fetched_by_those_whom_only_one_of_them_concerns() {
    let mut setup = Setup::new();
    let with = |seq, siblings: &[FlowId]| Parcel { siblings: Siblings::These(siblings.into()), ..parcel(G, seq) };
    assert_eq!(setup.live(&with(6, &[H])), Offer::Done);
    assert_eq!(setup.sent(), [6]);
    assert_eq!(setup.live(&with(7, &[G])), Offer::Behind, "it names this group twice");
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(with(7, &[G]), None)], 7, &[]);
    setup.session.attach(&membership(H, 5), Seq(5));
    assert_eq!(setup.live(&with(8, &[H])), Offer::Behind, "it serves both");
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(with(8, &[H]), None)], 8, &[]);
    setup.session.detach(H, 30);
    assert_eq!(setup.live(&with(9, &[H])), Offer::Behind, "it may have come by the one that was left a moment ago");
}

/// The user left and joined again before this connection heard of it: the end that it hears of late is that of the binding
/// before, and took the new one away.
#[test]
fn a_late_end_of_a_binding_took_the_next_one_with_it() {
    let mut setup = Setup::new();
    let again = Membership { binding: 21, ..membership(G, 5) };
    setup.session.attach(&again, Seq(5));
    assert!(setup.session.detach(G, 20).is_none());
    assert_eq!(setup.session.binding_of(G), Some(21));
    assert_eq!(setup.live(&parcel(G, 6)), Offer::Done);
    assert_eq!(setup.sent(), [6]);
}

/// A push of its own flow came while its bindings were being read, and to another connection of the user only.
#[test]
fn what_came_while_a_connection_was_arriving_was_missed_until_the_next_push() {
    let mut setup = Setup::new();
    assert!(!setup.session.attach(&membership(G, 5), Seq(5)), "nothing new");
    assert!(setup.session.attach(&membership(G, 5), Seq(6)), "read once more, with one more push");
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(parcel(G, 6), None)], 6, &[]);
    assert_eq!(setup.sent(), [6]);
}

#[test]
fn rule_17_also_for_what_is_tried_again() {
    let mut setup = Setup::new();
    let aside = |tries| Aside { binding: 20, id: DispatchId { flow: G, seq: Seq(3) }, push: 300, tries, anyone: false };
    for tries in [None, Some(3)] {
        setup.session.know_aside(&[aside(tries)], 7);
        let wanted = setup.session.next_aside(&setup.outbox, Instant::now()).unwrap();
        assert_eq!((wanted.flow, wanted.after, wanted.limit), (G, Seq(2), 1));
        let owed = Owed { parcel: Arc::new(parcel(G, 3)), settled: None, held: false };
        let portion = Portion { parcels: vec![owed], scanned: Seq(3), more: false };
        let take = |setup: &mut Setup, cancelled: bool| {
            let now = Now::read();
            setup.session.take_aside(&wanted, &portion, &mut setup.outbox, &setup.socket, now, |_| cancelled);
        };
        take(&mut setup, true);
        assert_eq!(setup.sent(), [] as [i64; 0], "it was cancelled after it was read");
        if tries.is_some() {
            take(&mut setup, false);
            assert_eq!(setup.sent(), [3]);
            assert_eq!(
                setup.session.next_aside(&setup.outbox, Instant::now()).map(|_| ()),
                None,
                "once on a connection"
            );
        }
    }
}

/// A socket that takes so many bytes and no more.
struct Narrow(std::cell::Cell<usize>);

impl Sink for Narrow {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        let taken = offered.min(self.0.get());
        self.0.set(self.0.get() - taken);
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }
}

#[test]
fn rule_20_a_qos_0_push_that_was_not_wholly_written_is_unanswered() {
    let mut setup = Setup::new();
    let unconfirmed = |seq| Parcel { confirmed: false, ..parcel(G, seq) };
    let narrow = Narrow(std::cell::Cell::new(4));
    let offer = |setup: &mut Setup, seq| {
        let parcel = unconfirmed(seq);
        setup.session.offer(&mut Frames::new(&parcel, false), &mut setup.outbox, &narrow, Now::read())
    };
    assert_eq!(offer(&mut setup, 6), Offer::Done);
    assert!(
        setup.session.suspect().is_some_and(|(sent, to_blame)| sent.id.seq == Seq(6) && !to_blame),
        "nothing waits"
    );
    assert_eq!(offer(&mut setup, 7), Offer::Behind);
    assert!(setup.session.suspect().is_some_and(|(sent, to_blame)| sent.id.seq == Seq(6) && to_blame));
    // Written as a whole it counts, and nobody is to blame.
    let mut setup = Setup::new();
    setup.live(&unconfirmed(6));
    assert!(setup.session.suspect().is_none());
}

#[test]
fn one_that_is_set_aside_and_always_closes_kept_another_from_being_tried() {
    let mut setup = Setup::new();
    let aside = |seq| Aside {
        binding: 20,
        id: DispatchId { flow: G, seq: Seq(seq) },
        push: seq,
        tries: Some(3),
        anyone: false,
    };
    let first = |setup: &mut Setup, turn| {
        setup.session.know_aside(&[aside(2), aside(3)], turn);
        setup.session.next_aside(&setup.outbox, Instant::now()).map(|wanted| wanted.after.next())
    };
    assert_eq!([first(&mut setup, 4), first(&mut setup, 5)], [Some(Seq(2)), Some(Seq(3))]);
}
