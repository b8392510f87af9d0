//! Who has not got a push, and why: one device of each kind, asked about over HTTP and by the command.

use serde_json::{Value, json};

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, papcast, wait_for};

/// A fleet of one device of each kind, and a push of 1,000 bytes to all of them.
fn fleet() -> (Gateway, Vec<Raw>) {
    let gateway = Gateway::start_with("mqtt.inflight = 1\n", &[]);
    let http = gateway.http();
    http.bind("fleet", "never");
    let member = |name: &str| {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5(name, name).lasting());
        raw.join("fleet");
        raw
    };
    member("away").disconnect();
    let mut got = member("got");
    let mute = member("mute");
    let mut refuses = member("refuses");
    // Maximum Packet Size of 300 (MQTT 5.0 §3.1.2.11.4).
    let small = Connect { properties: vec![0x27, 0, 0, 1, 44], ..Connect::v5("small", "small") };
    let mut small = Raw::connect(gateway.mqtt, &small);
    small.join("fleet");
    let leaves = member("leaves");
    let behind = member("behind");
    // One that keeps the next waiting.
    assert_eq!(http.pap(&Pap::new("first").to("user:behind")).pap_code(), 1001);
    let mut behind = behind;
    behind.publish_in();
    assert_eq!(http.pap(&Pap::new("fw-17").to("group:fleet").text(&"x".repeat(1_000))).pap_code(), 1001);
    got.push();
    let push = refuses.publish_in();
    // PUBACK 0x83: implementation specific error.
    refuses.puback_reason(push.id, 0x83);
    assert_eq!(http.json("DELETE", "/api/v1/groups/fleet/members/leaves", Value::Null).status, 204);
    http.wait_outcome("fw-17", "pending", "1 of 8, 2 refused, 1 left the group");
    (gateway, vec![got, mute, refuses, small, leaves, behind])
}

fn of<'a>(recipients: &'a [Value], user: &str) -> &'a Value {
    recipients.iter().find(|one| one["user"] == user).unwrap_or_else(|| panic!("no {user} in {recipients:?}"))
}

