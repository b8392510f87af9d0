//! Result notifications: the sender learns what became of its push.

use serde_json::{Value, json};

use crate::common::Gateway;
use crate::common::http::Pap;
use crate::common::initiator::Initiator;
use crate::common::mqtt::{Connect, Raw};

const LOCAL: &str = "[notify]\nallow_private = true\n";

fn asked(id: &str, initiator: &Initiator) -> Pap {
    Pap::new(id).attribute("ppg-notify-requested-to", &initiator.url)
}

#[test]
fn a_group_is_one_address_and_gets_one_notification_when_everybody_has_it() {
    let gateway = Gateway::start_with(LOCAL, &[]);
    let initiator = Initiator::start();
    for user in ["alice", "bob"] {
        gateway.http().bind("news", user);
    }
    let push = asked("p1", &initiator).to("WAPPUSH=news/TYPE=GROUP@ppg").delivery("confirmed");
    assert_eq!(gateway.http().pap(&push).pap_code(), 1001);
    Raw::connect(gateway.mqtt, &Connect::v3("a", "alice")).push();
    initiator.assert_silent();
    Raw::connect(gateway.mqtt, &Connect::v3("b", "bob")).push();
    let received = initiator.next();
    assert!(received.head.starts_with("POST /notify?a=b HTTP/1.1\r\n"), "{}", received.head);
    assert!(received.head.to_ascii_lowercase().contains("content-type: application/xml\r\n"));
    let body = &received.body;
    assert!(body.contains("DTD PAP 2.0//EN"), "in the version of the submission: {body}");
    let begin = format!(
        "<pap><resultnotification-message push-id=\"p1\" sender-address=\"http://{}/pap\" sender-name=\"papcast ",
        gateway.http
    );
    assert!(body.contains(&begin), "{body}");
    assert!(body.contains("Z\" message-state=\"delivered\" code=\"1000\" desc=\"2 of 2\"><address address-value=\"WAPPUSH=news/TYPE=GROUP@ppg\"/><quality-of-service priority=\"medium\" delivery-method=\"confirmed\"/></resultnotification-message></pap>"), "{body}");
    initiator.assert_silent();
}

#[test]
fn version_1_0_is_notified_in_1_0_and_json_in_json() {
    let gateway = Gateway::start_with(LOCAL, &[]);
    let initiator = Initiator::start();
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    let body = asked("p1", &initiator).to("group:empty").body().replace("DTD PAP 2.0//EN", "DTD PAP 1.0//EN");
    gateway.http().send("POST", "/pap", "multipart/related; boundary=xyz", body.as_bytes());
    let body = initiator.next().body;
    assert!(body.contains("-//WAPFORUM//DTD PAP 1.0//EN\" \"http://www.wapforum.org/DTD/pap_1.0.dtd\">"), "{body}");
    assert!(body.contains("message-state=\"undeliverable\" code=\"4510\" desc=\"0 of 0\""), "{body}");
    let push = json!({"to":["group:empty"],"body":"x","push_id":"j1","notify_url":initiator.url});
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", push).status, 202);
    let received = initiator.next();
    let message: Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(
        (&message["push_id"], &message["state"], &message["code"], &message["desc"]),
        (&json!("j1"), &json!("undeliverable"), &json!(4510), &json!("0 of 0"))
    );
}

#[test]
fn every_end_is_notified_and_each_address_has_its_own() {
    let gateway = Gateway::start_with(LOCAL, &[]);
    let initiator = Initiator::start();
    let at = |seconds: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        papcast::clock::format_utc((now.cast_signed() + seconds) * 1000)
    };
    for group in ["g", "h"] {
        gateway.http().bind(group, "alice");
    }
    gateway.http().pap(&asked("expires", &initiator).to("group:g").attribute("deliver-before-timestamp", &at(2)));
    assert!(initiator.next().body.contains("push-id=\"expires\""));
    gateway.http().pap(&asked("cancelled", &initiator).to("group:g").to("group:h"));
    gateway.http().json("DELETE", "/api/v1/pushes/cancelled", Value::Null);
    let bodies = [initiator.next().body, initiator.next().body];
    assert!(
        bodies
            .iter()
            .all(|body| body.contains("push-id=\"cancelled\"") && body.contains("message-state=\"cancelled\""))
    );
    assert!(bodies.iter().any(|body| body.contains("group:g")) && bodies.iter().any(|body| body.contains("group:h")));
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    gateway.http().pap(&asked("refused", &initiator).to("user:alice"));
    let push = alice.publish_in();
    alice.puback_reason(push.id, 0x99);
    assert!(initiator.next().body.contains("message-state=\"aborted\" code=\"5238\" desc=\"0 of 1, 1 refused\""));
    gateway.http().pap(&asked("left", &initiator).to("group:h"));
    alice.publish_in();
    gateway.http().json("DELETE", "/api/v1/groups/h/members/alice", Value::Null);
    assert!(initiator.next().body.contains("push-id=\"left\""));
    initiator.assert_silent();
}

