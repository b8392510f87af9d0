//! Who is who, and what they may: tokens of devices, initiators and operators, from outside.

use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use super::common::http::{Client, Pap};
use super::common::mqtt::{Connect, Raw};
use super::common::{Gateway, Output, mosquitto, papcast, wait_for};

const REQUIRED: &str = "auth.mode = \"required\"\n";

/// MQTT 5.0 §3.2.2.2: bad user name or password, not authorized, client identifier not valid.
const BAD_PASSWORD: u8 = 0x86;
const NOT_AUTHORIZED: u8 = 0x87;
const CLIENT_ID_INVALID: u8 = 0x85;

fn command(gateway: &Gateway, args: &[&str]) -> Output {
    gateway.command(args)
}

fn add(gateway: &Gateway, kind: &str, name: &str, more: &[&str]) -> String {
    gateway.token(kind, name, more)
}

fn refused(gateway: &Gateway, connect: &Connect<'_>) -> u8 {
    let (_, _, code) = Raw::try_connect(gateway.mqtt, connect);
    code
}

#[test]
fn without_a_token_nobody_is_let_in() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    // 3.1.1 §3.2.2.3: 4 is bad user name or password.
    assert_eq!(refused(&gateway, &Connect::v3("c", "alice")), 4);
    assert_eq!(refused(&gateway, &Connect::v5("c", "alice")), BAD_PASSWORD);
    assert_eq!(refused(&gateway, &Connect::v5("c", "alice").password("guess")), BAD_PASSWORD);
    assert_eq!(refused(&gateway, &Connect::v5("c", "$operator/ann").password("guess")), BAD_PASSWORD);
    assert_eq!(refused(&gateway, &Connect { user: None, ..Connect::v5("", "") }), BAD_PASSWORD);
    let http = gateway.http();
    let pap = http.pap(&Pap::new("p1").to("group:news"));
    assert_eq!((pap.status, pap.pap_code()), (401, 2001), "an initiator reads XML: {pap:?}");
    assert!(pap.header("www-authenticate").unwrap().starts_with("Basic "), "{pap:?}");
    for (method, path) in [
        ("GET", "/api/v1/pushes"),
        ("POST", "/api/v1/pushes"),
        ("GET", "/api/v1/groups"),
        ("PUT", "/api/v1/groups/news"),
        ("GET", "/api/v1/users/alice"),
        ("POST", "/api/v1/group-requests"),
        ("GET", "/metrics"),
    ] {
        assert_eq!(http.send(method, path, "application/json", b"{}").status, 401, "{method} {path}");
    }
    assert_eq!(http.bearer("guess").get("/api/v1/groups").status, 401);
    assert_eq!(http.basic("ann", "guess").get("/api/v1/groups").status, 401);
    for open in ["/healthz", "/readyz"] {
        assert_eq!(http.get(open).status, 200, "{open}");
    }
    assert_eq!(http.get("/nothing").status, 404);
    let gateway = Gateway::start_with(&format!("{REQUIRED}auth.open_metrics = true\n"), &[]);
    assert!(gateway.http().get("/metrics").body.contains("papcast_failed_sign_ins_total 0"));
    refused(&gateway, &Connect::v5("c", "alice").password("guess"));
    gateway.http().bearer("guess").get("/api/v1/groups");
    assert!(gateway.http().get("/metrics").body.contains("papcast_failed_sign_ins_total 2"));
}