#[test]
fn each_who_has_not_got_it_is_listed_with_its_reason() {
    let (gateway, mut terminals) = fleet();
    // The second terminal has had it, and says nothing.
    terminals[1].publish_in();
    let http = gateway.http();
    let list = |query: &str| {
        let reply = http.get(&format!("/api/v1/pushes/fw-17/recipients?{query}"));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let all = wait_for("the one that went away to be written down", || {
        let all = list("counts=true");
        let recipients = all["recipients"].as_array().unwrap().clone();
        of(&recipients, "away")["last_seen"].is_string().then_some(all)
    });
    let recipients = all["recipients"].as_array().unwrap().clone();
    for (user, reason, state, connected, words) in [
        ("got", Value::Null, "delivered", true, "OK"),
        ("never", "never-connected".into(), "pending", false, "no terminal of this user was ever here"),
        ("away", "away".into(), "pending", false, "it said goodbye"),
        ("mute", "sent".into(), "pending", true, ", and not acknowledged"),
        ("behind", "behind".into(), "pending", true, "waits behind the push \"first\""),
        ("small", "too-large".into(), "aborted", true, "too large: 1000 bytes, and its terminal takes packets of 300"),
        ("refuses", "refused".into(), "aborted", true, "refused by the terminal"),
        ("leaves", "left".into(), "undeliverable", true, "left the group"),
    ] {
        let one = of(&recipients, user);
        assert_eq!((&one["reason"], &one["state"]), (&reason, &json!(state)), "{one}");
        assert_eq!(one["connected"], connected, "{one}");
        assert!(one["desc"].as_str().unwrap().contains(words), "{one}");
        assert_eq!(one["last_seen"].is_string(), user != "never", "{one}");
    }
    assert_eq!(
        all["counts"],
        json!({"delivered": 1, "never-connected": 1, "away": 1, "sent": 1, "behind": 1, "too-large": 1, "refused": 1, "left": 1})
    );
    // Filters, and pages of them.
    let names = |listed: &Value| -> Vec<String> {
        listed["recipients"].as_array().unwrap().iter().map(|one| one["user"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&list("reason=away")), ["away"]);
    assert_eq!(names(&list("reason=too-large&missing=true")), ["small"]);
    assert_eq!(names(&list("missing=true")).len(), 7);
    assert_eq!(names(&list("reason=away&state=delivered")), Vec::<String>::new());
    let first = list("missing=true&limit=3");
    let rest = list(&format!("missing=true&after={}", first["next"].as_str().unwrap()));
    assert_eq!(names(&first).len() + names(&rest).len(), 7);
    let bad = http.get("/api/v1/pushes/fw-17/recipients?reason=lazy");
    assert!(bad.status == 400 && bad.body.contains("never-connected"), "{bad:?}");
    // Over: what was owed is expired, or cancelled.
    assert_eq!(http.send("DELETE", "/api/v1/pushes/fw-17", "text/plain", b"").status, 200);
    let cancelled = list("reason=cancelled");
    assert!(names(&cancelled).contains(&"never".to_owned()), "{cancelled}");
}

#[test]
fn the_command_says_how_many_have_it_and_why_the_others_have_not() {
    let (gateway, _terminals) = fleet();
    let at = format!("http://{}", gateway.http);
    let who = |more: &[&str]| {
        let output = papcast(&[&["who", "fw-17", "--gateway", &at], more].concat());
        assert_eq!(output.code, Some(0), "{output:?}");
        output
    };
    let missing = who(&["--missing"]);
    assert!(missing.err.starts_with("1 of 8 have it; 1 "), "{}", missing.err);
    assert_eq!(missing.out.lines().count(), 7, "{}", missing.out);
    let line = missing.out.lines().find(|line| line.starts_with("never\t")).unwrap();
    assert_eq!(line.split('\t').collect::<Vec<_>>()[1], "never-connected");
    let small = who(&["--reason", "too-large"]);
    assert!(small.out.starts_with("small\ttoo-large\tconnected\ttoo large: 1000 bytes"), "{}", small.out);
    // F1.1: "when did it get it" has an answer in the table, too.
    let all: Value = serde_json::from_str(&who(&["--json"]).out).unwrap();
    let at_of_got = of(all["items"].as_array().unwrap(), "got")["at"].as_str().unwrap();
    let got = format!("got\thas it\tconnected\tat {at_of_got}");
    assert!(who(&[]).out.lines().any(|line| line == got), "no {got:?} in {}", who(&[]).out);
    assert_eq!((all["items"].as_array().unwrap().len(), &all["counts"]["delivered"]), (8, &json!(1)));
    let unknown = papcast(&["who", "fw-18", "--gateway", &at]);
    assert!(unknown.code == Some(1) && unknown.err.contains("there is no push \"fw-18\""), "{unknown:?}");
}

#[test]
fn a_dry_run_says_whom_a_push_would_reach_and_sends_nothing() {
    let (gateway, mut terminals) = fleet();
    let http = gateway.http();
    let ask = |to: Value, body: &str| {
        let push = json!({"to": to, "body": body, "dry_run": true});
        let reply = http.json("POST", "/api/v1/pushes", push);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let reach = |recipients: u64, connected: u64, too_large: u64, unknown: Value| {
        json!({"recipients": recipients, "connected": connected, "away": recipients - connected,
               "too_large": too_large, "unknown": unknown})
    };
    // Seven are left of eight: five are here, one is away and one was never here.
    assert_eq!(ask(json!(["group:fleet"]), "brief"), reach(7, 5, 0, json!([])));
    assert_eq!(ask(json!(["group:fleet"]), &"x".repeat(300)), reach(7, 5, 1, json!([])));
    // Whom two addresses reach counts once, and what names nobody is named.
    let both = json!(["group:fleet", "user:got", "user:nobody", "group:nothing"]);
    assert_eq!(ask(both, "brief"), reach(7, 5, 0, json!(["user:nobody", "group:nothing"])));
    assert_eq!(http.json("POST", "/api/v1/pushes", json!({"to": [], "body": "x", "dry_run": true})).status, 400);
    let replacing = json!({"to": ["group:fleet"], "body": "x", "dry_run": true, "replace_push_id": "fw-17"});
    assert_eq!(http.json("POST", "/api/v1/pushes", replacing).status, 400);
    terminals[0].assert_nothing_before_a_push(http, "user:got");
    let pushes = http.get("/api/v1/pushes").json();
    assert_eq!(pushes["pushes"].as_array().unwrap().len(), 3, "two of the fleet's, and the probe");
    // The same by the command, which lists pushes as well: those of every initiator.
    let at = format!("http://{}", gateway.http);
    let said = papcast(&["push", "group:fleet", "--text", "x", "--dry-run", "--gateway", &at]);
    assert!(said.out.starts_with("recipients\t7\nconnected\t5\naway\t2\n"), "{said:?}");
    http.basic("press", "x").push("of-press", "group:fleet", "x");
    let listed = papcast(&["pushes", "--gateway", &at]);
    let first = listed.out.lines().next().unwrap();
    assert!(first.starts_with("of-press\tpress\t") && first.contains("\tgroup:fleet\tpending\t"), "{listed:?}");
    assert_eq!(papcast(&["pushes", "--initiator", "press", "--gateway", &at]).out.lines().count(), 1);
}

/// A push by two addresses goes out once: the second one was said to be about to be sent, which never came.
#[test]
fn a_user_with_two_addresses_waits_for_one_answer() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    assert_eq!(http.pap(&Pap::new("p").to("group:news").to("user:alice")).pap_code(), 1001);
    let push = alice.publish_in();
    let listed = http.get("/api/v1/pushes/p/recipients?counts=true").json();
    assert_eq!(listed["counts"], json!({"delivered": 0, "sent": 2}), "{listed}");
    alice.puback(push.id);
    http.wait_outcome("p", "delivered", "1 of 1");
    wait_for("both to be written down", || {
        let counts = http.get("/api/v1/pushes/p/recipients?counts=true").json()["counts"].clone();
        (counts == json!({"delivered": 2})).then_some(())
    });
    // Whoever joins later was never meant.
    http.bind("news", "later");
    let listed = http.get("/api/v1/pushes/p/recipients").json();
    assert_eq!(listed["recipients"].as_array().unwrap().len(), 2, "{listed}");
}

/// What belongs to another initiator looks like what there is not.
#[test]
fn the_push_ids_of_another_initiator_were_told_to_whoever_waits_behind_them() {
    let gateway = Gateway::start_with("mqtt.inflight = 1\n", &[]);
    let [payroll, news] = ["payroll", "news"].map(|name| gateway.http().basic(name, "x"));
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("staff");
    payroll.push("layoff-list", "group:staff", "x");
    alice.publish_in();
    news.push("lunch", "group:staff", "x");
    let of_news = news.get("/api/v1/pushes/lunch/recipients").json();
    let desc = of_news["recipients"][0]["desc"].as_str().unwrap();
    assert_eq!(desc, "connected, and waits behind another push, which is not acknowledged");
    payroll.push("second", "group:staff", "x");
    let own = payroll.get("/api/v1/pushes/second/recipients").json();
    assert!(own["recipients"][0]["desc"].as_str().unwrap().contains("behind the push \"layoff-list\""), "{own}");
}
