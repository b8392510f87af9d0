//! Store and forward: what was accepted arrives, in order, once, whatever goes away in between.

use serde_json::json;

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, in_seconds};

fn texts(terminal: &mut Raw, count: usize) -> Vec<String> {
    (0..count).map(|_| terminal.push().text().to_owned()).collect()
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[test]
fn a_push_carries_what_it_is_to_an_mqtt_5_terminal() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    let push = Pap::new("id-1")
        .to("WAPPUSH=news/TYPE=GROUP@ppg")
        .header("X-Wap-Application-Id", "x-wap-application:mms.ua")
        .delivery("confirmed");
    gateway.http().pap(&push);
    let push = alice.push();
    assert_eq!((push.topic.as_str(), push.qos, push.dup, push.text()), ("groups/news", 1, false, "hello"));
    assert_eq!(push.user_property("push-id").as_deref(), Some("id-1"));
    assert_eq!(push.user_property("address").as_deref(), Some("WAPPUSH=news/TYPE=GROUP@ppg"));
    assert_eq!(push.user_property("x-wap-application-id").as_deref(), Some("x-wap-application:mms.ua"));
    assert_eq!(push.user_property("content-type"), None);
    let expiry = &push.properties[..5];
    assert_eq!(expiry[0], 0x02, "Message Expiry Interval");
    let seconds = u32::from_be_bytes(expiry[1..].try_into().unwrap());
    assert!((86_000..=86_400).contains(&seconds), "{seconds}: the default of 24 hours");
    let content_type = [&[0x03][..], &crate::common::mqtt::text("text/plain")].concat();
    assert!(push.properties.windows(content_type.len()).any(|window| window == content_type));
}

#[test]
fn a_body_arrives_byte_for_byte() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    let text = "line\r\n--not-the-boundary\r\nkey: value\r\n\r\n\u{1F4E8} end\n";
    gateway.http().push("p1", "group:news", text);
    assert_eq!(alice.push().text(), text);
    let large = "0123456789".repeat(40_000);
    gateway.http().push("p2", "group:news", &large);
    assert_eq!(alice.push().text(), large);
}

#[test]
fn what_was_missed_comes_on_reconnect_in_order_and_once() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().push("p0", "group:news", "0");
    assert_eq!(alice.push().text(), "0");
    alice.disconnect();
    for n in 1..=100 {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("another-client-id", "alice"));
    assert_eq!(texts(&mut alice, 100), numbers(1..=100));
    gateway.http().push("p101", "group:news", "101");
    assert_eq!(alice.push().text(), "101");
    alice.assert_nothing_before_a_push(gateway.http(), "group:news");
    gateway.http().wait_outcome("p101", "delivered", "1 of 1");
    assert_eq!(gateway.http().outcome("p50")["state"], "delivered");
    alice.disconnect();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.assert_nothing_before_a_push(gateway.http(), "group:news");
}

#[test]
fn who_joins_later_does_not_get_what_was_sent_before() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    gateway.http().push("p1", "group:news", "one");
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    bob.join("news");
    gateway.http().push("p2", "group:news", "two");
    assert_eq!(bob.push().text(), "two");
    bob.assert_nothing_before_a_push(gateway.http(), "group:news");
    // Rule 1: bob's cursor is past p1, and p1 still waits for alice.
    assert_eq!(
        gateway.http().outcome("p1"),
        json!({"address":"group:news","group":"news","state":"pending","code":1000,"desc":"0 of 1","recipients":1,"delivered":0,"event_time":null})
    );
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(texts(&mut alice, 2), ["one", "two"]);
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
    gateway.http().wait_outcome("p2", "delivered", "2 of 2");
}

#[test]
fn leaving_and_joining_again_begins_anew() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    alice.request("$push/leave/news", "");
    gateway.http().bind("news", "bob");
    gateway.http().push("p1", "group:news", "in between");
    alice.join("news");
    gateway.http().push("p2", "group:news", "after");
    assert_eq!(alice.push().text(), "after");
    alice.assert_nothing_before_a_push(gateway.http(), "group:news");
    assert_eq!(gateway.http().outcome("p1")["recipients"], 1);
    assert_eq!(gateway.http().outcome("p2")["recipients"], 2);
}

