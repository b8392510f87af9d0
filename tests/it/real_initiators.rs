//! What unmodified initiators ran into: names of groups, ports behind them, words of their own, lists with stale entries.

use serde_json::json;

use crate::common::Gateway;
use crate::common::http::{Pap, Reply};
use crate::common::initiator::Initiator;
use crate::common::mqtt::{Connect, Raw};

const STRICT: &str = "[pap.endpoints.\"/strict\"]\nprofile = \"spec\"\nstrict = true\n";
const MULTIPART: &str = "multipart/related; boundary=xyz; type=\"application/xml\"";

fn post(gateway: &Gateway, path: &str, pap: &Pap) -> Reply {
    let related = "multipart/related; boundary=xyz; type=\"application/xml\"";
    gateway.http().send("POST", path, related, pap.body().as_bytes())
}

/// A cancel or a status query, without a DOCTYPE.
fn ask(gateway: &Gateway, path: &str, operation: &str, push_id: &str, addresses: &[&str]) -> Reply {
    let addresses: String = addresses.iter().map(|address| format!("<address address-value=\"{address}\"/>")).collect();
    let body = format!("<pap><{operation} push-id=\"{push_id}\">{addresses}</{operation}></pap>");
    gateway.http().send("POST", path, "application/xml", body.as_bytes())
}

fn user_of(gateway: &Gateway, push_id: &str) -> serde_json::Value {
    gateway.http().get(&format!("/api/v1/pushes/{push_id}/recipients")).json()["recipients"][0]["user"].clone()
}

#[test]
fn a_port_behind_the_name_of_a_group_hid_the_group() {
    let gateway = Gateway::start_with(STRICT, &[]);
    gateway.http().bind("kit", "tel:+15550100");
    for (number, address) in [
        "WAPPUSH=%24kit%3A7874/TYPE=USER@rim.net",
        "WAPPUSH=group%3akit%3A100/TYPE=USER",
        "WAPPUSH=kit%3A100/TYPE=GROUP",
        "WAPPUSH=%2b15550100%3A100/TYPE=PLMN",
        "group:kit:100",
        "kit:100",
        "kit%3A100",
    ]
    .iter()
    .enumerate()
    {
        let id = format!("p{number}");
        assert_eq!(gateway.http().pap(&Pap::new(&id).to(address)).pap_code(), 1001, "{address}");
        assert_eq!(user_of(&gateway, &id), "tel:+15550100", "{address}");
    }
    // The whole name counts more.
    gateway.http().bind("kit:100", "alice");
    gateway.http().push("whole", "WAPPUSH=kit%3A100/TYPE=GROUP@p", "x");
    assert_eq!(user_of(&gateway, "whole"), "alice");
    for address in ["WAPPUSH=kit%3A7/TYPE=GROUP@p", "group:kit:7", "kit"] {
        assert_eq!(post(&gateway, "/strict", &Pap::new("s").to(address)).pap_code(), 2002, "{address}");
    }
    assert_eq!(post(&gateway, "/strict", &Pap::new("s").to("WAPPUSH=kit/TYPE=GROUP@p")).pap_code(), 1001);
}

