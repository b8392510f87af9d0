//! What an operator looks after, as the JSON API says it: alarms, the configuration, receivers that fail, malformed requests, the
//! PAP document of a push, its progress, joins that wait, searching.

use serde_json::{Value, json};

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, PAPCAST, wait_for};

const MULTIPART: &str = "multipart/related; boundary=\"xyz\"; type=\"application/xml\"";

fn names(list: &Value, field: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn alarms_say_what_is_wrong_and_nothing_where_nothing_is() {
    let open = Gateway::start();
    let alarms = open.http().get("/api/v1/alarms").json();
    assert_eq!(names(&alarms["alarms"], "name"), ["open"]);
    assert_eq!(alarms["alarms"][0]["severity"], "warning");
    // A receiver that is not there (RFC 5737: nobody has this address), of a push that ends at once.
    let other = Gateway::start_with("[notify]\nallow_private = true\n", &[]);
    other.http().bind("news", "alice");
    let push = json!({"to": ["user:alice"], "body": "x", "push_id": "p1", "notify_url": "http://127.0.0.1:9/x"});
    assert_eq!(other.http().json("POST", "/api/v1/pushes", push).status, 202);
    assert_eq!(other.http().send("DELETE", "/api/v1/pushes/p1", "", b"").status, 200);
    let receiver = wait_for("a notification to fail", || {
        let receivers = other.http().get("/api/v1/notifications").json();
        Some(receivers["receivers"][0].clone()).filter(|one| !one.is_null())
    });
    assert_eq!(
        (&receiver["receiver"], &receiver["waiting"], &receiver["given_up"]),
        (&json!("127.0.0.1:9"), &json!(1), &json!(0))
    );
    assert!(!receiver["failure"].as_str().unwrap().is_empty() && receiver["next_attempt"].is_string(), "{receiver}");
    let alarms = other.http().get("/api/v1/alarms").json();
    assert_eq!(names(&alarms["alarms"], "name"), ["open", "notifications"]);
}

#[test]
fn what_keeps_pushes_from_being_taken_is_a_critical_alarm() {
    let gateway = Gateway::start();
    crate::common::limit_files(&gateway, "1");
    let alarm = wait_for("an alarm", || {
        // A push that cannot be stored.
        gateway.http().pap(&Pap::new("p1").to("user:nobody"));
        let alarms = gateway.http().get("/api/v1/alarms").json()["alarms"].as_array().cloned()?;
        alarms.into_iter().find(|alarm| alarm["severity"] == "critical")
    });
    assert_eq!(alarm["name"], "store");
    let page = gateway.http().get("/console");
    assert!(page.body.contains("critical: store"), "{page:?}");
}

#[test]
fn the_configuration_says_what_is_set_and_by_whom() {
    let gateway = Gateway::start_with("[push]\nmax_ttl = \"8days\"\n", &[("PAPCAST_LOG__LEVEL", "debug")]);
    let settings = gateway.http().get("/api/v1/configuration").json()["settings"].as_array().unwrap().clone();
    let find = |key: &str| settings.iter().find(|one| one["key"] == key).unwrap().clone();
    let ttl = find("push.max_ttl");
    assert_eq!((&ttl["value"], &ttl["default"]), (&json!("\"8days\""), &json!("\"30days\"")));
    assert!(ttl["set_by"].as_str().unwrap().ends_with("broker.toml"), "{ttl}");
    assert_eq!(find("log.level")["set_by"], "environment variable PAPCAST_LOG__LEVEL");
    assert_eq!(find("mqtt.inflight")["set_by"], Value::Null);
    // What has changed and needs a restart is marked.
    std::fs::write(gateway.dir.path().join("broker.toml"), "[push]\nmax_ttl = \"9days\"\n[mqtt]\nworkers = 3\n")
        .unwrap();
    gateway.signal("HUP");
    let marked = wait_for("the configuration to be read again", || {
        let settings = gateway.http().get("/api/v1/configuration").json()["settings"].as_array().unwrap().clone();
        let is_new = settings.iter().any(|one| one["key"] == "push.max_ttl" && one["value"] == "\"9days\"");
        let marked: Vec<_> =
            settings.iter().filter(|one| one["needs_restart"] == true).map(|one| one["key"].clone()).collect();
        is_new.then_some(marked)
    });
    assert_eq!(marked, [json!("mqtt.workers")]);
    assert!(gateway.http().get("/console/operations").body.contains("needs-restart"));
}

#[test]
fn a_malformed_pap_document_is_shown_as_it_came_with_what_was_repaired() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let body = Pap::new("p1").to("group:news").body();
    // M1 of docs/pap.md: lines end in LF alone.
    let body = body.replace("\r\n", "\n");
    let reply = gateway.http().send("POST", "/pap", MULTIPART, body.as_bytes());
    assert_eq!(reply.pap_code(), 1001, "{reply:?}");
    let kept = gateway.http().get("/api/v1/pushes/p1/document").json();
    assert_eq!((&kept["endpoint"], &kept["content_type"]), (&json!("/pap"), &json!(MULTIPART)));
    assert_eq!((&kept["size"], &kept["complete"]), (&json!(body.len()), &json!(true)));
    assert!(names(&kept["repairs"], "row").contains(&"M1".to_owned()), "{kept}");
    let text = kept["document"].as_str().unwrap();
    assert!(text.contains("push-id=\"p1\""), "{text}");
    let repairs = gateway.http().get("/api/v1/repairs").json();
    let of_lines = repairs["repairs"].as_array().unwrap().iter().find(|one| one["row"] == "M1").unwrap().clone();
    assert_eq!((&of_lines["initiator"], &of_lines["requests"]), (&json!("anonymous"), &json!(1)));
    let page = gateway.http().get("/console/pushes/p1");
    assert!(page.body.contains("(row M1)") && page.body.contains("push-id=&quot;p1&quot;"), "{}", page.body);
    // None of a push that was refused, nor of one in JSON.
    gateway.http().pap(&Pap::new("p2").to("group:nobody"));
    gateway.http().json("POST", "/api/v1/pushes", json!({"to": ["group:news"], "body": "x", "push_id": "p3"}));
    for id in ["p2", "p3"] {
        assert_eq!(gateway.http().get(&format!("/api/v1/pushes/{id}/document")).status, 404, "{id}");
    }
}