#[test]
fn kill_9_between_the_1001_and_the_delivery_loses_nothing() {
    let mut gateway = Gateway::start();
    for user in ["alice", "bob"] {
        gateway.http().bind("news", user);
    }
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    bob.ping();
    for n in 1..=50 {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    gateway.kill();
    gateway.restart();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(texts(&mut alice, 50), numbers(1..=50));
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    assert_eq!(texts(&mut bob, 50), numbers(1..=50), "bob acknowledged nothing");
    gateway.http().push("p51", "group:news", "51");
    assert_eq!(alice.push().text(), "51");
    gateway.http().wait_outcome("p51", "pending", "1 of 2");
    assert_eq!(bob.push().text(), "51");
    gateway.http().wait_outcome("p51", "delivered", "2 of 2");
}

#[test]
fn acknowledgements_are_written_every_flush_interval_and_survive_kill_9() {
    let start = |interval: &str| {
        let gateway = Gateway::start_with(&format!("[store]\nflush_interval = \"{interval}\"\n"), &[]);
        let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
        alice.join("news");
        (gateway, alice)
    };
    let (mut slow, mut alice_of_slow) = start("10s");
    let (mut fast, mut alice) = start("50ms");
    let acknowledge = |gateway: &Gateway, alice: &mut Raw, id: &str| {
        gateway.http().push(id, "group:news", id);
        assert_eq!(alice.push().text(), id);
        alice.ping();
    };
    acknowledge(&slow, &mut alice_of_slow, "p1");
    // The other one writes down several, one after the other, before the next turn of the first.
    for id in ["p1", "p2", "p3", "p4"] {
        acknowledge(&fast, &mut alice, id);
        fast.http().wait_outcome(id, "delivered", "1 of 1");
    }
    assert_eq!(slow.http().outcome("p1")["desc"], "0 of 1", "it is not its turn");
    for gateway in [&mut slow, &mut fast] {
        gateway.kill();
        gateway.restart();
    }
    let mut again = Raw::connect(slow.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(again.push().text(), "p1", "a crash may lose what was not written");
    let mut alice = Raw::connect(fast.mqtt, &Connect::v3("a", "alice"));
    alice.assert_nothing_before_a_push(fast.http(), "group:news");
}

#[test]
fn a_window_of_unacknowledged_pushes_and_no_more() {
    let gateway = Gateway::start_with("[mqtt]\ninflight = 4\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    for n in 1..=10 {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    let first: Vec<_> = (0..4).map(|_| alice.publish_in()).collect();
    assert_eq!(first.iter().map(|push| push.text().to_owned()).collect::<Vec<_>>(), numbers(1..=4));
    alice.assert_silent();
    // Out of order: the window moves by what is answered.
    alice.puback(first[2].id);
    assert_eq!(alice.publish_in().text(), "5");
    for at in [0, 1, 3] {
        alice.puback(first[at].id);
    }
    let rest: Vec<_> = (0..3).map(|_| alice.publish_in()).collect();
    assert_eq!(rest.iter().map(|push| push.text().to_owned()).collect::<Vec<_>>(), numbers(6..=8));
    gateway.http().wait_outcome("p3", "delivered", "1 of 1");
}

#[test]
fn an_mqtt_5_receive_maximum_lowers_the_window() {
    let gateway = Gateway::start();
    let mut connect = Connect::v5("a", "alice");
    connect.properties.extend([0x21, 0, 1]);
    let mut alice = Raw::connect(gateway.mqtt, &connect);
    alice.join("news");
    gateway.http().push("p1", "group:news", "1");
    gateway.http().push("p2", "group:news", "2");
    let one = alice.publish_in();
    alice.assert_silent();
    alice.puback(one.id);
    assert_eq!(alice.push().text(), "2");
}

#[test]
fn rule_8_what_was_acknowledged_above_a_hole_does_not_come_again() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    for n in 1..=3 {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    let pushes: Vec<_> = (0..3).map(|_| alice.publish_in()).collect();
    alice.puback(pushes[1].id);
    alice.ping();
    alice.disconnect();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(texts(&mut alice, 2), ["1", "3"]);
    alice.assert_nothing_before_a_push(gateway.http(), "group:news");
    for n in 1..=3 {
        gateway.http().wait_outcome(&format!("p{n}"), "delivered", "1 of 1");
    }
}

#[test]
fn a_resumed_session_gets_unanswered_pushes_again_under_their_packet_ids() {
    for v5 in [false, true] {
        let gateway = Gateway::start();
        let connect = Connect { v5, ..Connect::v3("a", "alice") }.lasting();
        let (mut alice, present, _) = Raw::try_connect(gateway.mqtt, &connect);
        assert_eq!(present, 0);
        alice.join("news");
        gateway.http().push("p1", "group:news", "1");
        gateway.http().push("p2", "group:news", "2");
        let (one, two) = (alice.publish_in(), alice.publish_in());
        alice.puback(one.id);
        alice.ping();
        drop(alice);
        gateway.http().push("p3", "group:news", "3");
        let (mut alice, present, _) = Raw::try_connect(gateway.mqtt, &connect);
        assert_eq!(present, 1, "session present");
        let again = alice.push();
        assert_eq!((again.text(), again.id, again.dup), ("2", two.id, true));
        let new = alice.push();
        assert_eq!((new.text(), new.dup), ("3", false));
        assert_ne!(new.id, two.id);
        alice.assert_nothing_before_a_push(gateway.http(), "group:news");
    }
}

#[test]
fn a_subscription_of_a_lasting_session_collects_while_the_terminal_is_away() {
    let mut gateway = Gateway::start();
    let connect = Connect::v5("a", "alice").lasting();
    let mut alice = Raw::connect(gateway.mqtt, &connect);
    alice.subscribe(&[("groups/news", 1)]);
    drop(alice);
    gateway.http().push("p1", "group:news", "1");
    gateway.kill();
    gateway.restart();
    gateway.http().push("p2", "group:news", "2");
    let (mut alice, present, _) = Raw::try_connect(gateway.mqtt, &connect);
    assert_eq!(present, 1, "also after a crash of the gateway");
    assert_eq!(texts(&mut alice, 2), ["1", "2"]);
    alice.disconnect();
    // A clean start ends the session and what it subscribed to.
    let mut clean = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    clean.ping();
    assert_eq!(gateway.http().get("/api/v1/groups/news").json()["members"], 0);
}

#[test]
fn a_session_expires() {
    let gateway = Gateway::start();
    let mut connect = Connect::v5("a", "alice");
    connect.clean = false;
    connect.properties.extend([0x11, 0, 0, 0, 1]);
    let mut alice = Raw::connect(gateway.mqtt, &connect);
    alice.subscribe(&[("groups/news", 1)]);
    drop(alice);
    crate::common::wait_for("the session to expire", || {
        (gateway.http().get("/api/v1/groups/news").json()["members"] == 0).then_some(())
    });
    assert_eq!(Raw::try_connect(gateway.mqtt, &connect).1, 0, "no session present");
}

#[test]
fn unconfirmed_goes_out_at_qos_0_counts_when_written_and_is_kept_for_the_absent() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().bind("news", "bob");
    gateway.http().pap(&Pap::new("p1").to("group:news").text("quick").delivery("unconfirmed"));
    let push = alice.publish_in();
    assert_eq!((push.qos, push.text()), (0, "quick"));
    gateway.http().wait_outcome("p1", "pending", "1 of 2");
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    assert_eq!(bob.publish_in().text(), "quick");
    gateway.http().wait_outcome("p1", "delivered", "2 of 2");
    for method in ["confirmed", "preferconfirmed", "notspecified"] {
        gateway.http().pap(&Pap::new(method).to("group:news").delivery(method));
        assert_eq!(alice.push().qos, 1, "{method}");
        assert_eq!(bob.push().qos, 1, "{method}");
    }
}

#[test]
fn rule_7_a_qos_0_push_behind_an_unanswered_one_does_not_move_the_cursor() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().push("p1", "group:news", "1");
    gateway.http().pap(&Pap::new("p2").to("group:news").text("2").delivery("unconfirmed"));
    assert_eq!((alice.publish_in().text(), alice.publish_in().text()), ("1", "2"));
    alice.disconnect();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(alice.push().text(), "1", "never acknowledged");
    alice.assert_nothing_before_a_push(gateway.http(), "group:news");
    gateway.http().wait_outcome("p2", "delivered", "1 of 1");
}

#[test]
fn a_subscribe_at_qos_0_lowers_the_delivery_and_an_unsubscribe_restores_it() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    assert_eq!(alice.subscribe(&[("groups/news", 0)]), [0]);
    gateway.http().push("p1", "group:news", "1");
    assert_eq!(alice.publish_in().qos, 0);
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
    alice.unsubscribe(&["groups/news"]);
    gateway.http().push("p2", "group:news", "2");
    assert_eq!(alice.push().qos, 1);
}