#[test]
fn a_group_whose_bare_name_was_given_was_not_found_and_nobody_said_how_to_write_it() {
    let gateway = Gateway::start();
    gateway.http().bind("kit", "alice");
    gateway.http().push("p1", "kit", "x");
    assert_eq!(user_of(&gateway, "p1"), "alice");
    gateway.http().bind("other", "kit");
    gateway.http().push("p2", "kit", "x");
    assert_eq!(user_of(&gateway, "p2"), "kit", "a user of that name counts more");
    let desc = |path: &str, pap: &Pap, text: &str| {
        let reply = post(&gateway, path, pap);
        assert_eq!(reply.pap_code(), 2002, "{reply:?}");
        assert!(reply.body.contains(text), "{text} in {reply:?}");
    };
    desc(
        "/pap",
        &Pap::new("p3").to("nobody"),
        "a known group or user: nobody; a group is written group:nobody or $nobody",
    );
    desc("/pap", &Pap::new("p3").to("WAPPUSH=nobody/TYPE=USER@p"), "a group is written group:nobody or $nobody");
    desc("/pap", &Pap::new("p3").to("WAPPUSH=1.2.3.4/TYPE=IPv4@p"), "TYPE=IPv4 is not served: use USER, PLMN or GROUP");
    desc("/pap", &Pap::new("p3").to("WAPPUSH=12345678/TYPE=MAN@p"), "TYPE=MAN is not served");
    let all = Pap::new("p3").to("push_all");
    desc("/mss/PD_pushRequest", &all, "push_all (no source-reference says which group)");
    let named = all.attribute("source-reference", "app-17");
    desc("/mss/PD_pushRequest", &named, "push_all (the group &quot;app-17&quot;, from the source-reference)");
}

