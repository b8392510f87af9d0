//! Group requests, from every side.

use serde_json::{Value, json};

use crate::common::Gateway;
use crate::common::http::escape;
use crate::common::mqtt::{Connect, Raw};

fn connect(gateway: &Gateway, user: &str) -> Raw {
    Raw::connect(gateway.mqtt, &Connect::v3(&format!("client-of-{user}"), user))
}

#[test]
fn join_list_and_leave_over_mqtt() {
    let gateway = Gateway::start();
    let mut alice = connect(&gateway, "sip:alice@example.com");
    let answer =
        alice.request("$push/request", r#"{"op":"join","id":"r1","user":"sip:alice@example.com","group":"news"}"#);
    assert_eq!(
        answer,
        json!({"op":"join","id":"r1","status":"accepted","user":"sip:alice@example.com","group":"news","topic":"groups/news"})
    );
    assert_eq!(alice.request("$push/join/news", "")["status"], "accepted", "bound already: accepted again");
    let list = alice.request("$push/list", "");
    let groups = list["groups"].as_array().unwrap();
    assert_eq!((groups.len(), &groups[0]["group"], &groups[0]["topic"]), (1, &json!("news"), &json!("groups/news")));
    assert!(groups[0]["joined_at"].as_str().unwrap().ends_with('Z'));
    let answer = alice.request("$push/leave/news", "");
    assert_eq!((&answer["op"], &answer["status"]), (&json!("leave"), &json!("accepted")));
    assert_eq!(alice.request("$push/list", "")["groups"], json!([]));
    let reply = gateway.http().get("/api/v1/groups/news").json();
    assert_eq!(reply, json!({"id":"news","topic":"groups/news","policy":"open","members":0}));
}

#[test]
fn a_group_id_becomes_one_encoded_topic_level() {
    let gateway = Gateway::start();
    let mut alice = connect(&gateway, "alice");
    let answer = alice.request("$push/request", r##"{"op":"join","group":"a/b+c#é $x"}"##);
    assert_eq!(answer["topic"], "groups/a%2Fb%2Bc%23%C3%A9%20%24x");
    assert_eq!(alice.request("$push/join/a%2Fb%2Bc%23%C3%A9%20%24x", "")["group"], "a/b+c#é $x");
    gateway.http().push("p1", "group:a/b+c#é $x", "through");
    let push = alice.push();
    assert_eq!((push.topic.as_str(), push.text()), ("groups/a%2Fb%2Bc%23%C3%A9%20%24x", "through"));
    let path = format!("/api/v1/groups/{}/members", escape("a/b+c#é $x"));
    assert_eq!(gateway.http().get(&path).json()["members"][0]["user"], "alice");
}

#[test]
fn bad_requests_are_answered_as_such() {
    let gateway = Gateway::start();
    let mut alice = connect(&gateway, "alice");
    let long = format!(r#"{{"op":"join","group":"{}"}}"#, "x".repeat(200));
    for (topic, payload) in [
        ("$push/request", "not json"),
        ("$push/request", r#"{"op":"jump"}"#),
        ("$push/request", r#"{"op":"join","group":""}"#),
        ("$push/request", r#"{"op":"join","group":7}"#),
        ("$push/request", r#"{"op":"leave"}"#),
        ("$push/request", r#"["join","1",null,"news"]"#),
        ("$push/request", long.as_str()),
        ("$push/nonsense", ""),
        ("$push/leave", ""),
        ("$push/join/a/b", ""),
        ("$push/join/é", ""),
    ] {
        let answer = alice.request(topic, payload);
        assert_eq!(
            (&answer["status"], &answer["reason"]),
            (&json!("rejected"), &json!("bad-request")),
            "{topic} {payload}: {answer}"
        );
        assert!(!answer["desc"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_connection_without_an_id_of_its_own_has_to_name_a_user() {
    let gateway = Gateway::start();
    let mut nobody = Raw::connect(gateway.mqtt, &Connect { user: None, ..Connect::v3("", "") });
    assert_eq!(nobody.request("$push/join/news", "")["reason"], "bad-request");
    assert_eq!(nobody.request("$push/request", r#"{"op":"join","user":"bob","group":"news"}"#)["status"], "accepted");
    // It acts for bob from now on.
    assert_eq!(nobody.request("$push/join/more", "")["user"], "bob");
    gateway.http().push("p1", "group:news", "for bob");
    assert_eq!(nobody.push().text(), "for bob");
    gateway.http().push("p2", "user:bob", "direct");
    assert_eq!(nobody.push().topic, "users/bob");
}

#[test]
fn the_client_id_is_the_user_id_where_there_is_no_username() {
    let gateway = Gateway::start();
    let mut terminal = Raw::connect(gateway.mqtt, &Connect { user: None, ..Connect::v3("sensor-7", "") });
    assert_eq!(terminal.request("$push/join/news", "")["user"], "sensor-7");
}

#[test]
fn naming_another_user_makes_the_connection_act_for_that_one() {
    let gateway = Gateway::start();
    let mut terminal = connect(&gateway, "alice");
    terminal.join("news");
    assert_eq!(terminal.subscribe(&[("groups/sub", 1)]), [1]);
    assert_eq!(terminal.request("$push/request", r#"{"op":"join","user":"bob","group":"sport"}"#)["user"], "bob");
    gateway.http().push("p1", "group:news", "for alice");
    gateway.http().push("p2", "group:sport", "for bob");
    assert_eq!(terminal.push().text(), "for bob");
    // What the connection subscribed to goes with it.
    gateway.http().push("p3", "group:sub", "subscribed");
    assert_eq!(terminal.push().text(), "subscribed");
    terminal.assert_silent();
    let members = gateway.http().get("/api/v1/groups/sub/members").json();
    assert_eq!((members["members"].as_array().unwrap().len(), &members["members"][0]["user"]), (1, &json!("bob")));
    assert_eq!(gateway.http().outcome("p1")["desc"], "0 of 1", "alice is bound and away");
}

#[test]
fn a_user_id_alone_is_assigned_by_rule() {
    let toml = "[[groups.assign]]\nmatch = \"sip:*@factory.example\"\ngroup = \"factory\"\n\n[[groups.assign]]\nmatch = \"tel:+49*\"\ngroup = \"germany\"\n";
    let gateway = Gateway::start_with(toml, &[]);
    let mut worker = connect(&gateway, "sip:a@factory.example");
    let answer = worker.request("$push/join", "");
    assert_eq!((&answer["status"], &answer["group"]), (&json!("accepted"), &json!("factory")));
    let answer = worker.request("$push/request", r#"{"op":"join","user":"tel:+49-151 1"}"#);
    assert_eq!((&answer["user"], &answer["topic"]), (&json!("tel:+491511"), &json!("groups/germany")));
    let mut other = connect(&gateway, "sip:a@elsewhere.example");
    assert_eq!(other.request("$push/join", "")["reason"], "no-group-assigned");
    let members = gateway.http().get("/api/v1/groups/factory/members").json();
    assert_eq!(members["members"][0]["source"], "assign");
}

#[test]
fn group_requests_over_http() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let ask = |body: Value| http.json("POST", "/api/v1/group-requests", body);
    let reply = ask(json!({"op":"join","id":"h1","user":"alice","group":"news"}));
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json(),
        json!({"op":"join","id":"h1","status":"accepted","user":"alice","group":"news","topic":"groups/news"})
    );
    assert_eq!(ask(json!({"op":"list","user":"alice"})).json()["groups"][0]["group"], "news");
    let reply = ask(json!({"op":"join","group":"news"}));
    assert_eq!((reply.status, &reply.json()["reason"]), (400, &json!("bad-request")));
    assert_eq!(ask(json!({"op":"join","user":"bob"})).status, 404);
    assert_eq!(http.send("POST", "/api/v1/group-requests", "application/json", b"{").status, 400);
    // Bound over HTTP while away: the terminal gets the group's pushes as soon as it is there.
    http.push("p1", "group:news", "while away");
    assert_eq!(connect(&gateway, "alice").push().text(), "while away");
}

#[test]
fn a_join_over_http_reaches_a_terminal_that_is_connected() {
    let gateway = Gateway::start();
    let mut alice = connect(&gateway, "alice");
    alice.ping();
    gateway.http().bind("news", "alice");
    gateway.http().push("p1", "group:news", "now");
    assert_eq!(alice.push().text(), "now");
    let reply = gateway.http().json("DELETE", "/api/v1/groups/news/members/alice", Value::Null);
    assert_eq!(reply.status, 204);
    gateway.http().bind("news", "bob");
    gateway.http().push("p2", "group:news", "not for alice");
    alice.assert_silent();
    assert_eq!(gateway.http().json("DELETE", "/api/v1/groups/news/members/alice", Value::Null).status, 404);
}

#[test]
fn subscribing_to_a_group_binds_as_long_as_the_session_lives() {
    let gateway = Gateway::start();
    let mut alice = connect(&gateway, "alice");
    assert_eq!(alice.subscribe(&[("groups/news", 2)]), [1], "QoS 2 is granted as 1");
    gateway.http().push("p1", "group:news", "one");
    assert_eq!(alice.push().text(), "one");
    let member = gateway.http().get("/api/v1/groups/news/members").json()["members"][0].clone();
    assert_eq!((&member["source"], &member["connected"]), (&json!("subscribe"), &json!(true)));
    assert!(alice.unsubscribe(&["groups/news"]).is_empty());
    assert_eq!(gateway.http().get("/api/v1/groups/news").json()["members"], 0);
    // Joined as well: the binding stays when the subscription goes, and nothing comes twice.
    alice.join("news");
    alice.subscribe(&[("groups/news", 1)]);
    let member = gateway.http().get("/api/v1/groups/news/members").json()["members"][0].clone();
    assert_eq!(member["source"], "join,subscribe");
    gateway.http().push("p2", "group:news", "two");
    assert_eq!(alice.push().text(), "two");
    alice.assert_nothing_before_a_push(gateway.http(), "group:news");
    alice.unsubscribe(&["groups/news"]);
    gateway.http().push("p3", "group:news", "three");
    assert_eq!(alice.push().text(), "three");
    alice.disconnect();
    assert_eq!(gateway.http().get("/api/v1/groups/news").json()["members"], 1);
    // A clean session ends with its connection, and so does what it subscribed to.
    let mut bob = connect(&gateway, "bob");
    bob.subscribe(&[("groups/news", 1)]);
    bob.disconnect();
    crate::common::wait_for("bob to be unbound", || {
        (gateway.http().get("/api/v1/groups/news").json()["members"] == 1).then_some(())
    });
}

#[test]
fn rule_16_a_ghost_of_a_clean_subscription_does_not_survive_a_crash() {
    let mut gateway = Gateway::start();
    let mut clean = connect(&gateway, "alice");
    clean.subscribe(&[("groups/news", 1)]);
    let mut lasting = Raw::connect(gateway.mqtt, &Connect::v3("lasting", "bob").lasting());
    lasting.subscribe(&[("groups/news", 1)]);
    assert_eq!(gateway.http().get("/api/v1/groups/news").json()["members"], 2);
    gateway.kill();
    gateway.restart();
    let members = gateway.http().get("/api/v1/groups/news/members").json();
    let users: Vec<&Value> = members["members"].as_array().unwrap().iter().map(|member| &member["user"]).collect();
    assert_eq!(users, ["bob"]);
}

#[test]
fn approval_asks_an_operator_and_answers_twice() {
    let gateway = Gateway::start();
    let http = gateway.http();
    assert_eq!(http.json("PUT", "/api/v1/groups/vip", json!({"policy":"approval"})).status, 201);
    let mut alice = connect(&gateway, "alice");
    assert_eq!(alice.request("$push/request", r#"{"op":"join","id":"r9","group":"vip"}"#)["status"], "pending");
    assert_eq!(alice.subscribe(&[("groups/vip", 1)]), [0x80], "a SUBSCRIBE is refused, and stays pending");
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v5("b", "bob"));
    assert_eq!(bob.subscribe(&[("groups/vip", 1)]), [0x87]);
    let requests = http.get("/api/v1/groups/vip/requests").json();
    let users: Vec<&Value> = requests["requests"].as_array().unwrap().iter().map(|request| &request["user"]).collect();
    assert_eq!(users, ["alice", "bob"]);
    http.push("p0", "group:vip", "nobody is in it");
    assert_eq!(http.json("POST", "/api/v1/groups/vip/requests/alice", json!({"decision":"approve"})).status, 204);
    let answer = alice.publish_in().json();
    assert_eq!((&answer["status"], &answer["topic"]), (&json!("accepted"), &json!("groups/vip")));
    assert_eq!(answer["id"], "r9", "the SUBSCRIBE, which has none, took it away");
    assert_eq!(http.json("POST", "/api/v1/groups/vip/requests/bob", json!({"decision":"reject"})).status, 204);
    let answer = bob.publish_in().json();
    assert_eq!((&answer["status"], &answer["reason"]), (&json!("rejected"), &json!("not-authorized")));
    http.push("p1", "group:vip", "welcome");
    assert_eq!(alice.push().text(), "welcome");
    bob.assert_silent();
    assert_eq!(http.json("POST", "/api/v1/groups/vip/requests/bob", json!({"decision":"approve"})).status, 404);
    assert_eq!(http.json("POST", "/api/v1/groups/vip/requests/bob", json!({"decision":"perhaps"})).status, 400);
}

#[test]
fn a_join_that_nobody_decided_on_never_got_its_second_answer() {
    let gateway = Gateway::start();
    let http = gateway.http();
    for group in ["vip", "gone"] {
        http.json("PUT", &format!("/api/v1/groups/{group}"), json!({"policy":"approval"}));
    }
    let mut alice = connect(&gateway, "alice");
    let ask = |alice: &mut Raw, group: &str| {
        let request = json!({"op":"join","id":group,"group":group}).to_string();
        assert_eq!(alice.request("$push/request", &request)["status"], "pending");
    };
    // Bound by the operator instead.
    ask(&mut alice, "vip");
    http.bind("vip", "alice");
    let answer = alice.publish_in().json();
    assert_eq!((&answer["status"], &answer["id"]), (&json!("accepted"), &json!("vip")));
    // The group is no more.
    ask(&mut alice, "gone");
    assert_eq!(http.json("DELETE", "/api/v1/groups/gone", Value::Null).status, 204);
    let answer = alice.publish_in().json();
    assert_eq!(
        (&answer["status"], &answer["reason"], &answer["id"]),
        (&json!("rejected"), &json!("group-unknown"), &json!("gone"))
    );
}

#[test]
fn removing_somebody_who_only_asked_took_the_question_away() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.json("PUT", "/api/v1/groups/vip", json!({"policy":"approval"}));
    let mut alice = connect(&gateway, "alice");
    assert_eq!(alice.request("$push/request", r#"{"op":"join","id":"r1","group":"vip"}"#)["status"], "pending");
    assert_eq!(http.json("DELETE", "/api/v1/groups/vip/members/alice", Value::Null).status, 404);
    // Another of her terminals is let in meanwhile: the first one hears of it.
    http.json("PUT", "/api/v1/groups/vip", json!({"policy":"open"}));
    let mut other = Raw::connect(gateway.mqtt, &Connect::v3("other", "alice"));
    other.publish("$push/join/vip", 0, b"");
    let heard = alice.publish_in().json();
    assert_eq!((&heard["status"], &heard["id"]), (&json!("accepted"), &json!("r1")));
}

#[test]
fn who_had_left_before_the_decision_was_bound_by_it() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.json("PUT", "/api/v1/groups/vip", json!({"policy":"approval"}));
    let mut alice = connect(&gateway, "alice");
    assert_eq!(alice.request("$push/join/vip", "")["status"], "pending");
    assert_eq!(alice.request("$push/leave/vip", "")["status"], "accepted");
    assert_eq!(http.get("/api/v1/groups/vip/requests").json()["requests"], json!([]));
    assert_eq!(http.json("POST", "/api/v1/groups/vip/requests/alice", json!({"decision":"approve"})).status, 404);
    assert_eq!(http.get("/api/v1/groups/vip").json()["members"], 0);
}

#[test]
fn a_closed_group_takes_only_whom_the_operator_binds() {
    let gateway = Gateway::start_with("[groups]\ndefault_policy = \"closed\"\n", &[]);
    let mut alice = connect(&gateway, "alice");
    assert_eq!(alice.request("$push/join/news", "")["reason"], "group-closed");
    assert_eq!(alice.subscribe(&[("groups/news", 1)]), [0x80]);
    gateway.http().bind("news", "alice");
    gateway.http().push("p1", "group:news", "in");
    assert_eq!(alice.push().text(), "in");
}

#[test]
fn unknown_groups_stay_unknown_where_they_are_not_made_by_joining() {
    let gateway = Gateway::start_with("[groups]\nauto_create = false\n", &[]);
    let mut alice = connect(&gateway, "alice");
    assert_eq!(alice.request("$push/join/news", "")["reason"], "group-unknown");
    assert_eq!(gateway.http().json("PUT", "/api/v1/groups/news/members/alice", Value::Null).status, 404);
    assert_eq!(gateway.http().json("PUT", "/api/v1/groups/news", Value::Null).status, 201);
    assert_eq!(gateway.http().json("PUT", "/api/v1/groups/news", Value::Null).status, 200);
    alice.join("news");
}

#[test]
fn a_user_has_so_many_groups_and_no_more() {
    let gateway = Gateway::start_with("[mqtt]\nmax_groups_per_user = 2\n", &[]);
    let mut alice = connect(&gateway, "alice");
    alice.join("a");
    alice.join("b");
    assert_eq!(alice.request("$push/join/c", "")["reason"], "limit-reached");
    assert_eq!(alice.subscribe(&[("groups/c", 0)]), [0x80]);
    alice.request("$push/leave/a", "");
    alice.join("c");
}

#[test]
fn lists_come_in_pages_and_groups_can_be_removed() {
    let gateway = Gateway::start();
    let http = gateway.http();
    for user in ["u1", "u2", "u3"] {
        http.bind("big", user);
    }
    http.bind("small", "u1");
    let page = http.get("/api/v1/groups/big/members?limit=2").json();
    assert_eq!(page["members"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let page = http.get(&format!("/api/v1/groups/big/members?limit=2&after={next}")).json();
    assert_eq!((&page["members"][0]["user"], &page["next"]), (&json!("u3"), &Value::Null));
    assert_eq!(http.get("/api/v1/groups/big/members?after=u2").status, 400, "it is not what next said");
    assert_eq!(http.get("/api/v1/groups?limit=1").json()["next"], "big");
    let user = http.get("/api/v1/users/u1").json();
    assert_eq!(user["groups"].as_array().unwrap().len(), 2);
    assert_eq!(http.get("/api/v1/users/nobody").status, 404);
    assert_eq!(http.json("DELETE", "/api/v1/groups/big", Value::Null).status, 204);
    assert_eq!(http.get("/api/v1/groups/big").status, 404);
    assert_eq!(http.json("DELETE", "/api/v1/groups/big", Value::Null).status, 404);
    let groups = http.get("/api/v1/groups").json();
    assert_eq!(groups["groups"].as_array().unwrap().len(), 1);
    assert_eq!(http.get("/api/v1/users/u2").status, 404);
    http.bind("big", "u1");
    assert_eq!(http.get("/api/v1/groups/big").json()["members"], 1);
}

#[test]
fn a_pending_push_ends_when_the_last_member_leaves() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    gateway.http().push("p1", "group:news", "x");
    gateway.http().json("DELETE", "/api/v1/groups/news/members/alice", Value::Null);
    let outcome = gateway.http().wait_outcome("p1", "undeliverable", "0 of 1, 1 left the group");
    assert_eq!(outcome["code"], 4510);
}

#[test]
fn a_user_that_is_left_and_taken_up_again_does_not_get_an_unanswered_push_twice() {
    let gateway = Gateway::start();
    let mut terminal = connect(&gateway, "alice");
    terminal.join("news");
    gateway.http().push("p1", "group:news", "once");
    let push = terminal.publish_in();
    terminal.request("$push/request", r#"{"op":"list","user":"bob"}"#);
    terminal.request("$push/request", r#"{"op":"list","user":"alice"}"#);
    terminal.assert_nothing_before_a_push(gateway.http(), "group:news");
    terminal.puback(push.id);
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
}

#[test]
fn a_binding_that_a_clean_start_ends_ends_for_the_user_s_other_terminals_too() {
    let gateway = Gateway::start();
    let mut other = connect(&gateway, "alice");
    let lasting = Connect::v3("keeper", "alice").lasting();
    let mut keeper = Raw::connect(gateway.mqtt, &lasting);
    keeper.subscribe(&[("groups/news", 1)]);
    gateway.http().push("p1", "group:news", "1");
    assert_eq!((keeper.push().text(), other.push().text()), ("1", "1"));
    keeper.disconnect();
    Raw::connect(gateway.mqtt, &Connect::v3("keeper", "alice")).ping();
    gateway.http().push("p2", "group:news", "2");
    other.assert_silent();
}

fn approval(gateway: &Gateway, group: &str) {
    let reply = gateway.http().json("PUT", &format!("/api/v1/groups/{group}"), json!({"policy":"approval"}));
    assert_eq!(reply.status, 201);
}

fn decide(gateway: &Gateway, group: &str, user: &str, decision: &str) -> u16 {
    let path = format!("/api/v1/groups/{group}/requests/{user}");
    gateway.http().json("POST", &path, json!({ "decision": decision })).status
}

#[test]
fn what_was_decided_while_the_asker_was_away_it_never_heard() {
    let mut gateway = Gateway::start();
    for group in ["vip", "club"] {
        approval(&gateway, group);
    }
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.ask("$push/request", "answers/here", b"\x01\xFF", r#"{"op":"join","id":"r1","group":"vip"}"#);
    assert_eq!(alice.publish_in().json()["status"], "pending");
    assert_eq!(alice.request("$push/request", r#"{"op":"join","id":"r2","group":"club"}"#)["status"], "pending");
    alice.disconnect();
    assert_eq!(decide(&gateway, "vip", "alice", "approve"), 204);
    assert_eq!(decide(&gateway, "club", "alice", "reject"), 204);
    gateway.http().push("p1", "group:vip", "welcome");
    // It was stored with the decision.
    gateway.kill();
    gateway.restart();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    let (mut answers, mut pushes) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let publish = alice.push();
        if publish.topic == "groups/vip" { pushes.push(publish) } else { answers.push(publish) }
    }
    assert_eq!(pushes[0].text(), "welcome");
    let told = answers[0].json();
    assert_eq!(
        (answers[0].topic.as_str(), &told["id"], &told["status"]),
        ("answers/here", &json!("r1"), &json!("accepted"))
    );
    assert!(answers[0].properties.windows(5).any(|bytes| bytes == [0x09, 0, 2, 1, 0xFF]), "with its correlation");
    assert_eq!(told["topic"], "groups/vip");
    let told = answers[1].json();
    assert_eq!(
        (answers[1].topic.as_str(), &told["id"], &told["status"], &told["reason"]),
        ("$push/response", &json!("r2"), &json!("rejected"), &json!("not-authorized"))
    );
    // Once: what comes next is the answer to what is asked next.
    assert_eq!(alice.request("$push/list", "")["op"], "list");
    alice.disconnect();
    let mut alice = connect(&gateway, "alice");
    assert_eq!(alice.request("$push/list", "")["op"], "list");
}

#[test]
fn who_was_bound_or_whose_group_was_deleted_while_away_never_heard() {
    let gateway = Gateway::start();
    let http = gateway.http();
    for group in ["vip", "gone", "left"] {
        approval(&gateway, group);
    }
    let mut alice = connect(&gateway, "alice");
    for group in ["vip", "gone", "left"] {
        assert_eq!(alice.request(&format!("$push/join/{group}"), "")["status"], "pending");
    }
    alice.disconnect();
    http.bind("vip", "alice");
    assert_eq!(http.json("DELETE", "/api/v1/groups/gone", Value::Null).status, 204);
    // Let in and removed again: that she was let in is no news any more.
    assert_eq!(decide(&gateway, "left", "alice", "approve"), 204);
    assert_eq!(http.json("DELETE", "/api/v1/groups/left/members/alice", Value::Null).status, 204);
    let mut alice = connect(&gateway, "alice");
    let (vip, gone) = (alice.publish_in().json(), alice.publish_in().json());
    assert_eq!((&vip["group"], &vip["status"]), (&json!("vip"), &json!("accepted")));
    assert_eq!((&gone["group"], &gone["reason"]), (&json!("gone"), &json!("group-unknown")));
    assert_eq!(alice.request("$push/list", "")["op"], "list");
}

#[test]
fn a_client_made_the_gateway_speak_to_another_on_a_topic_of_its_own() {
    let gateway = Gateway::start();
    approval(&gateway, "club");
    let mut mallory = Raw::connect(gateway.mqtt, &Connect::v5("m", "mallory"));
    for topic in ["groups/alarm", "users/victim", "$push/request", "$SYS/broker"] {
        mallory.ask("$push/request", topic, b"c", r#"{"op":"join","id":"BUY NOW","user":"victim","group":"club"}"#);
        let answer = mallory.publish_in();
        assert_eq!(answer.topic, "$push/response", "{topic}");
        let told = answer.json();
        assert_eq!(
            (&told["status"], &told["reason"], &told["id"]),
            (&json!("rejected"), &json!("bad-request"), &json!("BUY NOW")),
            "{topic}"
        );
    }
    assert_eq!(gateway.http().get("/api/v1/groups/club/requests").json()["requests"], json!([]));
    for topic in ["$push/response", "$push/response/7", "my/answers"] {
        mallory.ask("$push/request", topic, b"c", r#"{"op":"list"}"#);
        assert_eq!(mallory.publish_in().topic, topic);
    }
}

#[test]
fn a_join_that_waits_kept_120_kilobytes_for_its_asker_for_ever() {
    let gateway = Gateway::start();
    approval(&gateway, "vip");
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    let mut ask = |topic: usize, correlation: usize| {
        alice.ask("$push/join/vip", &"x".repeat(topic), &vec![7; correlation], "");
        alice.publish_in().json()
    };
    for (topic, correlation) in [(1_025, 1), (1, 1_025), (60_000, 60_000)] {
        let answer = ask(topic, correlation);
        assert_eq!((&answer["status"], &answer["reason"]), (&json!("rejected"), &json!("bad-request")));
        assert!(answer["desc"].as_str().unwrap().contains("1024 bytes at most"), "{answer}");
    }
    assert_eq!(gateway.http().get("/api/v1/groups/vip/requests").json()["requests"], json!([]));
    assert_eq!(ask(1_024, 1_024)["status"], "pending");
}

#[test]
fn joins_that_wait_for_a_decision_were_not_counted() {
    let gateway = Gateway::start_with("[mqtt]\nmax_groups_per_user = 3\n[groups]\nmax_pending = 3\n", &[]);
    for group in ["v1", "v2", "v3"] {
        approval(&gateway, group);
    }
    let mut alice = connect(&gateway, "alice");
    alice.join("open");
    for group in ["v1", "v2"] {
        assert_eq!(alice.request(&format!("$push/join/{group}"), "")["status"], "pending");
    }
    let answer = alice.request("$push/join/v3", "");
    assert_eq!(answer["reason"], "limit-reached", "one group and two questions");
    assert!(answer["desc"].as_str().unwrap().contains("mqtt.max_groups_per_user"), "{answer}");
    assert_eq!(alice.request("$push/join/more", "")["reason"], "limit-reached");
    assert_eq!(gateway.http().get("/api/v1/groups/more").status, 404, "no group was made for a refusal");
    assert_eq!(alice.request("$push/join/v1", "")["status"], "pending", "asked again, it is the same question");
    let mut bob = connect(&gateway, "bob");
    assert_eq!(bob.request("$push/join/v1", "")["status"], "pending");
    let answer = bob.request("$push/join/v2", "");
    assert_eq!(answer["reason"], "limit-reached", "three in all");
    assert!(answer["desc"].as_str().unwrap().contains("groups.max_pending"), "{answer}");
    alice.request("$push/leave/v1", "");
    assert_eq!(bob.request("$push/join/v2", "")["status"], "pending");
}

#[test]
fn an_operator_let_a_user_into_more_groups_than_it_may_have() {
    let mut gateway = Gateway::start_with("[mqtt]\nmax_groups_per_user = 2\n", &[]);
    approval(&gateway, "vip");
    let mut alice = connect(&gateway, "alice");
    alice.join("open");
    assert_eq!(alice.request("$push/join/vip", "")["status"], "pending");
    gateway.terminate();
    std::fs::write(gateway.dir.path().join("broker.toml"), "[mqtt]\nmax_groups_per_user = 1\n").unwrap();
    gateway.restart();
    let mut alice = connect(&gateway, "alice");
    assert_eq!(decide(&gateway, "vip", "alice", "approve"), 409);
    assert_eq!(gateway.http().get("/api/v1/groups/vip").json()["members"], 0);
    assert_eq!(alice.request("$push/leave/open", "")["status"], "accepted");
    assert_eq!(decide(&gateway, "vip", "alice", "approve"), 204, "it had waited on");
    assert_eq!(alice.publish_in().json()["status"], "accepted");
}

#[test]
fn groups_were_made_without_end() {
    let mut gateway = Gateway::start_with("[groups]\nmax = 2\n", &[]);
    let http = gateway.http();
    let mut alice = connect(&gateway, "alice");
    alice.join("a");
    http.json("PUT", "/api/v1/groups/b", Value::Null);
    let answer = alice.request("$push/join/c", "");
    assert_eq!(answer["reason"], "limit-reached");
    assert!(answer["desc"].as_str().unwrap().contains("groups.max"), "{answer}");
    assert_eq!(alice.subscribe(&[("groups/c", 1)]), [0x80]);
    assert_eq!(http.json("PUT", "/api/v1/groups/c", Value::Null).status, 409);
    assert_eq!(http.json("PUT", "/api/v1/groups/c/members/bob", Value::Null).status, 409);
    alice.join("b");
    gateway.kill();
    gateway.restart();
    let mut alice = connect(&gateway, "alice");
    assert_eq!(alice.request("$push/join/c", "")["reason"], "limit-reached", "also after a crash");
    assert_eq!(gateway.http().json("DELETE", "/api/v1/groups/b", Value::Null).status, 204);
    alice.join("c");
}