#[test]
fn a_refusal_is_counted_and_the_push_is_aborted_for_that_member() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v5("b", "bob"));
    bob.join("news");
    gateway.http().push("p1", "group:news", "1");
    gateway.http().push("p2", "group:news", "2");
    let one = alice.publish_in();
    alice.puback_reason(one.id, 0x99);
    assert_eq!(alice.push().text(), "2");
    assert_eq!(texts(&mut bob, 2), ["1", "2"]);
    let outcome = gateway.http().wait_outcome("p1", "aborted", "1 of 2, 1 refused");
    assert_eq!(outcome["code"], 5238);
    gateway.http().wait_outcome("p2", "delivered", "2 of 2");
    alice.disconnect();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.assert_nothing_before_a_push(gateway.http(), "group:news");
}

#[test]
fn what_exceeds_the_terminal_s_maximum_packet_size_is_aborted() {
    let gateway = Gateway::start();
    let mut connect = Connect::v5("a", "alice");
    connect.properties.extend([0x27, 0, 0, 2, 0]);
    let mut alice = Raw::connect(gateway.mqtt, &connect);
    alice.join("news");
    gateway.http().push("p1", "group:news", &"x".repeat(2_000));
    gateway.http().push("p2", "group:news", "small");
    assert_eq!(alice.push().text(), "small");
    assert_eq!(gateway.http().wait_outcome("p1", "aborted", "0 of 1, 1 refused")["code"], 5237);
}

