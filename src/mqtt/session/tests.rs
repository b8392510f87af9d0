//! The one rule of delivery, without sockets.

use std::cell::RefCell;
use std::io::{self, IoSlice};

use bytes::Bytes;

use super::*;
use crate::ids::GroupId;
use crate::parcel::Parcel;
use crate::store::{Owed, Settled};

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

fn membership(flow: FlowId, acked: Seq) -> Membership {
    let target = Target::Group(GroupId::parse(&format!("g{flow}")).unwrap());
    Membership { binding: flow * 10, flow, target, joined: 0, acked, head: acked }
}

fn parcel(flow: FlowId, seq: Seq, prev: Seq) -> Parcel {
    Parcel {
        seq,
        prev,
        flow,
        target: membership(flow, 0).target,
        push: seq * 100,
        shared: false,
        confirmed: true,
        deadline: i64::MAX,
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
        let mut session = Session::new(Version::V3, "c".into(), None, window, None);
        assert!(!session.attach(&membership(G, 5), 5));
        Self { session, outbox: Outbox::default(), socket: Socket::default() }
    }

    fn live(&mut self, parcel: &Parcel) -> Offer {
        let mut frames = Frames::new(parcel, false);
        self.session.offer(&mut frames, &mut self.outbox, &self.socket, Now::read())
    }

    fn wanted(&mut self) -> Option<Wanted> {
        self.session.next_behind(&self.outbox)
    }

    fn fetched(&mut self, wanted: &Wanted, parcels: Vec<(Parcel, Option<Settled>)>, scanned: Seq, revoked: &[Seq]) {
        assert!(self.fetch(wanted, parcels, scanned, revoked));
    }

    /// Whether all of the portion was sent.
    fn fetch(
        &mut self,
        wanted: &Wanted,
        parcels: Vec<(Parcel, Option<Settled>)>,
        scanned: Seq,
        revoked: &[Seq],
    ) -> bool {
        let owed = |(parcel, settled)| Owed { parcel: Arc::new(parcel), settled, held: false };
        let parcels = parcels.into_iter().map(owed).collect();
        let portion = Portion { parcels, scanned, more: false };
        self.session
            .take_portion(wanted, &portion, &mut self.outbox, &self.socket, Now::read(), |seq| revoked.contains(&seq))
    }

    /// The seqs whose bodies went out, in order.
    fn sent(&self) -> Vec<Seq> {
        let text = String::from_utf8_lossy(&self.socket.0.borrow()).into_owned();
        text.split('<').skip(1).filter_map(|rest| rest.split('>').next()?.parse().ok()).collect()
    }
}

#[test]
fn a_live_push_is_sent_only_if_everything_before_it_was() {
    let mut setup = Setup::new();
    assert_eq!(setup.live(&parcel(G, 7, 5)), Offer::Done);
    assert_eq!(setup.live(&parcel(G, 7, 5)), Offer::Done, "the same again is dropped by its seq");
    assert_eq!(setup.live(&parcel(G, 10, 9)), Offer::Behind, "9 was never seen");
    let wanted = setup.wanted().unwrap();
    assert_eq!((wanted.flow, wanted.after), (G, 7));
    setup.fetched(&wanted, vec![(parcel(G, 9, 7), None), (parcel(G, 10, 9), None)], 10, &[]);
    assert_eq!(setup.live(&parcel(G, 12, 10)), Offer::Done, "caught up");
    assert_eq!(setup.sent(), [7, 9, 10, 12]);
    assert!(setup.wanted().is_none());
}

#[test]
fn rule_10_what_came_while_a_fetch_was_under_way_is_fetched_after_it() {
    let mut setup = Setup::new();
    setup.live(&parcel(G, 8, 7));
    let wanted = setup.wanted().unwrap();
    // The fetch has read the store; 9 is dispatched, comes live and is dropped; then the fetch returns without it.
    assert_eq!(setup.live(&parcel(G, 9, 8)), Offer::Behind);
    setup.fetched(&wanted, vec![(parcel(G, 7, 5), None), (parcel(G, 8, 7), None)], 8, &[]);
    let again = setup.wanted().expect("the dirty bit");
    assert_eq!(again.after, 8);
    setup.fetched(&again, vec![(parcel(G, 9, 8), None)], 9, &[]);
    assert!(setup.wanted().is_none());
    assert_eq!(setup.sent(), [7, 8, 9]);
}

#[test]
fn rule_17_deadline_and_cancellation_are_looked_at_when_the_frame_is_written() {
    let mut setup = Setup::new();
    let expired = Parcel { deadline: 1, ..parcel(G, 6, 5) };
    assert_eq!(setup.live(&expired), Offer::Done);
    setup.live(&parcel(G, 9, 8));
    let wanted = setup.wanted().unwrap();
    // 8 was cancelled after this was read: it is not sent, and the store is asked again.
    assert!(!setup.fetch(&wanted, vec![(parcel(G, 8, 6), None), (parcel(G, 9, 8), None)], 9, &[8]));
    assert_eq!(setup.sent(), [] as [Seq; 0]);
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(parcel(G, 9, 8), None)], 9, &[8]);
    assert_eq!(setup.sent(), [9]);
    let moves = setup.session.take_moves();
    let said: Vec<_> = moves[0].exceptions.iter().map(|exception| exception.kind).collect();
    assert_eq!(said, [ExceptionKind::Skipped { upto: 6 }, ExceptionKind::Skipped { upto: 8 }]);
}

#[test]
fn rule_12_what_the_user_has_by_another_address_is_not_sent() {
    let mut setup = Setup::new();
    setup.session.attach(&membership(H, 5), 9);
    let shared = |flow, seq| Parcel { shared: true, push: 77, ..parcel(flow, seq, 5) };
    let wanted = setup.wanted().unwrap();
    assert_eq!(wanted.flow, H);
    setup.fetched(&wanted, vec![(shared(H, 9), Some(Settled::Got))], 9, &[]);
    assert_eq!(setup.sent(), [] as [Seq; 0], "the store knows");
    assert_eq!(setup.live(&shared(G, 8)), Offer::Behind, "never by the live path");
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(Parcel { push: 78, ..shared(G, 8) }, None)], 8, &[]);
    setup.session.fall_behind(H);
    let wanted = setup.wanted().unwrap();
    setup.fetched(&wanted, vec![(Parcel { push: 78, prev: 9, ..shared(H, 10) }, None)], 10, &[]);
    assert_eq!(setup.sent(), [8], "under way on this connection");
    assert!(setup.session.acknowledge(1, 0));
    let moves = setup.session.take_moves();
    assert!(moves.iter().all(|cursor| cursor.exceptions.is_empty()));
    let reached: Vec<_> = moves.iter().map(|cursor| (cursor.binding, cursor.upto)).collect();
    assert_eq!(reached, [(20, 8), (30, 10)], "one answer resolves both");
}
