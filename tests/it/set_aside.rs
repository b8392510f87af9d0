//! One push never blocks the others: what a terminal cannot take is set aside for it (docs/ledger.md, rule 20).

use std::time::Duration;

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, wait_for};

/// Longest push that the device of these tests takes.
const LARGEST: usize = 10_240;

fn large() -> String {
    "x".repeat(12_000)
}

fn numbers(count: u32) -> Vec<String> {
    (1..=count).map(|n| n.to_string()).collect()
}

/// A device that closes its connection on what is too large for it, and answers everything else. Answers what it got on this
/// connection, and whether it closed.
fn closes_on_large(gateway: &Gateway, connect: &Connect<'_>, until: usize) -> (Vec<String>, bool) {
    let mut device = Raw::connect(gateway.mqtt, connect);
    let mut got = Vec::new();
    while got.len() < until {
        let Some(packet) = device.try_packet(Duration::from_secs(2)) else { break };
        if packet.first >> 4 != 3 {
            continue;
        }
        let push = device.parse(&packet);
        if push.payload.len() > LARGEST {
            return (got, true);
        }
        device.puback(push.id);
        got.push(push.text().to_owned());
    }
    (got, false)
}

fn member(gateway: &Gateway, push: &str) -> serde_json::Value {
    gateway.http().get(&format!("/api/v1/pushes/{push}/recipients")).json()["recipients"][0].clone()
}

fn waiting_pushes(gateway: &Gateway, connect: &Connect<'_>, behind: u32) {
    let mut alice = Raw::connect(gateway.mqtt, connect);
    alice.join("news");
    alice.disconnect();
    gateway.http().push("small", "group:news", "small");
    gateway.http().push("large", "group:news", &large());
    for n in numbers(behind) {
        gateway.http().push(&format!("p{n}"), "group:news", &n);
    }
}

#[test]
fn a_push_on_which_a_terminal_closed_kept_everything_behind_it_from_it_until_its_deadline() {
    let gateway = Gateway::start();
    let connect = Connect::v3("a", "alice");
    waiting_pushes(&gateway, &connect, 80);
    let mut got = Vec::new();
    let mut closed = 0;
    while got.len() < 81 {
        let (more, closes) = closes_on_large(&gateway, &connect, 81 - got.len());
        got.extend(more);
        closed += u32::from(closes);
        assert!(closed < 8, "closed {closed} times, and got {got:?}");
    }
    assert_eq!(got, [vec!["small".to_owned()], numbers(80)].concat(), "in order, and each once");
    assert!(closed >= 3, "nothing is set aside before it has ended three connections");
    let shown = member(&gateway, "large");
    assert_eq!((&shown["state"], &shown["code"]), (&"pending".into(), &1000.into()), "{shown}");
    let desc = shown["desc"].as_str().unwrap();
    assert!(desc.starts_with("set aside: its terminal did not take it 3 times; 12,0"), "{desc}");
    wait_for("what is known of the terminal to be written down", || {
        let known =
            member(&gateway, "large")["desc"].as_str()?.contains(" bytes; the largest it ever acknowledged is ");
        known.then_some(())
    });
    let log = gateway.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("is set aside")).collect();
    assert!(
        lines.len() == 1 && lines[0].contains("push_id=\"large\"") && lines[0].contains("client=\"a\""),
        "{lines:?}"
    );
    // It is tried again after what is owed, and refused in the end.
    let mut tries = 0;
    for n in 0.. {
        gateway.http().push(&format!("q{n}"), "group:news", &format!("q{n}"));
        let (more, closes) = closes_on_large(&gateway, &connect, 2);
        assert_eq!(more, [format!("q{n}")]);
        tries += u32::from(closes);
        if member(&gateway, "large")["state"] == "aborted" {
            break;
        }
        assert!(n < 10, "{}", member(&gateway, "large"));
    }
    assert_eq!(tries, 3);
    let outcome = gateway.http().wait_outcome("large", "aborted", "0 of 1, 1 refused");
    assert_eq!(outcome["code"], 5237, "larger than anything that it acknowledged: {outcome}");
}