#[test]
fn a_device_acts_for_its_own_user_and_for_nobody_else() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let (alice, bob) = (add(&gateway, "device", "sip:alice@example.com", &[]), add(&gateway, "device", "bob", &[]));
    let initiator = gateway.http().basic("press", &add(&gateway, "initiator", "press", &[]));
    let user = "sip:alice@example.com";
    assert_eq!(refused(&gateway, &Connect::v5("c", user).password(&bob)), BAD_PASSWORD, "another one's token");
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v5("c", user).password(&alice));
    let answer = terminal.request("$push/request", r#"{"op":"join","user":"bob","group":"news"}"#);
    assert_eq!((answer["status"].as_str(), answer["reason"].as_str()), (Some("rejected"), Some("not-authorized")));
    assert_eq!(terminal.subscribe(&[("users/bob", 1), ("groups/#", 0), ("#", 0)]), [NOT_AUTHORIZED; 3]);
    let answer = terminal.request("$push/request", r#"{"op":"join","user":"sip:alice@example.com","group":"news"}"#);
    assert_eq!(answer["status"], "accepted", "its own name may be said");
    // A user with a token is known, though it never was here.
    initiator.push("p1", "user:bob", "hello");
    initiator.push("p2", "group:news", "for all");
    assert_eq!(terminal.push().text(), "for all");
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v3("d", "bob").password(&bob));
    assert_eq!(terminal.push().text(), "hello");
    // The same over HTTP, with a user ID that has a colon in it.
    let device = gateway.http().basic(user, &alice);
    let list = device.json("POST", "/api/v1/group-requests", serde_json::json!({"op": "list"}));
    assert_eq!(list.json()["groups"][0]["group"], "news", "{list:?}");
    let other = device.json("POST", "/api/v1/group-requests", serde_json::json!({"op": "list", "user": "bob"}));
    assert_eq!((other.status, other.json()["reason"].clone()), (403, "not-authorized".into()));
    assert_eq!(device.get("/api/v1/groups").status, 403);
    assert_eq!(device.pap(&Pap::new("p3").to("group:news")).status, 403);
}

#[test]
fn every_role_over_http_does_its_own_things_and_nothing_else() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let with = |token: &str| gateway.http().bearer(token);
    let initiator = with(&add(&gateway, "initiator", "press", &[]));
    let operator = with(&add(&gateway, "operator", "ann", &[]));
    let viewer = with(&add(&gateway, "operator", "vic", &["--role", "viewer"]));
    assert_eq!(operator.json("PUT", "/api/v1/groups/news/members/alice", Value::Null).status, 201);
    initiator.push("p1", "group:news", "x");
    let push = serde_json::json!({"to": ["group:news"], "body": "x"});
    for (method, path, body, [initiators, viewers, operators]) in [
        ("GET", "/api/v1/groups", Value::Null, [403, 200, 200]),
        ("GET", "/api/v1/groups/news/members", Value::Null, [403, 200, 200]),
        ("GET", "/api/v1/users/alice", Value::Null, [403, 200, 200]),
        ("PUT", "/api/v1/groups/more", Value::Null, [403, 403, 201]),
        ("PUT", "/api/v1/groups/news/members/bob", Value::Null, [403, 403, 201]),
        ("DELETE", "/api/v1/groups/news/members/bob", Value::Null, [403, 403, 204]),
        ("GET", "/api/v1/groups/news/requests", Value::Null, [403, 200, 200]),
        ("POST", "/api/v1/pushes", push, [202, 403, 202]),
        ("GET", "/api/v1/pushes/p1", Value::Null, [200, 404, 404]),
        ("GET", "/api/v1/pushes/p1?initiator=press", Value::Null, [200, 200, 200]),
        ("GET", "/api/v1/pushes/p1/recipients?initiator=press", Value::Null, [200, 200, 200]),
        ("GET", "/metrics", Value::Null, [403, 200, 200]),
        ("DELETE", "/api/v1/groups/more", Value::Null, [403, 403, 204]),
        ("DELETE", "/api/v1/pushes/p1?initiator=press", Value::Null, [200, 403, 409]),
    ] {
        let status = |client: Client| client.json(method, path, body.clone()).status;
        assert_eq!(
            [status(initiator), status(viewer), status(operator)],
            [initiators, viewers, operators],
            "{method} {path}"
        );
    }
}

