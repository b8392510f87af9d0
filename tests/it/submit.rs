//! Submitting: PAP and JSON, all addresses, all refusals.

use serde_json::{Value, json};

use crate::common::http::{Pap, escape};
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, in_seconds, papcast};

#[test]
fn a_pap_post_is_answered_as_deployed_initiators_expect() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let reply = gateway.http().pap(&Pap::new("9fjeo39jf084@pi.com").to("WAPPUSH=news/TYPE=GROUP@ppg.example"));
    assert_eq!(reply.status, 202);
    assert_eq!(reply.header("content-type"), Some("application/xml"));
    assert_eq!(reply.header("content-length").map(str::parse), Some(Ok(reply.body.len())));
    assert_eq!(reply.header("transfer-encoding"), None);
    let lines: Vec<&str> = reply.body.lines().collect();
    assert_eq!(
        lines[1],
        "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\" [<?wap-pap-ver supported-versions=\"2.1,2.0,1.0\"?>]>"
    );
    assert_eq!(lines.len(), 3, "everything after the DOCTYPE is one line");
    let begin = format!(
        "<pap><push-response push-id=\"9fjeo39jf084@pi.com\" sender-address=\"http://{}/pap\" sender-name=\"papcast ",
        gateway.http
    );
    assert!(lines[2].starts_with(&begin), "{}", lines[2]);
    assert!(
        lines[2]
            .ends_with("\"><response-result code=\"1001\" desc=\"accepted for processing\"/></push-response></pap>"),
        "{}",
        lines[2]
    );
    let reply = gateway.http().send(
        "POST",
        "/mss/PD_pushRequest",
        "multipart/related; boundary=xyz",
        Pap::new("p2").to("group:news").body().as_bytes(),
    );
    assert_eq!((reply.status, reply.pap_code()), (200, 1001), "the BlackBerry profile");
}

#[test]
fn a_capabilities_part_is_accepted() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    let rdf = "--xyz\r\nContent-Type: application/xml\r\n\r\n<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"/>\r\n--xyz--\r\n";
    let body = Pap::new("p1").to("group:news").text("two of three").body().replace("--xyz--\r\n", rdf);
    let reply = gateway.http().send("POST", "/pap", "multipart/related; boundary=xyz", body.as_bytes());
    assert_eq!(reply.pap_code(), 1001, "{reply:?}");
    assert_eq!(alice.push().text(), "two of three");
}

#[test]
fn version_1_0_is_answered_in_1_0() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let body =
        Pap::new("p1").to("group:news").body().replace("DTD PAP 2.0//EN", "DTD PAP//EN").replace("pap_2.0", "pap_1.0");
    let reply = gateway.http().send("POST", "/pap", "multipart/related; boundary=xyz", body.as_bytes());
    assert!(
        reply.body.contains("\"-//WAPFORUM//DTD PAP 1.0//EN\" \"http://www.wapforum.org/DTD/pap_1.0.dtd\">"),
        "{}",
        reply.body
    );
    assert_eq!(reply.pap_code(), 1001);
}

