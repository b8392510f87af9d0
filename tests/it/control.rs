//! Asking what became of a push, and taking it back.

use serde_json::{Value, json};

use crate::common::Gateway;
use crate::common::http::{Pap, Reply};
use crate::common::mqtt::{Connect, Raw};

fn post(gateway: &Gateway, document: &str) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\"><pap>{document}</pap>"
    );
    let reply = gateway.http().send("POST", "/pap", "application/xml", text.as_bytes());
    assert_eq!(reply.status, 202);
    reply
}

fn status(gateway: &Gateway, push_id: &str) -> String {
    post(gateway, &format!("<statusquery-message push-id=\"{push_id}\"/>")).body
}

#[test]
fn a_status_query_says_how_many_of_how_many() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    gateway.http().bind("news", "bob");
    gateway.http().pap(&Pap::new("p1").to("WAPPUSH=news/TYPE=GROUP@ppg").delivery("confirmed"));
    let pending = "<statusquery-response push-id=\"p1\"><statusquery-result message-state=\"pending\" code=\"1000\" desc=\"0 of 2\"><address address-value=\"WAPPUSH=news/TYPE=GROUP@ppg\"/><quality-of-service priority=\"medium\" delivery-method=\"confirmed\"/></statusquery-result></statusquery-response>";
    assert!(status(&gateway, "p1").contains(pending), "{}", status(&gateway, "p1"));
    for user in ["alice", "bob"] {
        Raw::connect(gateway.mqtt, &Connect::v3(user, user)).push();
    }
    gateway.http().wait_outcome("p1", "delivered", "2 of 2");
    let body = status(&gateway, "p1");
    assert!(body.contains("<statusquery-result event-time=\"20"), "{body}");
    assert!(body.contains("Z\" message-state=\"delivered\" code=\"1000\" desc=\"2 of 2\">"), "{body}");
    assert!(status(&gateway, "p0").contains("message-state=\"unknown\" code=\"2004\""));
    let body = post(
        &gateway,
        "<statusquery-message push-id=\"p1\"><address address-value=\"group:other\"/></statusquery-message>",
    )
    .body;
    assert!(body.contains("message-state=\"unknown\" code=\"2003\"") && !body.contains("delivered"), "{body}");
}

#[test]
fn who_has_it_and_who_has_not_and_why() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let mut got = Raw::connect(gateway.mqtt, &Connect::v3("1", "got"));
    got.join("news");
    let mut refused = Raw::connect(gateway.mqtt, &Connect::v5("2", "refused"));
    refused.join("news");
    for user in ["away", "left"] {
        http.bind("news", user);
    }
    http.push("p1", "group:news", "x");
    http.bind("news", "later");
    got.push();
    let push = refused.publish_in();
    refused.puback_reason(push.id, 0x99);
    http.json("DELETE", "/api/v1/groups/news/members/left", Value::Null);
    http.wait_outcome("p1", "pending", "1 of 4, 1 refused, 1 left the group");
    let list = |query: &str| http.get(&format!("/api/v1/pushes/p1/recipients?{query}")).json();
    let all = list("");
    let brief: Vec<(&str, &str, u64, &str)> = all["recipients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| {
            (
                r["user"].as_str().unwrap(),
                r["state"].as_str().unwrap(),
                r["code"].as_u64().unwrap(),
                r["desc"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            ("got", "delivered", 1000, "OK"),
            ("refused", "aborted", 5238, "refused by the terminal"),
            ("away", "pending", 1000, "no terminal of this user was ever here"),
            ("left", "undeliverable", 4510, "left the group"),
        ]
    );
    assert_eq!(all["recipients"][0]["address"], "group:news");
    let pending = list("state=pending");
    assert_eq!(
        (pending["recipients"].as_array().unwrap().len(), &pending["recipients"][0]["user"]),
        (1, &json!("away"))
    );
    let page = list("limit=3");
    assert_eq!(page["recipients"].as_array().unwrap().len(), 3);
    let rest = list(&format!("limit=3&after={}", page["next"].as_str().unwrap()));
    assert_eq!((&rest["recipients"][0]["user"], &rest["next"]), (&json!("left"), &Value::Null));
    assert_eq!(http.get("/api/v1/pushes/p1/recipients?state=sleeping").status, 400);
    assert_eq!(http.get("/api/v1/pushes/p1/recipients?after=x").status, 400);
    assert_eq!(http.get("/api/v1/pushes/p0/recipients").status, 404);
}