#[test]
fn a_push_that_a_terminal_dropped_without_a_word_let_a_window_through_every_five_minutes() {
    let gateway = Gateway::start();
    let connect = Connect::v3("a", "alice");
    waiting_pushes(&gateway, &connect, 80);
    let mut device = Raw::connect(gateway.mqtt, &connect);
    let mut got = Vec::new();
    let mut dropped = 0;
    while got.len() < 81 {
        let push = device.publish_in();
        if push.payload.len() > 256 {
            dropped = push.id;
            continue;
        }
        device.puback(push.id);
        got.push(push.text().to_owned());
    }
    assert_eq!(got, [vec!["small".to_owned()], numbers(80)].concat());
    assert!(member(&gateway, "large")["desc"].as_str().unwrap().starts_with("set aside: "));
    // Nothing is sent again on the same connection, and a late answer settles it.
    device.assert_silent();
    device.puback(dropped);
    gateway.http().wait_outcome("large", "delivered", "1 of 1");
    gateway.http().wait_outcome("p80", "delivered", "1 of 1");
}

#[test]
fn a_terminal_in_a_tunnel_loses_no_push_and_gets_none_refused() {
    let gateway = Gateway::start();
    let connect = Connect::v5("a", "alice");
    let mut alice = Raw::connect(gateway.mqtt, &connect);
    alice.join("news");
    alice.disconnect();
    for n in numbers(3) {
        gateway.http().push(&format!("p{n}"), "group:news", &n);
    }
    // The connection is lost each time before the first answer leaves.
    for _ in 0..20 {
        let mut alice = Raw::connect(gateway.mqtt, &connect);
        alice.publish_in();
        drop(alice);
    }
    let mut alice = Raw::connect(gateway.mqtt, &connect);
    let mut got: Vec<String> = (0..3).map(|_| alice.push().text().to_owned()).collect();
    got.sort();
    assert_eq!(got, numbers(3), "what had been set aside comes as well");
    for n in numbers(3) {
        gateway.http().wait_outcome(&format!("p{n}"), "delivered", "1 of 1");
    }
    alice.assert_silent();
}

#[test]
fn another_terminal_of_the_user_gets_it_as_if_nothing_had_happened() {
    let gateway = Gateway::start();
    let small = Connect::v3("small-one", "alice");
    waiting_pushes(&gateway, &small, 3);
    let mut got = 0;
    while got < 4 {
        got += closes_on_large(&gateway, &small, 4 - got).0.len();
    }
    gateway.http().wait_outcome("p3", "delivered", "1 of 1");
    let mut big = Raw::connect(gateway.mqtt, &Connect::v3("big-one", "alice"));
    assert_eq!(big.push().text(), large(), "and nothing else, which has been answered");
    gateway.http().wait_outcome("large", "delivered", "1 of 1");
    big.assert_silent();
    // The one that could not take it is not asked again.
    let (again, closed) = closes_on_large(&gateway, &small, 1);
    assert!(again.is_empty() && !closed, "{again:?}");
}

#[test]
fn what_is_set_aside_survives_kill_9() {
    let mut gateway = Gateway::start();
    let connect = Connect::v3("a", "alice");
    waiting_pushes(&gateway, &connect, 3);
    let mut got = Vec::new();
    while got.len() < 4 {
        got.extend(closes_on_large(&gateway, &connect, 4 - got.len()).0);
    }
    gateway.http().wait_outcome("p3", "delivered", "1 of 1");
    gateway.kill();
    gateway.restart();
    gateway.http().push("after", "group:news", "after");
    let (got, closed) = closes_on_large(&gateway, &connect, 2);
    assert_eq!((got, closed), (vec!["after".to_owned()], true), "first what is owed, then it is tried again");
}