#[test]
fn a_delivery_method_of_rim_s_was_refused_to_a_client_that_looks_at_202_only() {
    let gateway = Gateway::start_with(STRICT, &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    for (method, qos) in [("application-level", 1), ("application-preferred", 1), ("transport-level", 0)] {
        let push = Pap::new(method).to("WAPPUSH=news/TYPE=GROUP@p").delivery(method);
        let refused = post(&gateway, "/strict", &push);
        assert!(refused.body.contains("<badmessage-response code=\"2000\""), "{refused:?}");
        for told in ["row X8", "confirmed, preferconfirmed, unconfirmed and notspecified"] {
            assert!(refused.body.contains(told), "{told} in {refused:?}");
        }
        assert_eq!(post(&gateway, "/pap", &push).pap_code(), 1001, "{method}");
        assert_eq!(alice.push().qos, qos, "{method}");
    }
    let metrics = gateway.http().get("/metrics").body;
    assert!(metrics.contains("papcast_pap_repairs_total{initiator=\"anonymous\",row=\"X8\"} 3"), "{metrics}");
    let reply = post(&gateway, "/pap", &Pap::new("p9").to("group:news").delivery("soon"));
    assert!(reply.body.contains("it is confirmed, preferconfirmed, unconfirmed or notspecified"), "{reply:?}");
}

#[test]
fn status_and_cancel_found_an_address_by_its_spelling_only() {
    let gateway = Gateway::start_with(STRICT, &[]);
    for user in ["aisha@b.example", "tel:+4915112345", "bob"] {
        gateway.http().bind("kit", user);
    }
    let push = Pap::new("p1")
        .to("WAPPUSH=aisha%40b.example%3A7874/\r\nTYPE=USER@rim.net")
        .to("WAPPUSH=+49-151-12345/TYPE=PLMN@ppg")
        .to("group:kit");
    assert_eq!(gateway.http().pap(&push).pap_code(), 1001);
    for (spelling, desc) in [
        ("WAPPUSH=aisha%40b.example%3A7874/TYPE=USER@rim.net", "0 of 1"),
        ("WAPPUSH=aisha@b.example:7874/TYPE=USER@rim.net", "0 of 1"),
        ("aisha@b.example", "0 of 1"),
        ("WAPPUSH=+4915112345/TYPE=PLMN@other", "0 of 1"),
        ("tel:+49 151 12345", "0 of 1"),
        ("4915112345", "0 of 1"),
        ("WAPPUSH=kit%3A100/TYPE=GROUP", "0 of 3"),
        ("$kit", "0 of 3"),
        ("kit", "0 of 3"),
    ] {
        let reply = ask(&gateway, "/pap", "statusquery-message", "p1", &[spelling]);
        assert_eq!(reply.pap_code(), 1000, "{spelling}: {reply:?}");
        assert!(reply.body.contains(&format!("<address address-value=\"{spelling}\"/>")), "as it was asked: {reply:?}");
        assert!(reply.body.contains(&format!("desc=\"{desc}\"")), "{reply:?}");
        assert_eq!(reply.body.matches("<statusquery-result ").count(), 1, "{reply:?}");
    }
    for stranger in ["bob", "carol", "group:other"] {
        let reply = ask(&gateway, "/pap", "statusquery-message", "p1", &[stranger]);
        assert_eq!(reply.pap_code(), 2003, "{stranger}: {reply:?}");
    }
    let reply = ask(&gateway, "/strict", "statusquery-message", "p1", &["4915112345"]);
    assert_ne!(reply.pap_code(), 1000, "a strict endpoint takes digits for what they are: {reply:?}");
    let reply = ask(&gateway, "/pap", "cancel-message", "p1", &["aisha@b.example", "4915112345", "nobody"]);
    assert_eq!(reply.pap_code(), 1000, "{reply:?}");
    assert!(reply.body.contains("code=\"2003\""), "{reply:?}");
    let states: Vec<_> = gateway.http().get("/api/v1/pushes/p1").json()["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|address| address["state"].clone())
        .collect();
    assert_eq!(states, ["cancelled", "cancelled", "pending"]);
    // A group that is gone is found by its name still.
    gateway.http().json("DELETE", "/api/v1/groups/kit", serde_json::Value::Null);
    let reply = ask(&gateway, "/pap", "statusquery-message", "p1", &["$kit"]);
    assert!(reply.body.contains("message-state=\"undeliverable\""), "{reply:?}");
}

#[test]
fn cancel_of_what_is_over_said_that_it_was_not_possible_and_no_more() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().push("p1", "group:news", "x");
    assert_eq!(alice.push().text(), "x");
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
    let reply = ask(&gateway, "/pap", "cancel-message", "p1", &[]);
    assert_eq!(reply.pap_code(), 3003);
    assert!(reply.body.contains("desc=\"over already: delivered\""), "{reply:?}");
    let reply = gateway.http().json("DELETE", "/api/v1/pushes/p1", serde_json::Value::Null);
    assert_eq!(reply.json()["detail"], "the push \"p1\" is over for all its addresses: delivered");
}

#[test]
fn one_stale_entry_refused_a_list_of_thousands() {
    let settings = "[notify]\nallow_private = true\n[pap.endpoints]\n\"/skip\" = { profile = \"spec\", unknown_addresses = \"skip\" }\n\"/refuse\" = { profile = \"blackberry\", unknown_addresses = \"refuse\" }\n";
    let gateway = Gateway::start_with(settings, &[]);
    let initiator = Initiator::start();
    let mut known = Raw::connect(gateway.mqtt, &Connect::v5("a", "2100000A"));
    known.join("news");
    let push = |id: &str| {
        let push = Pap::new(id).to("2100000B").to("2100000A").to("WAPPUSH=1.2.3.4/TYPE=IPv4@p");
        push.attribute("ppg-notify-requested-to", &initiator.url)
    };
    for path in ["/pap", "/refuse"] {
        assert_eq!(post(&gateway, path, &push("no")).pap_code(), 2002, "{path}");
    }
    assert_eq!(gateway.http().get("/api/v1/pushes").json()["pushes"], json!([]));
    for (id, path) in [("p1", "/mss/PD_pushRequest"), ("p2", "/skip")] {
        let reply = post(&gateway, path, &push(id));
        assert_eq!(reply.pap_code(), 1001, "{reply:?}");
        assert!(reply.body.contains("not a known group or user: 2100000B"), "{reply:?}");
        assert_eq!(known.push().user_property("address").as_deref(), Some("2100000A"));
        let mut told: Vec<String> = (0..3).map(|_| initiator.next().body).collect();
        told.sort_by_key(|body| body.contains("message-state=\"delivered\""));
        for body in &told[..2] {
            assert!(body.contains("message-state=\"rejected\" code=\"2002\""), "{body}");
            assert!(body.contains("2100000B") || body.contains("1.2.3.4"), "{body}");
        }
        assert!(told[2].contains("2100000A"), "{told:?}");
        let status = ask(&gateway, path, "statusquery-message", id, &[]).body;
        assert_eq!(status.matches("message-state=\"rejected\" code=\"2002\"").count(), 2, "{status}");
        let status = ask(&gateway, path, "statusquery-message", id, &["2100000B"]);
        assert_eq!(status.pap_code(), 2002, "{status:?}");
        let cancel = ask(&gateway, path, "cancel-message", id, &["2100000B"]);
        assert_eq!(cancel.pap_code(), 3003, "it is over: {cancel:?}");
        assert_eq!(post(&gateway, path, &push(id)).pap_code(), 1001, "the same again");
    }
    let nobody = Pap::new("p3").to("2100000B").to("2100000C");
    assert_eq!(post(&gateway, "/skip", &nobody).pap_code(), 2002, "all of them are unknown");
    assert_eq!(gateway.http().get("/api/v1/pushes/p3").status, 404);
    // Whoever was unknown once may be known later.
    gateway.http().bind("news", "2100000B");
    assert_eq!(post(&gateway, "/skip", &Pap::new("p4").to("2100000B")).pap_code(), 1001);
    assert_eq!(user_of(&gateway, "p4"), "2100000B");
}

#[test]
fn a_push_id_that_is_used_again_said_neither_by_what_nor_what_to_do() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().bind("news", "bob");
    gateway.http().push("same", "group:news", "one");
    assert_eq!(alice.push().text(), "one");
    gateway.http().wait_outcome("same", "pending", "1 of 2");
    let reply = gateway.http().pap(&Pap::new("same").to("group:news").text("two"));
    assert_eq!(reply.pap_code(), 2007);
    assert!(reply.body.contains("that is not over: 1 of 2 have it; use another push-id, or cancel"), "{reply:?}");
    let itself = Pap::new("same").to("group:news").text("two").attribute("replace-push-id", "same");
    let reply = gateway.http().pap(&itself);
    assert_eq!(reply.pap_code(), 2007);
    assert!(reply.body.contains("cannot replace itself"), "{reply:?}");
}