#[test]
fn rule_17_who_has_not_got_a_cancelled_push_will_not() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().bind("news", "bob");
    gateway.http().push("p1", "group:news", "1");
    gateway.http().push("p2", "group:news", "2");
    assert_eq!((alice.push().text(), alice.push().text()), ("1", "2"));
    alice.ping();
    let body = post(&gateway, "<cancel-message push-id=\"p1\"/>").body;
    assert!(body.contains("<cancel-response push-id=\"p1\"><cancel-result code=\"1000\" desc=\"OK\"><address address-value=\"group:news\"/></cancel-result></cancel-response>"), "{body}");
    // Rule 3: what was acknowledged before counts, although it was not written yet.
    gateway.http().wait_outcome("p1", "cancelled", "1 of 2");
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    assert_eq!(bob.push().text(), "2");
    bob.assert_silent();
    gateway.http().wait_outcome("p2", "delivered", "2 of 2");
    // Rule 5: bob's cursor is past p1, and p1 is not listed as got.
    let listed = gateway.http().get("/api/v1/pushes/p1/recipients").json();
    let states: Vec<&Value> = listed["recipients"].as_array().unwrap().iter().map(|r| &r["state"]).collect();
    assert_eq!(states, ["delivered", "cancelled"]);
    assert_eq!(listed["recipients"][1]["desc"], "over before it reached the terminal");
    assert!(post(&gateway, "<cancel-message push-id=\"p2\"/>").body.contains("<cancel-result code=\"3003\""));
    assert!(post(&gateway, "<cancel-message push-id=\"p0\"/>").body.contains("<cancel-result code=\"2004\""));
}

#[test]
fn an_answer_that_comes_after_the_cancel_moves_no_counter() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().push("p1", "group:news", "1");
    let push = alice.publish_in();
    post(&gateway, "<cancel-message push-id=\"p1\"/>");
    alice.puback(push.id);
    alice.ping();
    gateway.http().push("p2", "group:news", "2");
    assert_eq!(alice.push().text(), "2");
    gateway.http().wait_outcome("p2", "delivered", "1 of 1");
    gateway.http().wait_outcome("p1", "cancelled", "0 of 1");
    let listed = gateway.http().get("/api/v1/pushes/p1/recipients").json();
    assert_eq!(listed["recipients"][0]["desc"], "acknowledged after it was over");
}

#[test]
fn a_push_that_waits_behind_a_full_window_can_be_cancelled() {
    let gateway = Gateway::start_with("[mqtt]\ninflight = 1\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    for n in 1..=3 {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    let one = alice.publish_in();
    let reply = gateway.http().json("DELETE", "/api/v1/pushes/p2", Value::Null);
    assert_eq!((reply.status, &reply.json()["addresses"][0]["state"]), (200, &json!("cancelled")));
    alice.puback(one.id);
    assert_eq!(alice.push().text(), "3");
    alice.assert_silent();
    assert_eq!(gateway.http().json("DELETE", "/api/v1/pushes/p2", Value::Null).status, 409);
    assert_eq!(gateway.http().json("DELETE", "/api/v1/pushes/p0", Value::Null).status, 404);
}

#[test]
fn cancelling_some_addresses_leaves_the_others_alone() {
    let gateway = Gateway::start();
    for group in ["g", "h"] {
        gateway.http().bind(group, &format!("in-{group}"));
    }
    gateway.http().pap(&Pap::new("p1").to("group:g").to("group:h").text("x"));
    let body = post(
        &gateway,
        "<cancel-message push-id=\"p1\"><address address-value=\"group:g\"/><address address-value=\"group:z\"/></cancel-message>",
    )
    .body;
    assert!(
        body.contains("<cancel-result code=\"1000\" desc=\"OK\"><address address-value=\"group:g\"/></cancel-result>"),
        "{body}"
    );
    assert!(
        body.contains("<cancel-result code=\"2003\" desc=\"address not found\"><address address-value=\"group:z\"/>"),
        "{body}"
    );
    Raw::connect(gateway.mqtt, &Connect::v3("g", "in-g")).assert_silent();
    assert_eq!(Raw::connect(gateway.mqtt, &Connect::v3("h", "in-h")).push().text(), "x");
}

#[test]
fn a_scheduled_push_can_be_cancelled_before_it_goes_out() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    let at = |seconds: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        papcast::clock::format_utc((now.cast_signed() + seconds) * 1000)
    };
    for (id, seconds) in [("cancelled", 2), ("kept", 3)] {
        let push = Pap::new(id).to("group:news").attribute("deliver-after-timestamp", &at(seconds)).text(id);
        assert_eq!(gateway.http().pap(&push).pap_code(), 1001);
    }
    post(&gateway, "<cancel-message push-id=\"cancelled\"/>");
    assert_eq!(alice.push().text(), "kept");
}

#[test]
fn a_status_result_stated_a_priority_that_the_push_did_not_have() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    for (id, quality) in [("high", "priority=\"high\" delivery-method=\"unconfirmed\""), ("none", "")] {
        let body = format!(
            "--xyz\r\nContent-Type: application/xml\r\n\r\n<pap><push-message push-id=\"{id}\"><address address-value=\"group:news\"/><quality-of-service {quality}/></push-message></pap>\r\n--xyz\r\nContent-Type: text/plain\r\n\r\nx\r\n--xyz--\r\n"
        );
        let reply = gateway.http().send("POST", "/pap", "multipart/related; boundary=xyz", body.as_bytes());
        assert_eq!(reply.pap_code(), 1001);
    }
    let quality = |id: &str| {
        let query = format!("<pap><statusquery-message push-id=\"{id}\"/></pap>");
        gateway.http().send("POST", "/pap", "application/xml", query.as_bytes()).body
    };
    assert!(quality("high").contains("<quality-of-service priority=\"high\" delivery-method=\"unconfirmed\""));
    assert!(quality("none").contains("<quality-of-service priority=\"medium\" delivery-method=\"confirmed\""));
}