#[test]
fn watching_is_for_operators_and_viewers() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let viewer = add(&gateway, "operator", "vic", &["--role", "viewer"]);
    let initiator = gateway.http().bearer(&add(&gateway, "initiator", "press", &[]));
    let device = add(&gateway, "device", "alice", &[]);
    let mut member = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").password(&device));
    member.join("news");
    assert_eq!(refused(&gateway, &Connect::v5("v", "$operator/ann").password(&viewer)), BAD_PASSWORD);
    assert_eq!(refused(&gateway, &Connect::v5("v", "vic").password(&viewer)), BAD_PASSWORD, "it is no device");
    let mut watcher = Raw::connect(gateway.mqtt, &Connect::v5("v", "$operator/vic").password(&viewer));
    assert_eq!(watcher.subscribe(&[("groups/#", 1)]), [0]);
    assert_eq!(watcher.subscribe(&[("groups/news", 1)]), [NOT_AUTHORIZED], "it is nobody's terminal");
    initiator.push("p1", "group:news", "seen");
    assert_eq!(watcher.push().text(), "seen");
    assert_eq!(member.push().text(), "seen");
    let outcome = initiator.wait_outcome("p1", "delivered", "1 of 1");
    assert_eq!(outcome["recipients"], 1, "whoever watches is counted nowhere");
}

#[test]
fn what_is_taken_away_ends_its_connections() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let alice = add(&gateway, "device", "alice", &[]);
    let bob = add(&gateway, "device", "bob", &[]);
    let mut first = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").password(&alice));
    let mut other = Raw::connect(gateway.mqtt, &Connect::v5("b", "bob").password(&bob));
    // A fleet can roll: both tokens work for a while, and nobody is sent away.
    let rotated = command(&gateway, &["device", "rotate", "alice", "--keep-old", "7days", "--json"]);
    let rotated: Value = serde_json::from_str(&rotated.out).unwrap();
    assert_eq!(rotated["user"], "alice");
    let fresh = rotated["token"].as_str().unwrap();
    first.ping();
    for token in [&alice, fresh] {
        Raw::connect(gateway.mqtt, &Connect::v5("x", "alice").password(token)).disconnect();
    }
    assert_eq!(command(&gateway, &["device", "rotate", "alice"]).code, Some(0));
    assert_eq!(first.wait_closed(), Some(NOT_AUTHORIZED));
    for token in [&alice, fresh] {
        assert_eq!(refused(&gateway, &Connect::v5("x", "alice").password(token)), BAD_PASSWORD);
    }
    other.ping();
    assert_eq!(command(&gateway, &["device", "remove", "bob"]).code, Some(0));
    assert_eq!(other.wait_closed(), Some(NOT_AUTHORIZED));
    assert_eq!(refused(&gateway, &Connect::v5("b", "bob").password(&bob)), BAD_PASSWORD);
    let initiator = add(&gateway, "initiator", "press", &[]);
    assert_eq!(gateway.http().bearer(&initiator).get("/api/v1/pushes").status, 200);
    assert_eq!(command(&gateway, &["initiator", "remove", "press"]).code, Some(0));
    assert_eq!(gateway.http().bearer(&initiator).get("/api/v1/pushes").status, 401);
}

#[test]
fn push_ids_belong_to_their_initiator() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let [one, other] = ["one", "other"].map(|name| gateway.http().basic(name, &add(&gateway, "initiator", name, &[])));
    add(&gateway, "device", "alice", &[]);
    one.push("p1", "user:alice", "from one");
    other.push("p1", "user:alice", "from the other");
    one.push("p2", "user:alice", "x");
    // Foreign and unknown look the same.
    for path in ["/api/v1/pushes/p2", "/api/v1/pushes/p2?initiator=one", "/api/v1/pushes/p2/recipients?initiator=one"] {
        assert_eq!(other.get(path).status, 404, "{path}");
    }
    assert_eq!(other.get("/api/v1/pushes?initiator=one").json()["pushes"], serde_json::json!([]));
    assert_eq!(other.send("DELETE", "/api/v1/pushes/p2?initiator=one", "text/plain", b"").status, 404);
    let ids = one.get("/api/v1/pushes").json()["pushes"].as_array().unwrap().len();
    assert_eq!(ids, 2);
    let cancelled = |client: Client, push_id: &str| {
        let body = format!("<?xml version=\"1.0\"?><pap><cancel-message push-id=\"{push_id}\"/></pap>");
        client.send("POST", "/pap", "application/xml", body.as_bytes()).pap_code()
    };
    assert_eq!((cancelled(other, "p2"), cancelled(one, "p2")), (2004, 1000));
    // The same in mode open, where the name is believed.
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let [one, other] = ["one", "other"].map(|name| gateway.http().basic(name, "whatever"));
    one.push("p1", "group:news", "from one");
    other.push("p1", "group:news", "from the other");
    gateway.http().push("p1", "group:news", "from nobody");
    assert_eq!(one.get("/api/v1/pushes/p1").json()["initiator"], "one");
    assert_eq!(gateway.http().get("/api/v1/pushes/p1").json()["initiator"], "anonymous");
}