#[test]
fn several_terminals_of_a_user_each_get_the_push_and_the_first_settles_it() {
    let gateway = Gateway::start();
    let mut one = Raw::connect(gateway.mqtt, &Connect::v3("a1", "alice"));
    one.join("news");
    let mut two = Raw::connect(gateway.mqtt, &Connect::v5("a2", "alice"));
    two.ping();
    gateway.http().push("p1", "group:news", "1");
    assert_eq!(one.publish_in().text(), "1");
    assert_eq!(two.push().text(), "1");
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
    one.disconnect();
    let mut one = Raw::connect(gateway.mqtt, &Connect::v3("a1", "alice"));
    one.assert_nothing_before_a_push(gateway.http(), "group:news");
}

#[test]
fn rule_12_two_addresses_that_reach_the_same_user_arrive_once() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    for group in ["g", "h"] {
        alice.join(group);
    }
    gateway.http().push("p1", "group:h", "1");
    let both = Pap::new("p2").to("group:g").to("group:h").to("user:alice").text("2");
    assert_eq!(gateway.http().pap(&both).pap_code(), 1001);
    gateway.http().push("p3", "group:g", "3");
    // Between two groups there is no order; within each there is.
    let mut seen = texts(&mut alice, 3);
    for address in ["group:g", "group:h", "user:alice"] {
        alice.assert_nothing_before_a_push(gateway.http(), address);
    }
    seen.sort();
    assert_eq!(seen, ["1", "2", "3"]);
    crate::common::wait_for("all addresses to be settled", || {
        let push = gateway.http().get("/api/v1/pushes/p2").json();
        push["addresses"].as_array().unwrap().iter().all(|address| address["state"] == "delivered").then_some(())
    });
}

#[test]
fn rule_12_also_for_who_was_away() {
    let gateway = Gateway::start();
    for group in ["g", "h"] {
        gateway.http().bind(group, "alice");
    }
    gateway.http().pap(&Pap::new("p1").to("group:g").to("group:h").text("both"));
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(alice.push().text(), "both");
    for address in ["group:g", "group:h"] {
        alice.assert_nothing_before_a_push(gateway.http(), address);
    }
    gateway.http().push("p2", "group:h", "next");
    assert_eq!(alice.push().text(), "next");
}