#[test]
fn the_last_backup_is_known_to_whoever_asks_how_it_stands() {
    let gateway = Gateway::start();
    assert_eq!(gateway.http().get("/api/v1/status").json()["last_backup"], Value::Null);
    let before = gateway.http().get("/api/v1/status").json()["started_at"].as_str().unwrap().to_owned();
    let done = std::process::Command::new(PAPCAST).args(["backup", "copy.db"]).current_dir(gateway.dir.path()).output();
    assert!(done.as_ref().is_ok_and(|done| done.status.success()), "{done:?}");
    let status = gateway.http().get("/api/v1/status").json();
    assert!(status["last_backup"].as_str().unwrap() >= before.as_str(), "{status}");
    // One that was not made is not noted.
    let noted = std::fs::read_to_string(gateway.dir.path().join("papcast.db.backup")).unwrap();
    let again =
        std::process::Command::new(PAPCAST).args(["backup", "copy.db"]).current_dir(gateway.dir.path()).output();
    assert!(!again.unwrap().status.success());
    assert_eq!(std::fs::read_to_string(gateway.dir.path().join("papcast.db.backup")).unwrap(), noted);
}

#[test]
fn progress_goes_up_to_all_who_have_it_also_after_a_restart() {
    let mut gateway = Gateway::start();
    let mut all: Vec<Raw> = ["a", "b", "c"]
        .iter()
        .map(|user| {
            let mut device = Raw::connect(gateway.mqtt, &Connect::v3(user, user));
            device.join("news");
            device
        })
        .collect();
    gateway.http().push("p1", "group:news", "x");
    for (number, device) in all.iter_mut().enumerate() {
        device.push();
        // One flush each.
        gateway.http().wait_outcome(
            "p1",
            if number < 2 { "pending" } else { "delivered" },
            &format!("{} of 3", number + 1),
        );
    }
    let points = |gateway: &Gateway| {
        let progress = gateway.http().get("/api/v1/pushes/p1/progress").json();
        let points = progress["points"].as_array().unwrap().clone();
        points.iter().map(|point| point["delivered"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(points(&gateway), [1, 2, 3]);
    gateway.kill();
    gateway.restart();
    assert_eq!(points(&gateway), [1, 2, 3]);
    assert_eq!(gateway.http().get("/api/v1/pushes/p0/progress").status, 404);
}

#[test]
fn joins_that_wait_are_listed_over_all_groups() {
    let gateway = Gateway::start();
    for group in ["a", "b"] {
        let made = gateway.http().json("PUT", &format!("/api/v1/groups/{group}"), json!({"policy": "approval"}));
        assert_eq!(made.status, 201);
        for user in ["ann", "bob"] {
            let asked = gateway.http().json(
                "POST",
                "/api/v1/group-requests",
                json!({"op": "join", "user": user, "group": group}),
            );
            assert_eq!(asked.json()["status"], "pending", "{asked:?}");
        }
    }
    let mut found = Vec::new();
    let mut path = "/api/v1/group-requests?limit=3".to_owned();
    loop {
        let page = gateway.http().get(&path).json();
        let of = |one: &Value| format!("{} {}", one["group"].as_str().unwrap(), one["user"].as_str().unwrap());
        found.extend(page["requests"].as_array().unwrap().iter().map(of));
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/group-requests?limit=3&after={next}"),
            None => break,
        }
    }
    found.sort();
    assert_eq!(found, ["a ann", "a bob", "b ann", "b bob"]);
    assert_eq!(gateway.http().get("/api/v1/group-requests?after=x").status, 400);
}

#[test]
fn groups_and_devices_are_searched_for_by_any_part_of_their_names() {
    let gateway = Gateway::start();
    for (group, user) in
        [("Alarm/north", "sip:ann@example.com"), ("alarm/south", "sip:bob@example.com"), ("news", "carl")]
    {
        gateway.http().bind(group, user);
    }
    let groups = gateway.http().get("/api/v1/groups?search=LARM").json();
    assert_eq!(names(&groups["groups"], "id"), ["Alarm/north", "alarm/south"]);
    let devices = gateway.http().get("/api/v1/devices?search=BOB").json();
    assert_eq!(names(&devices["devices"], "user"), ["sip:bob@example.com"]);
    // A sign that means something in patterns is a sign here.
    assert_eq!(gateway.http().get("/api/v1/groups?search=%25").json()["groups"], json!([]));
    let members = gateway.http().get("/api/v1/groups/news/members?details=true").json();
    assert_eq!((&members["members"][0]["user"], &members["members"][0]["owed"]), (&json!("carl"), &json!(0)));
}

#[test]
fn an_address_that_is_no_list_was_told_to_be_no_sequence() {
    let gateway = Gateway::start();
    for to in [json!("group:news"), json!([1]), json!({}), Value::Null] {
        let refused = gateway.http().json("POST", "/api/v1/pushes", json!({"to": to, "body": "x"}));
        assert_eq!(refused.status, 400);
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.ends_with("to: expected a list of addresses, such as [\"group:news\"]"), "{detail}");
    }
}

#[test]
fn the_page_of_a_device_did_not_say_what_it_refused() {
    let gateway = Gateway::start();
    let mut grump = Raw::connect(gateway.mqtt, &Connect::v5("c", "grump"));
    grump.join("news");
    gateway.http().push("p1", "group:news", "x");
    let push = grump.publish_in();
    // MQTT 5 §3.4.2.1
    grump.puback_reason(push.id, 0x83);
    let refused = wait_for("the refusal", || {
        let user = gateway.http().get("/api/v1/users/grump").json();
        Some(user["refused"][0].clone()).filter(|one| !one.is_null())
    });
    assert_eq!(
        (&refused["push_id"], &refused["address"], &refused["code"]),
        (&json!("p1"), &json!("group:news"), &json!(5238))
    );
    let page = gateway.http().get("/console/devices/grump").body;
    assert!(page.contains("Has not got and will not get") && page.contains("/console/pushes/p1"), "{page}");
}

#[test]
fn a_backup_was_open_to_everybody_while_the_store_was_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let gateway = Gateway::start();
    let mode = |name: &str| std::fs::metadata(gateway.dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    for mine in [0o600, 0o640] {
        std::fs::set_permissions(gateway.dir.path().join("papcast.db"), std::fs::Permissions::from_mode(mine)).unwrap();
        let copy = format!("copy-{mine}.db");
        let done = std::process::Command::new(PAPCAST).args(["backup", &copy]).current_dir(gateway.dir.path()).status();
        assert!(done.unwrap().success());
        assert_eq!(mode(&copy), mine);
    }
}

#[test]
fn an_erased_user_stayed_among_the_devices_under_its_pseudonym() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    gateway.http().bind("news", "erased-by-hand");
    gateway.http().push("p1", "group:news", "x");
    assert_eq!(gateway.http().send("DELETE", "/api/v1/users/alice", "", b"").status, 204);
    let devices = gateway.http().get("/api/v1/devices").json();
    assert_eq!(names(&devices["devices"], "user"), ["erased-by-hand"]);
}
