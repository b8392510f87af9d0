//! Real clients: mosquitto's, and rumqttc in both versions.

use std::time::Duration;

use serde_json::json;

use crate::common::mosquitto::{self, Sub};
use crate::common::{DEADLINE, Gateway};

#[test]
fn the_readme_by_hand_with_mosquitto_clients() {
    if !mosquitto::available() {
        return;
    }
    let gateway = Gateway::start();
    let alice = "sip:alice@example.com";
    let sub = Sub::start(gateway.mqtt, &["-u", alice, "-t", "$push/response", "-v"]);
    // The second connection acts for the same user, so the first gets the group's pushes.
    assert_eq!(mosquitto::publish(gateway.mqtt, &["-u", alice, "-t", "$push/join/news", "-n"]), 0);
    crate::common::wait_for("alice to be bound", || {
        let user = gateway.http().get("/api/v1/users/sip%3Aalice%40example.com").json();
        (user["groups"][0]["group"] == "news").then_some(())
    });
    gateway.http().push("p1", "WAPPUSH=news/TYPE=GROUP@papcast", "Hello, group");
    assert_eq!(sub.message(), "groups/news Hello, group");
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
}

#[test]
fn mosquitto_rr_asks_and_reads_the_answer() {
    if !mosquitto::available() {
        return;
    }
    let gateway = Gateway::start();
    let answer =
        mosquitto::request(gateway.mqtt, &["-u", "bob", "-t", "$push/join/news", "-n", "-e", "$push/response/rr"]);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["status"], &answer["topic"]), (&json!("accepted"), &json!("groups/news")));
    let answer = mosquitto::request(
        gateway.mqtt,
        &["-u", "bob", "-t", "$push/request", "-m", r#"{"op":"list","id":"7"}"#, "-e", "$push/response"],
    );
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["id"], &answer["groups"][0]["group"]), (&json!("7"), &json!("news")));
}

#[test]
fn mosquitto_sub_on_a_group_in_both_versions_and_at_every_qos() {
    if !mosquitto::available() {
        return;
    }
    let gateway = Gateway::start();
    for (version, qos) in [("mqttv311", "0"), ("mqttv311", "1"), ("mqttv5", "1"), ("mqttv5", "2")] {
        let sub = Sub::start(gateway.mqtt, &["-V", version, "-q", qos, "-u", "carol", "-t", "groups/news", "-v"]);
        let id = format!("{version}-{qos}");
        gateway.http().push(&id, "group:news", &id);
        assert_eq!(sub.message(), format!("groups/news {id}"));
        gateway.http().wait_outcome(&id, "delivered", "1 of 1");
    }
}

#[test]
fn mosquitto_sub_with_a_persistent_session_misses_nothing() {
    if !mosquitto::available() {
        return;
    }
    let gateway = Gateway::start();
    let args = ["-i", "keeper", "-c", "-q", "1", "-u", "dave", "-t", "groups/news"];
    drop(Sub::start(gateway.mqtt, &args));
    for n in 1..=5 {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    let sub = Sub::start(gateway.mqtt, &args);
    // What was owed may come before the SUBACK that `start` waits for; it is all there by now or comes.
    gateway.http().wait_outcome("p5", "delivered", "1 of 1");
    gateway.http().push("p6", "group:news", "6");
    let mut last = String::new();
    while last != "6" {
        last = sub.message();
    }
}

#[test]
fn mosquitto_pub_is_refused_on_closed_topics_in_version_5() {
    if !mosquitto::available() {
        return;
    }
    let gateway = Gateway::start();
    let sub = Sub::start(gateway.mqtt, &["-t", "#", "-v"]);
    mosquitto::publish(gateway.mqtt, &["-V", "5", "-q", "1", "-t", "groups/news", "-m", "forged"]);
    mosquitto::publish(gateway.mqtt, &["-q", "2", "-t", "anything", "-m", "forged"]);
    sub.lines.assert_silent();
}

#[tokio::test]
async fn rumqttc_v4_gets_what_it_is_bound_to() {
    use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
    let gateway = Gateway::start();
    let mut options = MqttOptions::new("rumqttc-4", gateway.mqtt.ip().to_string(), gateway.mqtt.port());
    options.set_credentials("erin", "").set_keep_alive(Duration::from_secs(5));
    let (client, mut events) = AsyncClient::new(options, 10);
    client.publish("$push/join/news", QoS::AtLeastOnce, false, "").await.unwrap();
    let work = async {
        loop {
            if let Event::Incoming(Incoming::Publish(publish)) = events.poll().await.unwrap() {
                if publish.topic == "$push/response" {
                    let http = gateway.http();
                    tokio::task::spawn_blocking(move || http.push("p1", "group:news", "to rumqttc")).await.unwrap();
                } else {
                    return publish;
                }
            }
        }
    };
    let publish = tokio::time::timeout(DEADLINE, work).await.unwrap();
    assert_eq!(
        (publish.topic.as_str(), &publish.payload[..], publish.qos),
        ("groups/news", &b"to rumqttc"[..], QoS::AtLeastOnce)
    );
}

#[tokio::test]
async fn rumqttc_v5_reads_properties_and_asks_with_a_response_topic() {
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::{Packet, PublishProperties};
    use rumqttc::v5::{AsyncClient, Event, MqttOptions};
    let gateway = Gateway::start();
    let mut options = MqttOptions::new("rumqttc-5", gateway.mqtt.ip().to_string(), gateway.mqtt.port());
    options.set_credentials("frank", "");
    let (client, mut events) = AsyncClient::new(options, 10);
    let properties = PublishProperties {
        response_topic: Some("answers/here".into()),
        correlation_data: Some("c-1".into()),
        ..PublishProperties::default()
    };
    client.publish_with_properties("$push/join/news", QoS::AtLeastOnce, false, "", properties).await.unwrap();
    let work = async {
        loop {
            let Event::Incoming(Packet::Publish(publish)) = events.poll().await.unwrap() else { continue };
            let properties = publish.properties.unwrap_or_default();
            if &publish.topic[..] == b"answers/here" {
                assert_eq!(properties.correlation_data.as_deref(), Some(&b"c-1"[..]));
                let http = gateway.http();
                tokio::task::spawn_blocking(move || http.push("p1", "group:news", "hi")).await.unwrap();
            } else {
                return properties;
            }
        }
    };
    let properties = tokio::time::timeout(DEADLINE, work).await.unwrap();
    assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    assert!(properties.user_properties.contains(&("push-id".into(), "p1".into())));
}