#[test]
fn what_is_not_taken_is_posted_again_until_a_2xx_comes() {
    let gateway = Gateway::start_with(LOCAL, &[]);
    let initiator = Initiator::start();
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    initiator.answer("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    initiator.answer("");
    initiator.answer("HTTP/1.1 202 Accepted\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<pap/");
    gateway.http().pap(&asked("p1", &initiator).to("group:empty"));
    let bodies = [initiator.next().body, initiator.next().body, initiator.next().body];
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same each time");
    initiator.assert_silent();
}

#[test]
fn a_2xx_whose_body_never_came_was_posted_again() {
    use std::io::{Read, Write};
    let gateway = Gateway::start_with("[notify]\nallow_private = true\ntimeout = \"1s\"\n", &[]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    let push = json!({"to":["group:empty"],"body":"x","push_id":"p1","notify_url":url});
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", push).status, 202);
    let (mut stream, _) = listener.accept().unwrap();
    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").unwrap();
    crate::common::wait_for("the notification to be received", || {
        gateway.http().outcome("p1")["notification"].is_null().then_some(())
    });
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "it was posted again");
}

#[test]
fn a_response_that_complains_is_logged() {
    let gateway = Gateway::start_with(LOCAL, &[]);
    let initiator = Initiator::start();
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    let body = "<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 1.0//EN\" \"x\"><pap><resultnotification-response push-id=\"p1\" code=\"2000\" desc=\"no such push\"><address address-value=\"a\"/></resultnotification-response></pap>";
    let length = body.len();
    let answer =
        format!("HTTP/1.1 202 Accepted\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\n\r\n{body}");
    initiator.answer(answer.leak());
    gateway.http().pap(&asked("p1", &initiator).to("group:empty"));
    initiator.next();
    crate::common::wait_for("the complaint to be logged", || gateway.log().contains("2000 no such push").then_some(()));
    initiator.assert_silent();
}

#[test]
fn a_notification_survives_kill_9() {
    let mut gateway = Gateway::start_with(LOCAL, &[]);
    let initiator = Initiator::start();
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    initiator.answer("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n");
    gateway.http().pap(&asked("p1", &initiator).to("group:empty"));
    initiator.next();
    gateway.kill();
    gateway.restart();
    assert!(initiator.next().body.contains("push-id=\"p1\""));
}

#[test]
fn redirects_are_not_followed_and_some_day_it_is_given_up() {
    let gateway = Gateway::start_with("[notify]\nallow_private = true\ngive_up = \"1s\"\n", &[]);
    let (initiator, other) = (Initiator::start(), Initiator::start());
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    for _ in 0..4 {
        let location = format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", other.url);
        initiator.answer(location.leak());
    }
    gateway.http().pap(&asked("p1", &initiator).to("group:empty"));
    initiator.next();
    crate::common::wait_for("the notification to be given up", || {
        gateway.log().contains("a result notification was given up").then_some(())
    });
    other.assert_silent();
    let shown = gateway.http().outcome("p1")["notification"].clone();
    assert_eq!((&shown["state"], &shown["next_attempt"]), (&json!("given-up"), &Value::Null));
    assert!(shown["failure"].as_str().unwrap().contains("302"), "{shown}");
}

#[test]
fn a_slow_receiver_delayed_the_notifications_of_others() {
    let gateway = Gateway::start_with("[notify]\nallow_private = true\nparallel = 3\n", &[]);
    let initiator = Initiator::start();
    // Takes connections and never says a word; its attempt lasts notify.timeout, 10 s.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    let push = json!({"to":["group:empty"],"body":"x","push_id":"slow","notify_url":url});
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", push).status, 202);
    let held = silent.accept().unwrap();
    for n in 0..8 {
        gateway.http().pap(&asked(&format!("p{n}"), &initiator).to("group:empty"));
    }
    for _ in 0..8 {
        initiator.next();
    }
    // Not how fast, but what it waited for: the attempt at the silent one is still under way.
    assert_eq!(gateway.http().outcome("slow")["notification"]["attempts"], 0);
    drop(held);
}

#[test]
fn receivers_that_hang_delayed_the_notifications_of_one_that_answers() {
    // All of theirs one after the other in four places would take ten times the deadline of a test.
    let gateway = Gateway::start_with("[notify]\nallow_private = true\nparallel = 4\ntimeout = \"2s\"\n", &[]);
    let initiator = Initiator::start();
    let silent: Vec<_> = (0..60).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    gateway.http().pap(&asked("first", &initiator).to("group:empty"));
    initiator.next();
    for (number, listener) in silent.iter().enumerate() {
        for n in 0..if number == 0 { 200 } else { 20 } {
            // However the URL is spelled.
            let url = format!("http://{}?n={n}", listener.local_addr().unwrap());
            let push = json!({"to":["group:empty"],"body":"x","notify_url":url});
            assert_eq!(gateway.http().json("POST", "/api/v1/pushes", push).status, 202);
        }
    }
    for n in 0..20 {
        gateway.http().pap(&asked(&format!("p{n}"), &initiator).to("group:empty"));
    }
    for _ in 0..20 {
        initiator.next();
    }
}

#[test]
fn two_receivers_that_take_their_time_kept_the_others_waiting_until_they_had_everything() {
    let gateway = Gateway::start_with("[notify]\nallow_private = true\nparallel = 4\n", &[]);
    let (initiator, slow) = (Initiator::start(), [Initiator::start_slow(), Initiator::start_slow()]);
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    for (n, one) in slow.iter().chain([&initiator]).enumerate() {
        gateway.http().pap(&asked(&format!("first{n}"), one).to("group:empty"));
        one.next();
    }
    for n in 0..60 {
        for (which, one) in slow.iter().enumerate() {
            gateway.http().pap(&asked(&format!("slow{which}-{n}"), one).to("group:empty"));
        }
    }
    gateway.http().pap(&asked("p", &initiator).to("group:empty"));
    initiator.next();
    let last = gateway.http().outcome("slow0-59")["notification"].clone();
    assert_eq!(last["state"], "waiting", "they had everything by then: {last}");
}

#[test]
fn a_notification_does_not_reach_what_only_the_gateway_can() {
    let gateway = Gateway::start();
    let initiator = Initiator::start();
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    for url in [
        initiator.url.as_str(),
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest",
        "ftp://pi.example/",
        "localhost",
    ] {
        let reply = gateway.http().pap(&Pap::new("p1").to("group:empty").attribute("ppg-notify-requested-to", url));
        assert_eq!(reply.pap_code(), 2001, "{url}: {reply:?}");
    }
    let push = json!({"to":["group:empty"],"body":"x","notify_url":"http://127.0.0.1/"});
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", push).status, 400);
    assert_eq!(gateway.http().get("/api/v1/pushes").json()["pushes"], json!([]));
    // A name is resolved when it is used, and what it leads to is checked then.
    let named = initiator.url.replace("127.0.0.1", "localhost");
    let reply = gateway.http().pap(&Pap::new("p2").to("group:empty").attribute("ppg-notify-requested-to", &named));
    assert_eq!(reply.pap_code(), 1001);
    initiator.assert_silent();
}

#[test]
fn a_push_whose_notifications_may_go_nowhere_is_taken_without_them_where_that_is_wished() {
    let gateway = Gateway::start_with("[notify]\nforbidden_url = \"suppress\"\n", &[]);
    let initiator = Initiator::start();
    gateway.http().json("PUT", "/api/v1/groups/empty", Value::Null);
    for (id, url) in [("local", initiator.url.as_str()), ("relative", "/notify"), ("secure", "ftp://pi.example/")] {
        let pap = Pap::new(id).to("group:empty").attribute("ppg-notify-requested-to", url);
        assert_eq!(gateway.http().pap(&pap).pap_code(), 1001, "{url}");
        assert!(gateway.log().contains(&format!("push_id=\"{id}\"")), "{}", gateway.log());
    }
    initiator.assert_silent();
    let shown = gateway.http().outcome("local");
    assert_eq!(shown["notification"], Value::Null, "{shown}");
}