#[test]
fn a_resumed_session_does_not_send_it_again_first_and_keeps_its_packet_id() {
    let gateway = Gateway::start();
    let connect = Connect::v5("a", "alice").lasting();
    waiting_pushes(&gateway, &connect, 2);
    let mut ids = Vec::new();
    let mut got = Vec::new();
    let mut taken = Vec::new();
    let mut device = Raw::connect(gateway.mqtt, &connect);
    for _ in 0..8 {
        while let Some(packet) = device.try_packet(Duration::from_secs(1)) {
            let push = device.parse(&packet);
            if push.payload.len() > LARGEST {
                ids.push(push.id);
                break;
            }
            taken.push(push.id);
            device.puback(push.id);
            got.push(push.text().to_owned());
        }
        if got.len() == 3 && ids.len() >= 4 {
            break;
        }
        // Before the next one comes: a take-over says nothing about the push.
        drop(device);
        device = Raw::connect(gateway.mqtt, &connect);
    }
    assert_eq!(got, ["small", "1", "2"]);
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "under its packet id each time: {ids:?}");
    assert!(!taken[1..].contains(&ids[0]), "which no other push had: {taken:?} and {ids:?}");
}

#[test]
fn cancel_and_leave_end_what_is_set_aside() {
    let gateway = Gateway::start();
    let connect = Connect::v3("a", "alice");
    for round in ["one", "two"] {
        let mut alice = Raw::connect(gateway.mqtt, &connect);
        alice.join("news");
        alice.disconnect();
        gateway.http().push(&format!("large-{round}"), "group:news", &large());
        gateway.http().push(&format!("small-{round}"), "group:news", "small");
        wait_for("the small one", || (closes_on_large(&gateway, &connect, 1).0.len() == 1).then_some(()));
        let desc = || member(&gateway, &format!("large-{round}"))["desc"].as_str().unwrap().to_owned();
        wait_for("it to be set aside", || desc().starts_with("set aside").then_some(()));
        if round == "one" {
            assert_eq!(gateway.http().send("DELETE", "/api/v1/pushes/large-one", "", b"").status, 200);
            gateway.http().wait_outcome("large-one", "cancelled", "0 of 1");
        } else {
            assert_eq!(gateway.http().send("DELETE", "/api/v1/groups/news/members/alice", "", b"").status, 204);
            gateway.http().wait_outcome("large-two", "undeliverable", "0 of 1, 1 left the group");
        }
        let (got, closed) = closes_on_large(&gateway, &connect, 1);
        assert!(got.is_empty() && !closed, "{got:?}");
    }
}

#[test]
fn a_push_by_two_addresses_is_set_aside_for_both() {
    let gateway = Gateway::start();
    let connect = Connect::v3("a", "alice");
    let mut alice = Raw::connect(gateway.mqtt, &connect);
    alice.join("g");
    alice.join("h");
    alice.disconnect();
    let both = |id: &str, text: &str| Pap::new(id).to("group:g").to("group:h").text(text);
    gateway.http().pap(&both("large", &large()));
    gateway.http().pap(&both("small", "small"));
    let mut got = Vec::new();
    let mut closed = 0;
    while got.is_empty() {
        let (more, closes) = closes_on_large(&gateway, &connect, 1);
        got.extend(more);
        closed += u32::from(closes);
        assert!(closed < 8);
    }
    assert_eq!(got, ["small"]);
    let recipients = gateway.http().get("/api/v1/pushes/large/recipients").json();
    for one in recipients["recipients"].as_array().unwrap() {
        assert!(one["desc"].as_str().unwrap().starts_with("set aside"), "{recipients}");
    }
    let mut other = Raw::connect(gateway.mqtt, &Connect::v3("b", "alice"));
    assert_eq!(other.push().text(), large());
    other.assert_silent();
    wait_for("both addresses to be delivered", || {
        let push = gateway.http().get("/api/v1/pushes/large").json();
        (0..2).all(|at| push["addresses"][at]["state"] == "delivered").then_some(())
    });
}