#[test]
fn every_form_of_address_reaches_its_terminal() {
    let gateway =
        Gateway::start_with("[aliases]\n\"everyone\" = \"group:news\"\n\"the boss\" = \"user:sip:boss@x\"\n", &[]);
    let users = ["sip:boss@x", "tel:+4915112345", "plain", "a@b.c", "2100000A"];
    let mut terminals: Vec<Raw> =
        users.iter().map(|user| Raw::connect(gateway.mqtt, &Connect::v5(user, user))).collect();
    for terminal in &mut terminals {
        terminal.join("news");
        terminal.join("%24odd");
    }
    let mut number = 0;
    let mut reaches = |address: &str, wanted: &[usize], topic: &str| {
        number += 1;
        let text = format!("text {number}");
        gateway.http().push(&format!("p{number}"), address, &text);
        for at in wanted {
            let push = terminals[*at].push();
            assert_eq!((push.topic.as_str(), push.text()), (topic, text.as_str()), "{address}");
            assert_eq!(push.user_property("address").as_deref(), Some(address));
        }
    };
    let all = [0, 1, 2, 3, 4];
    reaches("WAPPUSH=news/TYPE=GROUP@ppg.example", &all, "groups/news");
    reaches("wappush=group%3Anews/type=user@ppg", &all, "groups/news");
    reaches("WAPPUSH=%24news/TYPE=USER@rim.net", &all, "groups/news");
    reaches("group:news", &all, "groups/news");
    reaches("everyone", &all, "groups/news");
    reaches("group:$odd", &all, "groups/%24odd");
    reaches("the boss", &[0], "users/sip:boss@x");
    reaches("sip:boss@x", &[0], "users/sip:boss@x");
    reaches("user:sip:boss@x", &[0], "users/sip:boss@x");
    reaches("WAPPUSH=sip%3Aboss%40x/TYPE=USER@ppg", &[0], "users/sip:boss@x");
    reaches("WAPPUSH=+49-151.12345/TYPE=PLMN@ppg", &[1], "users/tel:%2B4915112345");
    reaches("tel:+49 151 12345", &[1], "users/tel:%2B4915112345");
    reaches("WAPPUSH=4915112345/TYPE=PLMN", &[1], "users/tel:%2B4915112345");
    reaches("plain", &[2], "users/plain");
    reaches("WAPPUSH=a%40b.c%3A7874/TYPE=USER@rim.net", &[3], "users/a@b.c");
    reaches("2100000A", &[4], "users/2100000A");
    for terminal in &mut terminals {
        terminal.assert_silent();
    }
}

#[test]
fn push_all_means_the_application_s_group_on_the_blackberry_profile_only() {
    let gateway = Gateway::start();
    gateway.http().bind("app-17", "alice");
    let push = |id: &str| Pap::new(id).to("push_all").attribute("source-reference", "app-17").body();
    let post = |path: &str, id: &str| {
        gateway.http().send("POST", path, "multipart/related; boundary=xyz", push(id).as_bytes())
    };
    assert_eq!(post("/mss/PD_pushRequest", "p1").pap_code(), 1001);
    assert_eq!(post("/pap", "p2").pap_code(), 2002);
    assert_eq!(gateway.http().outcome("p1")["recipients"], 1);
}

#[test]
fn what_names_nothing_known_is_2002_and_nothing_is_submitted() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    for address in
        ["group:unknown", "user:unknown", "bob", "WAPPUSH=1.2.3.4/TYPE=IPv4@ppg", "WAPPUSH=abc/TYPE=PLMN@ppg", " "]
    {
        let reply = gateway.http().pap(&Pap::new("p1").to("group:news").to(address));
        assert_eq!((reply.status, reply.pap_code()), (202, 2002), "{address}: {reply:?}");
        assert!(reply.body.contains("<push-response push-id=\"p1\""), "the message was understood");
    }
    assert_eq!(gateway.http().get("/api/v1/pushes").json()["pushes"], json!([]));
    assert_eq!(gateway.http().get("/api/v1/pushes/p1").status, 404);
}

#[test]
fn a_connected_user_is_known_without_a_binding() {
    let gateway = Gateway::start();
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    bob.ping();
    gateway.http().push("p1", "user:bob", "first");
    gateway.http().push("p2", "user:bob", "second");
    assert_eq!(bob.push().text(), "first");
    assert_eq!(bob.push().text(), "second");
    gateway.http().wait_outcome("p2", "delivered", "1 of 1");
}

#[test]
fn a_push_id_is_used_once_and_a_repeated_submission_is_answered_again() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let push = Pap::new("p1").to("group:news").text("one");
    assert_eq!(gateway.http().pap(&push).pap_code(), 1001);
    assert_eq!(gateway.http().pap(&push).pap_code(), 1001, "byte for byte the same");
    let reply = gateway.http().pap(&push.text("two"));
    assert_eq!((reply.status, reply.pap_code()), (202, 2007));
    let json = json!({"to":["group:news"],"body":"x","push_id":"j1"});
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", json.clone()).status, 202);
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", json).status, 202);
    let other = gateway.http().json("POST", "/api/v1/pushes", json!({"to":["group:news"],"body":"y","push_id":"j1"}));
    assert_eq!((other.status, &other.json()["code"]), (409, &json!(2007)));
    assert_eq!(gateway.http().get("/api/v1/pushes").json()["pushes"].as_array().unwrap().len(), 2);
}