#[test]
fn a_client_id_is_its_users_while_the_session_lives() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let [alice, mallory] = ["alice", "mallory"].map(|name| add(&gateway, "device", name, &[]));
    let connect = Connect::v5("c", "alice").password(&alice).lasting();
    let mut first = Raw::connect(gateway.mqtt, &connect);
    let thief = Connect::v5("c", "mallory").password(&mallory);
    assert_eq!(refused(&gateway, &thief), CLIENT_ID_INVALID);
    first.ping();
    first.disconnect();
    assert_eq!(refused(&gateway, &thief), CLIENT_ID_INVALID, "it may come back");
    let (_, session_present, code) = Raw::try_connect(gateway.mqtt, &connect);
    assert_eq!((session_present, code), (1, 0));
    Raw::connect(gateway.mqtt, &Connect::v5("c", "alice").password(&alice)).disconnect();
    Raw::connect(gateway.mqtt, &thief).disconnect();
}

#[test]
fn rules_say_what_initiators_reach_and_devices_join() {
    let rules = format!(
        "{REQUIRED}[[initiators]]\nmatch = \"bill*\"\nto = [\"group:bills-*\"]\n\
         [[devices]]\nmatch = \"a*\"\njoin = [\"bills-may\", \"own-%u\"]\n"
    );
    let gateway = Gateway::start_with(&rules, &[]);
    let billing = gateway.http().basic("billing", &add(&gateway, "initiator", "billing", &[]));
    let alice = add(&gateway, "device", "alice", &[]);
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").password(&alice));
    terminal.join("bills-may");
    terminal.join("own-alice");
    let answer = terminal.request("$push/join/news", "");
    assert_eq!(answer["reason"], "not-authorized", "{answer}");
    assert_eq!(terminal.subscribe(&[("groups/news", 1), ("groups/bills-may", 1)]), [NOT_AUTHORIZED, 1]);
    for address in ["group:own-alice", "group:no-such-group", "user:alice", "user:nobody"] {
        let reply = billing.pap(&Pap::new("p1").to(address));
        assert_eq!((reply.status, reply.pap_code()), (202, 2001), "{address}: {reply:?}");
    }
    let json = billing.json("POST", "/api/v1/pushes", serde_json::json!({"to": ["user:alice"], "body": "x"}));
    assert_eq!((json.status, json.json()["code"].clone()), (403, 2001.into()));
    billing.push("p2", "group:bills-may", "due");
    assert_eq!(terminal.push().text(), "due");
}

#[test]
fn a_fleet_shares_one_login() {
    let gateway = Gateway::start_with(&format!("{REQUIRED}mqtt.user_id = \"client_id\"\n"), &[]);
    let fleet = add(&gateway, "device", "fleet", &[]);
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v3("meter-1", "fleet").password(&fleet));
    terminal.join("meters");
    let initiator = gateway.http().bearer(&add(&gateway, "initiator", "i", &[]));
    initiator.push("p1", "user:meter-1", "read");
    assert_eq!(terminal.push().text(), "read");
    assert_eq!(refused(&gateway, &Connect::v3("meter-2", "other").password(&fleet)), 4);
    assert_eq!(command(&gateway, &["device", "remove", "fleet"]).code, Some(0));
    terminal.wait_closed();
}