/// Its incoming packets may have 10 KiB unless told otherwise, and it closes on a larger one without a word.
#[tokio::test]
async fn rumqttc_with_its_default_packet_limit_gets_everything_else() {
    use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
    let gateway = Gateway::start();
    let mut options = MqttOptions::new("rumqttc", gateway.mqtt.ip().to_string(), gateway.mqtt.port());
    options.set_credentials("erin", "");
    let (client, mut events) = AsyncClient::new(options, 10);
    client.publish("$push/join/news", QoS::AtLeastOnce, false, "").await.unwrap();
    let (mut got, mut closed) = (Vec::new(), 0);
    let work = async {
        while got.len() < 10 {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::Publish(publish))) if publish.topic == "$push/response" => {
                    let http = gateway.http();
                    let submit = move || {
                        http.push("large", "group:news", &large());
                        numbers(10).iter().for_each(|n| http.push(&format!("p{n}"), "group:news", n));
                    };
                    tokio::task::spawn_blocking(submit).await.unwrap();
                }
                Ok(Event::Incoming(Incoming::Publish(publish))) => {
                    got.push(String::from_utf8(publish.payload.to_vec()).unwrap());
                }
                Ok(_) => {}
                Err(_) => closed += 1,
            }
        }
    };
    tokio::time::timeout(crate::common::DEADLINE, work).await.unwrap();
    got.sort_by_key(|n| n.parse::<u32>().unwrap());
    assert_eq!(got, numbers(10));
    assert!(closed >= 3, "{closed}");
}

/// The exception keeps paho from answering; whoever runs such a program starts it again.
#[test]
fn a_paho_client_whose_callback_raises_gets_everything_else() {
    if !super::examples::has_paho() {
        return;
    }
    let gateway = Gateway::start();
    gateway.http().bind("news", "pat");
    gateway.http().push("bad", "group:news", "bad");
    for n in numbers(10) {
        gateway.http().push(&format!("p{n}"), "group:news", &n);
    }
    let program = r#"
import sys, paho.mqtt.client as mqtt
def on_message(client, userdata, message):
    if message.payload == b"bad":
        raise ValueError("this callback cannot deal with it")
    print(message.payload.decode(), flush=True)
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="pat", protocol=mqtt.MQTTv311)
client.username_pw_set("pat")
client.on_message = on_message
while True:
    client.connect(sys.argv[1], int(sys.argv[2]))
    try:
        while client.loop(1.0) == mqtt.MQTT_ERR_SUCCESS:
            pass
    except ValueError:
        client._sock_close()
"#;
    let (host, port) = (gateway.mqtt.ip().to_string(), gateway.mqtt.port().to_string());
    let mut child = std::process::Command::new("python3")
        .args(["-c", program, &host, &port])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = crate::common::Lines::of(child.stdout.take().unwrap());
    let mut got: Vec<String> = (0..10).map(|_| lines.next()).collect();
    got.sort_by_key(|n| n.parse::<u32>().unwrap());
    assert_eq!(got, numbers(10));
    gateway.http().wait_outcome("p10", "delivered", "1 of 1");
    assert!(member(&gateway, "bad")["desc"].as_str().unwrap().starts_with("set aside"));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What one of them could not take was not noticed of the other: it closed for ever, and nothing was refused.
#[test]
fn two_terminals_of_a_user_that_both_cannot_take_it() {
    let gateway = Gateway::start();
    let (one, other) = (Connect::v3("one", "alice"), Connect::v3("other", "alice"));
    waiting_pushes(&gateway, &one, 3);
    let mut round = 0;
    while member(&gateway, "large")["state"] != "aborted" {
        round += 1;
        assert!(round < 40, "{} {}", member(&gateway, "large"), gateway.log());
        for connect in [&one, &other] {
            let id = format!("{round}-{}", connect.client);
            gateway.http().push(&id, "group:news", &id);
            let (got, _) = closes_on_large(&gateway, connect, 20);
            if round > 12 {
                assert!(got.contains(&id), "it gets the others: {got:?}");
            }
        }
    }
}