#[test]
fn deliver_before_ends_a_push_and_deliver_after_holds_it_back() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().bind("news", "bob");
    let later = Pap::new("later").to("group:news").attribute("deliver-after-timestamp", &in_seconds(3)).text("later");
    assert_eq!(gateway.http().pap(&later).pap_code(), 1001);
    let brief = Pap::new("brief").to("group:news").attribute("deliver-before-timestamp", &in_seconds(2)).text("brief");
    assert_eq!(gateway.http().pap(&brief).pap_code(), 1001);
    assert_eq!(alice.push().text(), "brief");
    assert_eq!(alice.push().text(), "later");
    let outcome = gateway.http().wait_outcome("brief", "expired", "1 of 2");
    assert_eq!(outcome["code"], 4500);
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    assert_eq!(bob.push().text(), "later", "what expired is not sent");
    bob.assert_nothing_before_a_push(gateway.http(), "group:news");
    gateway.http().wait_outcome("later", "delivered", "2 of 2");
}

#[test]
fn a_group_without_members_is_said_to_have_none() {
    let gateway = Gateway::start();
    gateway.http().json("PUT", "/api/v1/groups/empty", serde_json::Value::Null);
    gateway.http().push("p1", "group:empty", "x");
    let outcome = gateway.http().outcome("p1");
    assert_eq!(
        (&outcome["state"], &outcome["code"], &outcome["desc"]),
        (&json!("undeliverable"), &json!(4510), &json!("0 of 0"))
    );
}

#[test]
fn a_socket_that_is_not_read_catches_up_and_delays_nobody() {
    let gateway = Gateway::start();
    let mut slow = Raw::connect(gateway.mqtt, &Connect::v3("slow", "slow"));
    slow.join("news");
    let mut quick = Raw::connect(gateway.mqtt, &Connect::v3("quick", "quick"));
    quick.join("news");
    let body = |n: u32| format!("{n} {}", "x".repeat(200_000));
    for n in 1..=40 {
        gateway.http().pap(&Pap::new(&format!("p{n}")).to("group:news").text(&body(n)).delivery("unconfirmed"));
        assert_eq!(quick.publish_in().text(), body(n));
    }
    for n in 1..=40 {
        assert_eq!(slow.publish_in().text(), body(n), "nothing is lost and everything is in order");
    }
    gateway.http().wait_outcome("p40", "delivered", "2 of 2");
}

#[test]
fn groups_beyond_the_router_s_topics_were_served_from_the_store_alone() {
    let gateway = Gateway::start_with("[broker]\nmax_topics = 4\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    for n in 1..=8 {
        alice.join(&format!("g{n}"));
    }
    for n in 1..=8 {
        gateway.http().push(&format!("p{n}"), &format!("group:g{n}"), &n.to_string());
        assert_eq!(alice.push().text(), n.to_string());
    }
    assert!(gateway.log().contains("further ones share topics"), "{}", gateway.log());
}

#[test]
fn an_unconfirmed_push_to_two_spellings_of_a_group_came_twice() {
    let gateway = Gateway::start();
    gateway.http().bind("g", "alice");
    let push = Pap::new("p1").to("group:g").to("WAPPUSH=g/TYPE=GROUP@ppg").text("once").delivery("unconfirmed");
    assert_eq!(gateway.http().pap(&push).pap_code(), 1001);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(alice.publish_in().text(), "once");
    alice.assert_nothing_before_a_push(gateway.http(), "group:g");
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
}

/// Alice with a phone and a tablet that both have p1 and p2 under way, in a group with bob, who is away.
struct TwoTerminals {
    gateway: Gateway,
    phone: Raw,
    tablet: Raw,
    /// Packet ids of p1 and p2.
    on_phone: [u16; 2],
    on_tablet: [u16; 2],
}