#[test]
fn json_pushes_do_the_same() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    let body = json!({"to":["group:news"],"content_type":"application/json","body":"{\"a\":1}","push_id":"x/y z","delivery":"confirmed","priority":"high"});
    let reply = gateway.http().json("POST", "/api/v1/pushes", body);
    assert_eq!((reply.status, reply.json()), (202, json!({"push_id":"x/y z","code":1001})));
    let push = alice.push();
    assert_eq!((push.text(), push.qos), ("{\"a\":1}", 1));
    assert_eq!(push.user_property("push-id").as_deref(), Some("x/y z"));
    gateway.http().wait_outcome("x/y z", "delivered", "1 of 1");
    let shown = gateway.http().get(&format!("/api/v1/pushes/{}", escape("x/y z"))).json();
    assert_eq!(
        (&shown["content_type"], &shown["size"], &shown["initiator"]),
        (&json!("application/json"), &json!(7), &json!("anonymous"))
    );
    let reply = gateway.http().json("POST", "/api/v1/pushes", json!({"to":["group:news"],"body_base64":"AAEC/w=="}));
    assert_eq!(reply.status, 202);
    assert!(!reply.json()["push_id"].as_str().unwrap().is_empty());
    assert_eq!(alice.push().payload, [0, 1, 2, 255]);
    for (body, status) in [
        (json!({"to":["group:news"]}), 400),
        (json!({"to":["group:news"],"body":"x","body_base64":"eA=="}), 400),
        (json!({"to":["group:news"],"body_base64":"!"}), 400),
        (json!({"to":[],"body":"x"}), 400),
        (json!({"to":["group:nope"],"body":"x"}), 404),
        (json!({"to":["group:news"],"body":"x","deliver_before":"soon"}), 400),
        (json!({"to":["group:news"],"body":"x","deliver_before":"2001-01-01T00:00:00Z"}), 400),
        (json!({"to":["group:news"],"body":"x","push_id":""}), 400),
        (json!({"to":["group:news"],"body":"x","colour":"red"}), 400),
        (json!({"to":"group:news","body":"x"}), 400),
        (json!([["group:news"], "text/plain", "x"]), 400),
        (json!({"to":["group:news"],"body":"x","content_type":"a\r\nb"}), 400),
        (json!({"to":["group:news"],"body":"x","deliver_after":"9999-12-31T23:59:59Z"}), 400),
    ] {
        let reply = gateway.http().json("POST", "/api/v1/pushes", body.clone());
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (status, Some("application/problem+json")),
            "{body} {reply:?}"
        );
    }
}

#[test]
fn pushes_are_listed_newest_first_in_pages() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    for number in 1..=3 {
        gateway.http().push(&format!("p{number}"), "group:news", "x");
    }
    let page = gateway.http().get("/api/v1/pushes?limit=2").json();
    let ids: Vec<&Value> = page["pushes"].as_array().unwrap().iter().map(|push| &push["push_id"]).collect();
    assert_eq!(ids, ["p3", "p2"]);
    let page = gateway.http().get(&format!("/api/v1/pushes?limit=2&after={}", page["next"].as_str().unwrap())).json();
    assert_eq!((&page["pushes"][0]["push_id"], &page["next"]), (&json!("p1"), &Value::Null));
    assert_eq!(gateway.http().get("/api/v1/pushes?after=x").status, 400);
    assert_eq!(gateway.http().get("/api/v1/pushes?initiator=somebody").json()["pushes"], json!([]));
}