#[test]
fn kannels_clients_sign_in_with_the_query() {
    let endpoints = "[pap.endpoints]\n\"/pap\" = { profile = \"spec\" }\n\
                     \"/wappush\" = { profile = \"spec\", query_credentials = true }\n";
    let gateway = Gateway::start_with(&format!("{REQUIRED}{endpoints}"), &[]);
    let token = add(&gateway, "initiator", "kannel user", &[]);
    add(&gateway, "device", "alice", &[]);
    let send = |path: &str, push_id: &str| {
        let pap = Pap::new(push_id).to("user:alice");
        gateway.http().send("POST", path, "multipart/related; boundary=xyz", pap.body().as_bytes())
    };
    let query = format!("username=kannel+user&password={token}");
    let reply = send(&format!("/wappush?{query}"), "p1");
    assert_eq!((reply.status, reply.pap_code()), (202, 1001), "{reply:?}");
    assert_eq!(send(&format!("/wappush?username=kannel%20user&password={token}"), "p2").pap_code(), 1001);
    assert_eq!(send("/wappush?username=kannel+user&password=guess", "p3").status, 401);
    assert_eq!(send(&format!("/pap?{query}"), "p4").status, 401, "only where that is set");
}

#[test]
fn commands_work_with_and_without_a_gateway() {
    let mut gateway = Gateway::start_with(REQUIRED, &[]);
    assert_eq!(gateway.terminate().code(), Some(0));
    let token = add(&gateway, "operator", "ann", &[]);
    let again = command(&gateway, &["operator", "add", "ann"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("has a token already") && again.err.contains("rotate"), "{}", again.err);
    std::fs::write(gateway.dir.path().join("users"), "alice\n\n sip:bob@example.com \n\"odd, name\"\n").unwrap();
    let made = command(&gateway, &["device", "add", "--file", "users"]);
    let lines: Vec<&str> = made.out.lines().collect();
    assert_eq!((lines[0], lines.len()), ("user,token", 4), "{made:?}");
    assert!(lines[3].starts_with("\"\"\"odd, name\"\"\","), "{}", lines[3]);
    let twice = command(&gateway, &["device", "add", "carol", "alice"]);
    assert_eq!(twice.code, Some(1), "all of them, or none");
    let same = command(&gateway, &["device", "add", "carol", "carol"]);
    assert!(same.code == Some(1) && same.err.contains("named twice"), "{same:?}");
    gateway.restart();
    let alice = lines[1].split_once(',').unwrap().1;
    Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").password(alice)).disconnect();
    let listed = command(&gateway, &["device", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let names: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|one| one["user"].as_str().unwrap()).collect();
    assert_eq!(names, ["\"odd, name\"", "alice", "sip:bob@example.com"]);
    assert!(!listed.to_string().contains("token\":\"pc"), "{listed}");
    let unknown = command(&gateway, &["device", "remove", "dave"]);
    assert_eq!((unknown.code, unknown.err.as_str()), (Some(1), "papcast: there is no device \"dave\"\n"));
    // The other commands take a token.
    let at = format!("http://{}", gateway.http);
    assert_eq!(papcast(&["group", "list", "--gateway", &at]).code, Some(1));
    assert_eq!(papcast(&["group", "list", "--gateway", &at, "--token", &token]).code, Some(0));
    let socket = std::fs::metadata(gateway.dir.path().join("papcast.db.sock")).unwrap();
    assert_eq!(socket.mode() & 0o777, 0o600, "only its owner may");
}

#[test]
fn credentials_are_looked_after_by_the_owner_of_the_store() {
    let mut gateway = Gateway::start();
    gateway.terminate();
    let store = gateway.dir.path().join("papcast.db");
    if std::os::unix::fs::chown(&store, Some(12_345), None).is_err() {
        return super::common::skip("root");
    }
    let refused = command(&gateway, &["device", "add", "alice"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("belongs to user 12345"), "{}", refused.err);
}

#[test]
fn secrets_are_written_nowhere() {
    let gateway = Gateway::start_with(&format!("{REQUIRED}log.level = \"trace\"\n"), &[]);
    let tokens = [
        add(&gateway, "device", "alice", &[]),
        add(&gateway, "initiator", "i", &[]),
        add(&gateway, "operator", "o", &[]),
    ];
    let planted = "pcd_this-is-a-planted-secret-0123456789";
    let [alice, initiator, operator] = tokens.each_ref().map(String::as_str);
    Raw::connect(gateway.mqtt, &Connect::v5("c", "alice").password(alice)).join("news");
    Raw::connect(gateway.mqtt, &Connect::v5("o", "$operator/o").password(operator)).subscribe(&[("groups/#", 0)]);
    gateway.http().bearer(initiator).push("p1", "user:alice", "x");
    gateway.http().basic("i", initiator).push("p2", "user:alice", "x");
    gateway.http().basic("o", operator).get("/api/v1/groups");
    // What is wrong is not shown either, wherever it stands.
    refused(&gateway, &Connect::v5("c", "alice").password(planted));
    refused(&gateway, &Connect::v3("c", planted).password("x"));
    for client in
        [gateway.http().bearer(planted), gateway.http().basic(planted, "x"), gateway.http().basic("i", initiator)]
    {
        let replies = [client.get("/api/v1/groups"), client.pap(&Pap::new("p3").to("user:nobody"))];
        assert!(
            replies.iter().all(|reply| !reply.body.contains(planted) && !reply.body.contains(initiator)),
            "{replies:?}"
        );
    }
    gateway.http().get(&format!("/wappush?username=alice&password={planted}"));
    let all = [alice, initiator, operator, planted];
    let metrics = gateway.http().bearer(&tokens[2]).get("/metrics").body;
    let log = gateway.log();
    assert!(log.contains("a sign-in failed"), "{log}");
    for secret in all {
        assert!(!log.contains(secret) && !metrics.contains(secret), "{secret} in\n{log}");
    }
    for file in ["papcast.db", "papcast.db-wal"] {
        let bytes = std::fs::read(gateway.dir.path().join(file)).unwrap_or_default();
        for token in &tokens {
            assert!(!bytes.windows(token.len()).any(|window| window == token.as_bytes()), "a token is in {file}");
        }
    }
}

#[test]
fn whoever_guesses_waits_longer_and_nobody_else_does() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let alice = add(&gateway, "device", "alice", &[]);
    let guesses: Vec<_> = (0..20)
        .map(|number| {
            let at = gateway.mqtt;
            std::thread::spawn(move || {
                let client = format!("g{number}");
                Raw::try_connect(at, &Connect::v5(&client, "alice").password("guess")).2
            })
        })
        .collect();
    // From the same address, in between.
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").password(&alice));
    terminal.ping();
    assert!(guesses.iter().any(|guess| !guess.is_finished()), "the last of them wait for seconds");
    for guess in guesses {
        assert_eq!(guess.join().unwrap(), BAD_PASSWORD);
    }
    let failed = wait_for("the count", || Some(gateway.log()).filter(|log| log.contains("a sign-in failed")));
    assert!(failed.matches("a sign-in failed").count() <= 10, "a few lines a minute: {failed}");
}

#[test]
fn mosquittos_clients_sign_in() {
    if !mosquitto::available() {
        return super::common::skip("mosquitto-clients");
    }
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let alice = add(&gateway, "device", "alice", &[]);
    let sub =
        mosquitto::Sub::start(gateway.mqtt, &["-u", "alice", "-P", &alice, "-i", "m", "-t", "groups/news", "-q", "1"]);
    let initiator = gateway.http().bearer(&add(&gateway, "initiator", "i", &[]));
    wait_for("the binding", || {
        let reply = initiator.pap(&Pap::new("p1").to("group:news").text("hello"));
        (reply.pap_code() == 1001).then_some(())
    });
    assert!(sub.message().contains("hello"));
    assert_ne!(mosquitto::publish(gateway.mqtt, &["-u", "alice", "-P", "guess", "-t", "$push/join/x", "-n"]), 0);
}

#[test]
fn an_old_token_let_its_connections_stay_when_its_time_was_up() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let alice = add(&gateway, "device", "alice", &[]);
    let mut old = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").password(&alice));
    let rotated = command(&gateway, &["device", "rotate", "alice", "--keep-old", "1s", "--json"]);
    let rotated: Value = serde_json::from_str(&rotated.out).unwrap();
    let fresh = rotated["token"].as_str().unwrap();
    let mut new = Raw::connect(gateway.mqtt, &Connect::v5("b", "alice").password(fresh));
    assert_eq!(old.wait_closed(), Some(NOT_AUTHORIZED));
    new.ping();
    assert_eq!(refused(&gateway, &Connect::v5("c", "alice").password(&alice)), BAD_PASSWORD);
    // Two work at a time: with the next rotation the oldest one is over at once.
    assert_eq!(command(&gateway, &["device", "rotate", "alice", "--keep-old", "1h"]).code, Some(0));
    new.ping();
    assert_eq!(command(&gateway, &["device", "rotate", "alice", "--keep-old", "1h"]).code, Some(0));
    assert_eq!(new.wait_closed(), Some(NOT_AUTHORIZED));
}

#[test]
fn a_filter_from_mode_open_watched_on_in_mode_required() {
    let mut gateway = Gateway::start();
    let connect = Connect::v5("spy", "alice").lasting();
    let mut spy = Raw::connect(gateway.mqtt, &connect);
    assert_eq!(spy.subscribe(&[("groups/#", 0), ("groups/own", 1)]), [0, 1]);
    spy.disconnect();
    // And a session of a client that had no username: it belongs to a user without a token.
    Raw::connect(gateway.mqtt, &Connect { user: None, ..Connect::v5("meter", "") }.lasting()).disconnect();
    gateway.terminate();
    std::fs::write(gateway.dir.path().join("broker.toml"), REQUIRED).unwrap();
    let alice = add(&gateway, "device", "alice", &[]);
    let bob = add(&gateway, "device", "bob", &[]);
    let press = add(&gateway, "initiator", "press", &[]);
    gateway.restart();
    let (mut spy, session_present, _) = Raw::try_connect(gateway.mqtt, &connect.password(&alice));
    assert_eq!(session_present, 1);
    let mut bob_s = Raw::connect(gateway.mqtt, &Connect::v5("meter", "bob").password(&bob));
    bob_s.join("secret");
    let press = gateway.http().bearer(&press);
    press.push("p1", "group:secret", "for bob");
    assert_eq!(bob_s.push().text(), "for bob");
    press.push("p2", "group:own", "for alice");
    assert_eq!(spy.push().text(), "for alice", "and nothing before it");
}

#[test]
fn an_initiator_learns_of_terminals_that_it_reaches_and_of_no_groups() {
    let rules = format!("{REQUIRED}[[initiators]]\nmatch = \"press\"\nto = [\"user:a*\"]\n");
    let gateway = Gateway::start_with(&rules, &[]);
    let press = gateway.http().bearer(&add(&gateway, "initiator", "press", &[]));
    let _there = ["alice", "bob"].map(|name| {
        let token = add(&gateway, "device", name, &[]);
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5(&format!("{name}-1"), name).password(&token));
        raw.join("secret");
        raw
    });
    let ask = |name: &str| {
        let query = format!(
            "<?xml version=\"1.0\"?><pap><ccq-message query-id=\"q\"><address address-value=\"user:{name}\"/></ccq-message></pap>"
        );
        press.send("POST", "/pap", "application/xml", query.as_bytes()).body
    };
    assert!(ask("alice").contains("alice-1") && !ask("alice").contains("secret"), "{}", ask("alice"));
    assert!(!ask("bob").contains("bob-1"), "{}", ask("bob"));
}
