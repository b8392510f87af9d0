//! The ledger as a whole against a simple model: random schedules of join, leave, push, acknowledge, refuse, set aside, cancel,
//! replace, expire, lost publishes, broken connections, crashes and retention, with the real store and real sessions.
//! What must hold is in `check.rs`. `PROPTEST_CASES=5000 cargo test --lib mqtt::model` searches longer.

mod check;
mod delivering;
mod picky_devices;
mod taking_back;
mod terminal;
mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use world::World;

pub(super) const USERS: usize = 3;
pub(super) const GROUPS: usize = 2;
/// More terminals than users: the first user has two.
pub(super) const TERMINALS: usize = 4;

/// A device that closes its connection on some pushes, and one that drops them without a word. The second belongs to the first
/// user, who has another one that takes everything.
pub(super) const CLOSES: usize = 2;
pub(super) const DROPS: usize = 3;

/// Whom a push is addressed to: a group, or a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum To {
    Group(usize),
    User(usize),
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Join {
        user: usize,
        group: usize,
    },
    Leave {
        user: usize,
        group: usize,
    },
    Push {
        to: Vec<To>,
        confirmed: bool,
        brief: bool,
    },
    /// Replaces the push that many back.
    Replace {
        back: usize,
        pending_only: bool,
    },
    /// Cancels all addresses of that push, or only the first.
    Cancel {
        back: usize,
        first: bool,
    },
    /// The oldest publish that is under way reaches the workers, or is lost on the way.
    Publish {
        lost: bool,
    },
    /// A fetch begins; or, if one is under way, its portion is sent.
    Fetch {
        terminal: usize,
    },
    Connect {
        terminal: usize,
    },
    Break {
        terminal: usize,
    },
    /// It is there for a while, and takes what it can.
    Stay {
        terminal: usize,
    },
    /// Answers one of the pushes under way.
    Answer {
        terminal: usize,
        which: usize,
        refuse: bool,
    },
    /// A message between terminals, and whether one device cannot take it.
    Message {
        bad: bool,
    },
    Settle,
    /// Time passes, and what has expired ends.
    Pass,
    Forget,
    Crash,
}

fn to() -> impl Strategy<Value = To> {
    prop_oneof![3 => (0..GROUPS).prop_map(To::Group), 1 => (0..USERS).prop_map(To::User)]
}

fn op() -> impl Strategy<Value = Op> {
    let addresses = prop_oneof![4 => prop::collection::vec(to(), 1), 1 => prop::collection::vec(to(), 2..4)];
    prop_oneof![
        6 => (0..USERS, 0..GROUPS).prop_map(|(user, group)| Op::Join { user, group }),
        3 => (0..USERS, 0..GROUPS).prop_map(|(user, group)| Op::Leave { user, group }),
        10 => (addresses, prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(to, confirmed, brief)| Op::Push { to, confirmed, brief }),
        4 => (0..3_usize, any::<bool>()).prop_map(|(back, pending_only)| Op::Replace { back, pending_only }),
        2 => (0..4_usize, any::<bool>()).prop_map(|(back, first)| Op::Cancel { back, first }),
        12 => prop::bool::weighted(0.15).prop_map(|lost| Op::Publish { lost }),
        12 => (0..TERMINALS).prop_map(|terminal| Op::Fetch { terminal }),
        6 => (0..TERMINALS).prop_map(|terminal| Op::Connect { terminal }),
        3 => (0..TERMINALS).prop_map(|terminal| Op::Break { terminal }),
        6 => prop_oneof![1 => 0..TERMINALS, 2 => CLOSES..=DROPS].prop_map(|terminal| Op::Stay { terminal }),
        14 => (0..TERMINALS, 0..3_usize, prop::bool::weighted(0.1))
            .prop_map(|(terminal, which, refuse)| Op::Answer { terminal, which, refuse }),
        2 => any::<bool>().prop_map(|bad| Op::Message { bad }),
        5 => Just(Op::Settle),
        1 => Just(Op::Pass),
        1 => Just(Op::Forget),
        1 => Just(Op::Crash),
    ]
}

/// What is the same for a whole schedule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    /// The device that closes has a new client id for each connection.
    pub(super) new_ids: bool,
    /// Pushes that may be under way to one terminal.
    pub(super) window: usize,
    /// `mqtt.poison_after`: 1 sets aside often, and early in a schedule.
    pub(super) poison_after: u32,
    /// One push of so many is what those two devices cannot take.
    pub(super) poison_every: usize,
    /// Everybody is a member of every group, and there, when the schedule begins.
    pub(super) crowd: bool,
}

fn variant() -> impl Strategy<Value = Variant> {
    let windows = prop_oneof![1 => Just(1_usize), 3 => Just(3), 1 => Just(12)];
    let limits = prop_oneof![2 => Just(1), 1 => Just(3)];
    let poison = prop_oneof![1 => Just(2), 1 => Just(4)];
    (any::<bool>(), windows, limits, poison, any::<bool>()).prop_map(
        |(new_ids, window, poison_after, poison_every, crowd)| Variant {
            new_ids,
            window,
            poison_after,
            poison_every,
            crowd,
        },
    )
}

fn run(variant: Variant, ops: &[Op]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(variant);
        if variant.crowd {
            world.gather().await;
        }
        for op in ops {
            world.step(op).await;
            world.check_counters().await;
        }
        world.come_to_rest().await;
        world.check_outcome().await;
    });
    Ok(())
}

#[test]
fn random_schedules_keep_every_promise_of_the_ledger() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150);
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() });
    let schedules = (variant(), prop::collection::vec(op(), 1..80));
    match runner.run(&schedules, |(variant, ops)| run(variant, &ops)) {
        Ok(()) => {}
        Err(TestError::Fail(reason, (variant, ops))) => {
            let schedule: String = ops.iter().map(|op| format!("  {op:?}\n")).collect();
            panic!("{reason}\nafter, with {variant:?},\n{schedule}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// What the search has found, once and for all.
#[test]
fn a_push_that_was_set_aside_by_chance_was_never_tried_while_the_device_closed_on_the_last_one() {
    let push = |confirmed| Op::Push { to: vec![To::Group(0)], confirmed, brief: false };
    let schedule = [
        push(true),
        push(false),
        push(false),
        Op::Publish { lost: false },
        push(true),
        Op::Join { user: 2, group: 0 },
        Op::Break { terminal: 2 },
        push(false),
        push(false),
        Op::Cancel { back: 0, first: false },
        Op::Replace { back: 2, pending_only: false },
        Op::Replace { back: 0, pending_only: false },
    ];
    let variant = Variant { new_ids: false, window: 1, poison_after: 1, poison_every: 2, crowd: true };
    run(variant, &schedule).unwrap();
}

#[test]
fn what_was_refused_after_leaving_the_group_came_again_by_another_address() {
    let news = To::Group(0);
    let schedule = [
        Op::Join { user: 0, group: 0 },
        Op::Push { to: vec![news], confirmed: false, brief: false },
        Op::Connect { terminal: 3 },
        Op::Push { to: vec![news, To::User(0)], confirmed: true, brief: false },
        Op::Fetch { terminal: 3 },
        Op::Fetch { terminal: 3 },
        Op::Leave { user: 0, group: 0 },
        Op::Answer { terminal: 3, which: 0, refuse: true },
    ];
    run(Variant { new_ids: false, window: 3, poison_after: 3, poison_every: 4, crowd: false }, &schedule).unwrap();
}