/// It expires before it is set aside, or is set aside at two addresses: what is behind it goes on all the same.
#[test]
fn what_is_dropped_and_over_or_has_two_addresses_keeps_nothing_behind_it() {
    let gateway = Gateway::start();
    let connect = Connect::v3("a", "alice");
    let mut device = Raw::connect(gateway.mqtt, &connect);
    device.join("g");
    device.join("h");
    let soon = crate::common::in_seconds(3);
    let both = |id: &str| Pap::new(id).to("group:g").to("group:h").text(&large());
    assert_eq!(gateway.http().pap(&both("brief").attribute("deliver-before-timestamp", &soon)).pap_code(), 1001);
    assert_eq!(gateway.http().pap(&both("large")).pap_code(), 1001);
    for n in numbers(60) {
        gateway.http().push(&format!("g{n}"), "group:g", &n);
        gateway.http().push(&format!("h{n}"), "group:h", &n);
    }
    let mut got = 0;
    while got < 120 {
        let push = device.publish_in();
        if push.payload.len() <= 256 {
            device.puback(push.id);
            got += 1;
        }
    }
    gateway.http().wait_outcome("h60", "delivered", "1 of 1");
    gateway.http().wait_outcome("g60", "delivered", "1 of 1");
}

/// With a Receive Maximum of 1 nothing can overtake it: the acknowledgement time-out ends the connection, and that counts.
#[test]
fn with_a_receive_maximum_of_one_the_time_out_sets_it_aside() {
    let gateway = Gateway::start_with("[mqtt]\nack_timeout = \"1s\"\n", &[]);
    let mut connect = Connect::v5("a", "alice");
    connect.properties.extend([0x21, 0, 1]);
    waiting_pushes(&gateway, &connect, 3);
    let mut got = Vec::new();
    for _ in 0..8 {
        let mut device = Raw::connect(gateway.mqtt, &connect);
        while got.len() < 4 {
            // A DISCONNECT, or nothing: it was ended.
            let Some(packet) = device.try_packet(Duration::from_secs(10)).filter(|packet| packet.first >> 4 == 3)
            else {
                break;
            };
            let push = device.parse(&packet);
            if push.payload.len() <= 256 {
                device.puback(push.id);
                got.push(push.text().to_owned());
            }
        }
    }
    assert_eq!(got, ["small", "1", "2", "3"]);
}

#[test]
fn what_replaces_a_push_that_is_set_aside_is_owed() {
    let gateway = Gateway::start();
    let connect = Connect::v3("a", "alice");
    waiting_pushes(&gateway, &connect, 3);
    let mut got = Vec::new();
    while got.len() < 4 {
        got.extend(closes_on_large(&gateway, &connect, 4 - got.len()).0);
    }
    wait_for("it to be set aside", || {
        member(&gateway, "large")["desc"].as_str()?.starts_with("set aside").then_some(())
    });
    let new = Pap::new("new").to("group:news").text("smaller");
    let new = new.attribute("replace-push-id", "large").attribute("replace-method", "pending-only");
    assert_eq!(gateway.http().pap(&new).pap_code(), 1001);
    assert_eq!(closes_on_large(&gateway, &connect, 1), (vec!["smaller".to_owned()], false));
    gateway.http().wait_outcome("large", "cancelled", "0 of 1");
}

/// Such devices were never known to have failed before.
#[test]
fn a_device_with_a_new_client_id_for_each_connection_gets_everything_else() {
    let gateway = Gateway::start();
    waiting_pushes(&gateway, &Connect::v3("first", "alice"), 3);
    let (mut got, mut n) = (Vec::new(), 0);
    while got.len() < 4 {
        n += 1;
        assert!(n < 12, "{got:?} {}", gateway.log());
        got.extend(closes_on_large(&gateway, &Connect::v3(&format!("c{n}"), "alice"), 4 - got.len()).0);
    }
    assert_eq!(got, ["small", "1", "2", "3"]);
    gateway.http().push("after", "group:news", "after");
    // How often the large one was tried by then depends on how soon the ends of connections are noticed.
    assert_eq!(closes_on_large(&gateway, &Connect::v3("next", "alice"), 1).0, ["after"]);
}