impl TwoTerminals {
    fn start() -> Self {
        let gateway = Gateway::start();
        let mut phone = Raw::connect(gateway.mqtt, &Connect::v5("phone", "alice"));
        let mut tablet = Raw::connect(gateway.mqtt, &Connect::v5("tablet", "alice"));
        phone.join("news");
        gateway.http().bind("news", "bob");
        for id in ["p1", "p2"] {
            gateway.http().push(id, "group:news", id);
        }
        let on_tablet = [tablet.publish_in().id, tablet.publish_in().id];
        let on_phone = [phone.publish_in().id, phone.publish_in().id];
        Self { gateway, phone, tablet, on_phone, on_tablet }
    }

    /// The phone refuses one, and that is written down.
    fn refuse(&mut self, which: usize) {
        self.phone.puback_reason(self.on_phone[which], 0x99);
        self.gateway.http().wait_outcome(["p1", "p2"][which], "pending", "0 of 2, 1 refused");
    }

    /// The tablet acknowledges both, and then bob: everybody has everything.
    fn acknowledge(mut self) {
        let http = self.gateway.http();
        for id in self.on_tablet {
            self.tablet.puback(id);
        }
        for id in ["p1", "p2"] {
            http.wait_outcome(id, "pending", "1 of 2");
        }
        assert_eq!(texts(&mut Raw::connect(self.gateway.mqtt, &Connect::v3("b", "bob")), 2), ["p1", "p2"]);
        for id in ["p1", "p2"] {
            http.wait_outcome(id, "delivered", "2 of 2");
            let listed = http.get(&format!("/api/v1/pushes/{id}/recipients?state=delivered")).json();
            assert_eq!(listed["recipients"].as_array().unwrap().len(), 2, "{listed}");
        }
    }
}

#[test]
fn what_one_terminal_acknowledged_after_another_had_refused_it_was_thrown_away() {
    let mut alice = TwoTerminals::start();
    // The second one while the first one is unanswered: it is above the cursor.
    alice.refuse(1);
    alice.refuse(0);
    alice.acknowledge();
}

#[test]
fn what_a_third_terminal_had_stepped_over_was_not_counted_when_the_second_acknowledged_it() {
    let mut alice = TwoTerminals::start();
    alice.refuse(1);
    // Leaves out what was refused, and says so; and takes the cursor past it.
    let mut third = Raw::connect(alice.gateway.mqtt, &Connect::v3("third", "alice"));
    assert_eq!(third.push().text(), "p1");
    alice.gateway.http().wait_outcome("p1", "pending", "1 of 2");
    alice.acknowledge();
}

#[test]
fn two_terminals_of_a_user_that_both_refuse_counted_for_two_members() {
    let gateway = Gateway::start_with("[mqtt]\nworkers = 1\n", &[]);
    let mut one = Raw::connect(gateway.mqtt, &Connect::v5("x1", "xena"));
    one.join("news");
    let mut two = Raw::connect(gateway.mqtt, &Connect::v5("x2", "xena"));
    two.ping();
    gateway.http().bind("news", "yuri");
    gateway.http().push("p1", "group:news", "for both");
    for terminal in [&mut one, &mut two] {
        let push = terminal.publish_in();
        terminal.puback_reason(push.id, 0x83);
    }
    gateway.http().wait_outcome("p1", "pending", "0 of 2, 1 refused");
    let mut yuri = Raw::connect(gateway.mqtt, &Connect::v3("y", "yuri"));
    assert_eq!(yuri.push().text(), "for both");
    gateway.http().wait_outcome("p1", "aborted", "1 of 2, 1 refused");
}

#[test]
fn a_deleted_group_with_a_scheduled_push_stopped_all_other_scheduled_pushes() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("kept");
    gateway.http().bind("deleted", "bob");
    for group in ["deleted", "kept"] {
        let push = Pap::new(group)
            .to(&format!("group:{group}"))
            .attribute("deliver-after-timestamp", &in_seconds(2))
            .text(group);
        assert_eq!(gateway.http().pap(&push).pap_code(), 1001);
    }
    assert_eq!(gateway.http().json("DELETE", "/api/v1/groups/deleted", serde_json::Value::Null).status, 204);
    assert_eq!(gateway.http().outcome("deleted")["code"], 4510);
    assert_eq!(alice.push().text(), "kept");
}

