//! What a terminal said before it closed its connection counts, also where the gateway cannot answer it any more. A socket
//! that is closed with something unread is reset, as `mosquitto_sub -C 1` does it to a terminal with a backlog: writing to
//! it fails while its last packets still wait to be read. Which of both comes first is chance; hence several rounds.

use crate::common::mqtt::{Connect, Raw, packet, text};
use crate::common::{Gateway, wait_for};

const ROUNDS: usize = 20;
const DISCONNECT: [u8; 2] = [0xE0, 0];

/// A SUBSCRIBE, which has to be answered.
fn subscribe() -> Vec<u8> {
    packet(0x82, &[&[0, 1][..], &text("$push/response"), &[0]].concat())
}

/// A gateway with two pushes for each of the users, who are away.
fn gateway(config: &str) -> Gateway {
    let gateway = Gateway::start_with(config, &[]);
    for n in 0..ROUNDS {
        gateway.http().bind("news", &format!("user-{n}"));
    }
    for n in 1..=2 {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    gateway
}

#[test]
fn acknowledgements_before_a_reset_were_thrown_away() {
    let gateway = gateway("");
    for n in 0..ROUNDS {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v3(&format!("c{n}"), &format!("user-{n}")));
        let push = raw.publish_in();
        assert_eq!(push.text(), "1");
        raw.rush_off(&[&subscribe()[..], &packet(0x40, &push.id.to_be_bytes()), &DISCONNECT].concat());
    }
    gateway.http().wait_outcome("p1", "delivered", "20 of 20");
}

#[test]
fn a_join_before_a_reset_was_thrown_away() {
    let gateway = gateway("");
    for n in 0..ROUNDS {
        let raw = Raw::connect(gateway.mqtt, &Connect::v3(&format!("c{n}"), &format!("user-{n}")));
        let join = packet(0x30, &text("$push/join/more"));
        raw.rush_off(&[&subscribe()[..], &join, &DISCONNECT].concat());
    }
    wait_for("all to be bound", || {
        (gateway.http().get("/api/v1/groups/more").json()["members"] == ROUNDS).then_some(())
    });
}

#[test]
fn a_disconnect_before_a_reset_was_not_heard_and_the_will_published() {
    let gateway = gateway("[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"open/#\"]\n");
    let mut witness = Raw::connect(gateway.mqtt, &Connect::v3("witness", "witness"));
    witness.subscribe(&[("open/#", 0)]);
    for n in 0..ROUNDS {
        let user = format!("user-{n}");
        let connect = Connect { will: Some(("open/will", "gone")), ..Connect::v3("c", &user) };
        let raw = Raw::connect(gateway.mqtt, &connect);
        raw.rush_off(&[&subscribe()[..], &DISCONNECT].concat());
    }
    // The same client id again: the connection before is over, with or without its will.
    Raw::connect(gateway.mqtt, &Connect::v3("c", "nobody")).publish("open/end", 0, b"");
    assert_eq!(witness.publish_in().topic, "open/end");
}

#[test]
fn an_acknowledgement_before_a_take_over_was_thrown_away() {
    let gateway = gateway("[mqtt]\nworkers = 2\n");
    for n in 0..ROUNDS {
        let (client, user) = (format!("c{n}"), format!("user-{n}"));
        let connect = Connect::v3(&client, &user);
        let mut before = Raw::connect(gateway.mqtt, &connect);
        let (first, second) = (before.publish_in(), before.publish_in());
        assert_eq!((first.text(), second.text()), ("1", "2"));
        // The next connection is there when the old one's last packets arrive.
        let mut after = Raw::open(gateway.mqtt);
        let answers = [first, second].map(|push| packet(0x40, &push.id.to_be_bytes())).concat();
        before.send(&answers);
        after.send(&connect.bytes());
        after.expect(2);
    }
    gateway.http().wait_outcome("p2", "delivered", "20 of 20");
}