#[test]
fn refusals_were_nowhere_in_the_log() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "alice");
    http.push("taken", "group:news", "one");
    for _ in 0..30 {
        assert_eq!(http.pap(&Pap::new("p1").to("group:nobody")).pap_code(), 2002);
    }
    http.pap(&Pap::new("taken").to("group:news").text("two"));
    http.send("POST", "/pap", MULTIPART, b"hello");
    ask(&gateway, "/pap", "cancel-message", "never-was", &[]);
    http.json("POST", "/api/v1/pushes", json!({"to":["group:nowhere"],"body":"x"}));
    http.json("POST", "/api/v1/pushes", json!({"to":["group:nowhere"]}));
    http.json("DELETE", "/api/v1/pushes/never-there", serde_json::Value::Null);
    let log = gateway.log();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("a request was refused")).collect();
    for (operation, code, reason) in [
        ("push-message", 2002, "not a known group or user: group:nobody"),
        ("push-message", 2007, "that is not over"),
        ("unreadable", 2000, "no line of the body is the delimiter"),
        ("cancel-message", 2004, "never-was"),
        ("push", 2002, "group:nowhere"),
        ("push", 2000, "either a body or a body_base64"),
        ("cancel", 2004, "never-there"),
    ] {
        let line = refused.iter().find(|line| line.contains(reason)).unwrap_or_else(|| panic!("{reason} in {log}"));
        let fields = [
            format!("operation=\"{operation}\""),
            format!("code={code}"),
            "initiator=\"anonymous\"".to_owned(),
            "remote=127.0.0.1".to_owned(),
            " INFO ".to_owned(),
        ];
        for field in fields {
            assert!(line.contains(&field), "{field} in {line}");
        }
    }
    let of_one_kind = refused.iter().filter(|line| line.contains("group:nobody")).count();
    assert!(of_one_kind < 30, "they are counted, and not printed without end:\n{log}");
}