#[test]
fn bad_pap_is_a_bad_message_and_nothing_else_happens() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let good = Pap::new("p1").to("group:news");
    let multipart = "multipart/related; boundary=xyz";
    let entity = good.body().replace("pap_2.0.dtd\">", "pap_2.0.dtd\" [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>");
    for (kind, body, code) in [
        (multipart, good.body().replace("</push-message>", ""), 2000),
        (multipart, good.body().replace("push-message", "push-massage"), 2000),
        (multipart, good.body().replace("push-id=\"p1\"", ""), 2000),
        (multipart, good.body().replace("<address address-value=\"group:news\"/>", ""), 2000),
        (multipart, good.body().replace("DTD PAP 2.0", "DTD PAP 3.0"), 3002),
        (multipart, entity, 2000),
        (multipart, "no delimiter in here".into(), 2000),
        ("multipart/related", "no boundary".into(), 2000),
        ("application/xml", good.control(), 2000),
        ("application/json", "{}".into(), 2000),
        ("application/xml", "<pap/>".into(), 2000),
        ("application/xml", "<bpds version=\"1.0\"><subscriptionquery-message/></bpds>".into(), 2000),
        ("application/xml", String::new(), 2000),
    ] {
        let reply = gateway.http().send("POST", "/pap", kind, body.as_bytes());
        assert_eq!((reply.status, reply.pap_code()), (202, code), "{kind}: {body}\n{reply:?}");
        assert!(reply.body.contains("<badmessage-response code="), "{}", reply.body);
    }
    assert_eq!(gateway.http().get("/api/v1/pushes").json()["pushes"], json!([]));
}

#[test]
fn limits_of_a_submission() {
    let gateway =
        Gateway::start_with("[http]\nmax_body = 100000\n[push]\nmax_content = 50000\nmax_addresses = 3\n", &[]);
    gateway.http().bind("news", "alice");
    let reply = gateway.http().pap(&Pap::new("p1").to("group:news").text(&"x".repeat(200_000)));
    assert_eq!(reply.status, 413);
    let reply = gateway.http().pap(&Pap::new("p1").to("group:news").text(&"x".repeat(60_000)));
    assert_eq!(reply.pap_code(), 2000, "{reply:?}");
    assert!(reply.body.contains("push.max_content"), "{}", reply.body);
    let reply = gateway.http().pap(&(0..4).fold(Pap::new("p1"), |pap, n| pap.to(&format!("group:g{n}"))));
    assert_eq!(reply.pap_code(), 2000);
    let reply = gateway.http().pap(&Pap::new(&"i".repeat(300)).to("group:news"));
    assert_eq!(reply.pap_code(), 2000);
    let reply = gateway
        .http()
        .pap(&Pap::new("late").to("group:news").attribute("deliver-before-timestamp", "2001-01-01T00:00:00Z"));
    assert_eq!(reply.pap_code(), 2001);
}

#[test]
fn an_initiator_whose_clock_is_behind_may_be_allowed_for() {
    let gateway = Gateway::start_with("[push]\nclock_skew = \"2h\"\n", &[]);
    gateway.http().bind("news", "alice");
    let hours_ago = |hours: i64| papcast::clock::format_utc(papcast::clock::now() - hours * 3_600_000);
    for (hours, code) in [(1, 1001), (3, 2001)] {
        let pap = Pap::new(&format!("p{hours}")).to("group:news").text("x");
        let reply = gateway.http().pap(&pap.attribute("deliver-before-timestamp", &hours_ago(hours)));
        assert_eq!(reply.pap_code(), code, "{reply:?}");
    }
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(alice.push().text(), "x");
    alice.assert_silent();
}

#[test]
fn pushes_are_listed_by_how_far_they_have_come() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "alice");
    http.bind("empty", "bob");
    http.push("open", "group:news", "hello");
    let later = in_seconds(600);
    assert_eq!(
        http.pap(&Pap::new("later").to("group:news").attribute("deliver-after-timestamp", &later)).pap_code(),
        1001
    );
    http.push("over", "group:empty", "hello");
    assert_eq!(http.send("DELETE", "/api/v1/pushes/over", "text/plain", b"").status, 200);
    for (state, ids) in [("scheduled", vec!["later"]), ("pending", vec!["open"]), ("finished", vec!["over"])] {
        let listed = http.get(&format!("/api/v1/pushes?state={state}")).json();
        let found: Vec<&str> =
            listed["pushes"].as_array().unwrap().iter().map(|push| push["push_id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{state}");
        let at = format!("http://{}", gateway.http);
        let told = papcast(&["pushes", "--state", state, "--gateway", &at]);
        assert!(told.out.starts_with(ids[0]) && told.out.lines().count() == 1, "{told:?}");
    }
    assert_eq!(http.get("/api/v1/pushes?state=lost").status, 400);
}