#[test]
fn a_session_resumed_without_an_expiry_ends_with_its_connection() {
    let gateway = Gateway::start();
    let lasting = Connect::v5("c", "alice").lasting();
    let mut alice = Raw::connect(gateway.mqtt, &lasting);
    alice.subscribe(&[("groups/news", 1)]);
    drop(alice);
    crate::common::wait_for("the session to be away", || {
        gateway.http().get("/api/v1/users/alice").json()["connections"].as_array().unwrap().is_empty().then_some(())
    });
    let (alice, present, _) = Raw::try_connect(gateway.mqtt, &Connect { clean: false, ..Connect::v5("c", "alice") });
    assert_eq!(present, 1);
    alice.disconnect();
    crate::common::wait_for("the binding to end", || {
        (gateway.http().get("/api/v1/groups/news").json()["members"] == 0).then_some(())
    });
}

#[test]
fn a_client_id_that_changes_its_user_takes_no_bindings_along() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("shared", "alice").lasting());
    alice.subscribe(&[("groups/news", 1)]);
    drop(alice);
    let (mut bob, present, _) = Raw::try_connect(gateway.mqtt, &Connect::v3("shared", "bob").lasting());
    assert_eq!(present, 0);
    bob.ping();
    assert_eq!(gateway.http().get("/api/v1/groups/news").json()["members"], 0);
}

#[test]
fn the_store_replays_nothing_that_another_terminal_of_the_user_has_acknowledged_just_now() {
    let gateway = Gateway::start_with("[mqtt]\nworkers = 2\n[store]\nflush_interval = \"10s\"\n", &[]);
    let mut one = Raw::connect(gateway.mqtt, &Connect::v3("a1", "alice"));
    one.join("news");
    gateway.http().push("p1", "group:news", "1");
    assert_eq!(one.push().text(), "1");
    one.ping();
    // Rule 13: on whichever worker the next one lands, the acknowledgement is written before its backlog is read.
    for n in 0..4 {
        let mut more = Raw::connect(gateway.mqtt, &Connect::v3(&format!("a{n}-more"), "alice"));
        more.assert_nothing_before_a_push(gateway.http(), "group:news");
        one.push();
    }
}

/// Nobody but the last push of a channel shows that it was lost, and there was none behind it; a look at all groups once a
/// second found it, twice.
#[test]
fn what_the_broker_loses_is_missed_and_fetched() {
    let mut gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    alice.join("news");
    bob.join("other");
    gateway.http().push("before", "group:news", "before");
    assert_eq!(alice.push().text(), "before");
    gateway.inject("broker-loses-all");
    for n in 1..=20 {
        gateway.http().push(&format!("g{n}"), "group:news", &n.to_string());
    }
    assert_eq!(texts(&mut alice, 20), numbers(1..=20));
    // The first push that this user ever gets: its own flow is made by it.
    gateway.http().push("u1", "user:bob", "for bob");
    assert_eq!(bob.push().text(), "for bob");
    for n in 1..=20 {
        gateway.http().push(&format!("v{n}"), "user:bob", &n.to_string());
    }
    assert_eq!(texts(&mut bob, 20), numbers(1..=20));
    for terminal in [&mut alice, &mut bob] {
        terminal.assert_silent();
    }
}

/// Both are the first of their group: by its number alone one would pass for the other.
#[test]
fn a_push_to_two_new_groups_reaches_a_member_of_both_once() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("g");
    alice.join("h");
    gateway.http().pap(&Pap::new("p1").to("group:g").to("group:h").text("once"));
    assert_eq!(alice.push().text(), "once");
    alice.assert_silent();
    for at in 0..2 {
        crate::common::wait_for("both addresses to be over", || {
            let push = gateway.http().get("/api/v1/pushes/p1").json();
            (push["addresses"][at]["state"] == "delivered").then_some(())
        });
    }
    // What holds one of them takes nothing of the other.
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    bob.join("h");
    gateway.http().bind("g", "somebody who is away");
    gateway.http().push("p2", "group:g", "cancelled");
    gateway.http().push("p3", "group:h", "kept");
    assert_eq!(alice.push().text(), "cancelled");
    assert_eq!(gateway.http().send("DELETE", "/api/v1/pushes/p2", "", b"").status, 200);
    assert_eq!((alice.push().text(), bob.push().text()), ("kept", "kept"));
    gateway.http().wait_outcome("p3", "delivered", "2 of 2");
}
