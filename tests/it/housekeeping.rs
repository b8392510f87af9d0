//! What happens to the store over time: forgetting, backups, a full disk, a damaged file.

use std::path::Path;
use std::process::{Command, Output};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::common::http::Pap;
use crate::common::initiator::Initiator;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, PAPCAST, limit_files, wait_for};

fn count(gateway: &Gateway, sql: &str) -> i64 {
    let store = Connection::open(gateway.dir.path().join("papcast.db")).unwrap();
    store.busy_timeout(crate::common::DEADLINE).unwrap();
    store.query_row(&format!("SELECT count(*) FROM {sql}"), [], |row| row.get(0)).unwrap()
}

fn wait_count(gateway: &Gateway, sql: &str, expected: i64) {
    wait_for(&format!("{expected} of {sql}"), || (count(gateway, sql) == expected).then_some(()));
}

#[test]
fn what_is_over_is_forgotten_after_the_retention_and_what_is_not_stays() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let http = gateway.http();
    let unbind = |user: &str| http.json("DELETE", &format!("/api/v1/groups/news/members/{user}"), Value::Null);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    http.bind("other", "away");
    for user in ["left", "passing"] {
        http.bind("news", user);
    }
    http.push("waits", "group:other", "not over");
    http.push("over", "group:news", "1");
    let refused = alice.publish_in();
    alice.puback_reason(refused.id, 0x99);
    unbind("left");
    unbind("passing");
    http.wait_outcome("over", "aborted", "0 of 3, 1 refused, 2 left the group");
    wait_for("the push to be forgotten", || (http.get("/api/v1/pushes/over").status == 404).then_some(()));
    wait_count(&gateway, "pushes", 1);
    wait_count(&gateway, "dispatches", 1);
    wait_count(&gateway, "exceptions", 0);
    wait_count(&gateway, "bindings WHERE left_seq IS NOT NULL", 0);
    wait_count(&gateway, "flows WHERE name IN ('left', 'passing')", 0);
    assert_eq!(count(&gateway, "flows WHERE name IN ('alice', 'away', 'news', 'other')"), 4);
    assert_eq!(count(&gateway, "bindings WHERE exceptions <> 0"), 0);
    // The push-id is free again, who is bound still is, and who was forgotten may come back.
    http.bind("news", "left");
    http.push("over", "group:news", "2");
    assert_eq!(alice.push().text(), "2");
    for (user, text) in [("left", "2"), ("away", "not over")] {
        let mut terminal = Raw::connect(gateway.mqtt, &Connect::v3(user, user));
        assert_eq!(terminal.push().text(), text);
        terminal.assert_silent();
    }
    wait_count(&gateway, "pushes", 0);
}

/// Something that is over from now on, and forgotten later than all that was over before.
fn wait_for_the_next_look(gateway: &Gateway) {
    let http = gateway.http();
    http.json("PUT", "/api/v1/groups/empty", Value::Null);
    http.push("probe", "group:empty", "x");
    wait_for("the probe to be forgotten", || (http.get("/api/v1/pushes/probe").status == 404).then_some(()));
}

#[test]
fn a_replaced_push_is_kept_while_it_is_needed_to_know_who_is_left_out() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let http = gateway.http();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    http.bind("news", "away");
    http.push("old", "group:news", "old");
    assert_eq!(alice.push().text(), "old");
    alice.ping();
    let new = Pap::new("new").to("group:news").text("new").attribute("replace-push-id", "old");
    assert_eq!(http.pap(&new.attribute("replace-method", "pending-only")).pap_code(), 1001);
    wait_for_the_next_look(&gateway);
    assert_eq!(http.get("/api/v1/pushes/old").status, 200);
    drop(alice);
    Raw::connect(gateway.mqtt, &Connect::v3("a", "alice")).assert_silent();
    assert_eq!(Raw::connect(gateway.mqtt, &Connect::v3("b", "away")).push().text(), "new");
    wait_count(&gateway, "pushes", 0);
}

#[test]
fn a_push_that_somebody_holds_was_forgotten_before_its_deadline() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let http = gateway.http();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    bob.join("news");
    bob.disconnect();
    http.push("old", "group:news", "old");
    assert_eq!(alice.publish_in().text(), "old");
    let new = Pap::new("new").to("group:news").text("new").attribute("replace-push-id", "old");
    assert_eq!(http.pap(&new.attribute("replace-method", "pending-only")).pap_code(), 1001);
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    assert_eq!(bob.push().text(), "new");
    bob.ping();
    wait_for("the new one to be forgotten", || (http.get("/api/v1/pushes/new").status == 404).then_some(()));
    wait_for_the_next_look(&gateway);
    drop(alice);
    assert_eq!(Raw::connect(gateway.mqtt, &Connect::v3("a", "alice")).push().text(), "old");
}

#[test]
fn a_push_whose_sender_could_not_be_told_yet_is_kept() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n[notify]\nallow_private = true\n", &[]);
    let initiator = Initiator::start();
    let http = gateway.http();
    http.json("PUT", "/api/v1/groups/empty", Value::Null);
    for _ in 0..3 {
        initiator.answer("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    }
    http.pap(&Pap::new("told").to("group:empty").attribute("ppg-notify-requested-to", &initiator.url));
    wait_for_the_next_look(&gateway);
    assert_eq!(http.get("/api/v1/pushes/told").status, 200);
    for _ in 0..4 {
        assert!(initiator.next().body.contains("push-id=\"told\""));
    }
    wait_count(&gateway, "pushes", 0);
}

#[test]
fn a_deleted_group_is_forgotten_with_its_last_push() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let http = gateway.http();
    http.bind("news", "alice");
    http.push("p", "group:news", "x");
    assert_eq!(http.json("DELETE", "/api/v1/groups/news", Value::Null).status, 204);
    wait_count(&gateway, "flows", 0);
    wait_count(&gateway, "bindings", 0);
}

#[test]
fn a_group_that_only_joins_had_made_was_kept_for_ever() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let http = gateway.http();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    for group in ["left", "pushed", "stays", "put", "bound"] {
        alice.join(group);
    }
    // On purpose: made, or joined from the operator's side.
    http.json("PUT", "/api/v1/groups/put", Value::Null);
    http.json("PUT", "/api/v1/groups/empty", Value::Null);
    http.bind("bound", "alice");
    alice.subscribe(&[("groups/subscribed", 1)]);
    alice.unsubscribe(&["groups/subscribed"]);
    http.push("p", "group:pushed", "x");
    assert_eq!(alice.push().text(), "x");
    for group in ["left", "pushed", "put", "bound"] {
        let removed = http.json("DELETE", &format!("/api/v1/groups/{group}/members/alice"), Value::Null);
        assert_eq!(removed.status, 204);
    }
    wait_count(&gateway, "flows WHERE kind = 0", 4);
    let list = http.get("/api/v1/groups").json();
    let left: Vec<&Value> = list["groups"].as_array().unwrap().iter().map(|group| &group["id"]).collect();
    assert_eq!(left, ["bound", "empty", "put", "stays"]);
    assert_eq!(count(&gateway, "counter WHERE group_count = 4"), 1);
    // It can be made again, and works.
    alice.join("left");
    http.push("again", "group:left", "again");
    assert_eq!(alice.push().text(), "again");
}

#[test]
fn a_join_that_nobody_decided_on_waited_for_ever() {
    let gateway = Gateway::start_with("[groups]\npending_ttl = \"1s\"\n", &[]);
    let http = gateway.http();
    http.json("PUT", "/api/v1/groups/vip", json!({"policy":"approval"}));
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(alice.request("$push/join/vip", "")["status"], "pending");
    wait_count(&gateway, "requests", 0);
    let reply = http.json("POST", "/api/v1/groups/vip/requests/alice", json!({"decision":"approve"}));
    assert_eq!(reply.status, 404);
    assert_eq!(count(&gateway, "counter WHERE request_count = 0"), 1);
    // Decided, and never heard.
    assert_eq!(alice.request("$push/join/vip", "")["status"], "pending");
    alice.disconnect();
    wait_for("a decision in time", || {
        let reply = http.json("POST", "/api/v1/groups/vip/requests/alice", json!({"decision":"reject"}));
        if reply.status == 404 {
            let ask = json!({"op":"join","user":"alice","group":"vip"});
            http.json("POST", "/api/v1/group-requests", ask);
        }
        (reply.status == 204).then_some(())
    });
    wait_count(&gateway, "answers", 0);
}

#[test]
fn a_connected_terminal_whose_user_was_forgotten_still_gets_what_is_sent_to_it() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    for round in ["one", "two"] {
        gateway.http().push(round, "user:alice", round);
        assert_eq!(alice.push().text(), round);
        wait_count(&gateway, "flows", 0);
    }
}

#[test]
fn the_place_of_a_forgotten_user_was_given_to_another_one() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    gateway.http().push("p1", "user:alice", "for alice");
    assert_eq!(alice.push().text(), "for alice");
    wait_count(&gateway, "flows", 0);
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    gateway.http().push("p2", "user:bob", "for bob");
    assert_eq!(bob.push().text(), "for bob");
    alice.assert_silent();
}

#[test]
fn a_push_was_taken_for_a_forgotten_one_that_had_been_answered() {
    let gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("g");
    alice.join("h");
    for id in ["p1", "p2"] {
        gateway.http().pap(&Pap::new(id).to("group:g").to("group:h").text(id));
        assert_eq!(alice.push().text(), id);
        wait_count(&gateway, "pushes", 0);
    }
}

fn backup(gateway: &Gateway, file: &Path) -> Output {
    let path = gateway.dir.path().join("papcast.db");
    Command::new(PAPCAST).arg("backup").arg(file).env("PAPCAST_STORE__PATH", path).output().unwrap()
}

#[test]
fn a_backup_of_a_busy_gateway_is_whole_and_can_be_started() {
    let mut gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    gateway.http().push("before", "group:news", "before");
    let http = gateway.http();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let copy = gateway.dir.path().join("copy.db");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                n += 1;
                http.push(&format!("during{n}"), "group:news", &"x".repeat(10_000));
            }
        });
        wait_for("some pushes", || (http.get("/api/v1/pushes?limit=20").json()["next"] != Value::Null).then_some(()));
        let output = backup(&gateway, &copy);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("copy.db: "), "{output:?}");
    });
    let again = backup(&gateway, &copy);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is a file of that name"), "{again:?}");

    gateway.terminate();
    let whole: String =
        Connection::open(&copy).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(gateway.dir.path().join(format!("papcast.db{suffix}")));
    }
    std::fs::rename(&copy, gateway.dir.path().join("papcast.db")).unwrap();
    gateway.restart();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(alice.push().text(), "before");
    assert!(alice.push().text().starts_with("xxx"), "what was taken before the copy is in it");
    let parts = std::fs::read_dir(gateway.dir.path())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert!(!parts.into_iter().any(|name| name.contains(".part")));
}

#[test]
fn a_backup_of_nothing_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(PAPCAST).args(["backup", "copy.db"]).current_dir(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("no backup was made: papcast.db: cannot be copied to copy.db"), "{error}");
    assert!(!dir.path().join("papcast.db").exists() && !dir.path().join("copy.db").exists());
}

#[test]
fn on_a_full_disk_pushes_are_refused_nothing_accepted_is_lost_and_it_goes_on_by_itself() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "alice");
    http.push("before", "group:news", "before");
    limit_files(&gateway, "200000");
    let large = "x".repeat(20_000);
    let mut accepted = vec!["before".to_owned()];
    for n in 0..40 {
        let id = format!("p{n}");
        match http.pap(&Pap::new(&id).to("group:news").text(&large)).pap_code() {
            1001 => accepted.push(id),
            code => assert_eq!(code, 4001),
        }
    }
    assert!(accepted.len() < 40, "the disk was full");
    let reply = http.json("POST", "/api/v1/pushes", json!({"to": ["group:news"], "body": large, "push_id": "json"}));
    assert_eq!((reply.status, reply.json()["code"].as_u64()), (503, Some(4001)), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("5"));
    let ask = json!({"op": "join", "user": "nobody-knows", "group": "other"});
    let reply = http.json("POST", "/api/v1/group-requests", ask);
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")), "{reply:?}");
    assert!(
        gateway.log().contains("a commit failed") || gateway.log().contains("the disk is full"),
        "{}",
        gateway.log()
    );
    assert_eq!(http.get("/readyz").status, 503, "nothing can be stored");
    // A terminal gets what was accepted; its acknowledgements are kept until they can be written.
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    for _ in &accepted {
        alice.push();
    }
    limit_files(&gateway, "unlimited");
    wait_for("pushes to be taken again", || {
        let code = http.pap(&Pap::new("after").to("group:news").text("after")).pap_code();
        [1001, 2007].contains(&code).then_some(())
    });
    assert_eq!(alice.push().text(), "after");
    for id in accepted.iter().map(String::as_str).chain(["after"]) {
        http.wait_outcome(id, "delivered", "1 of 1");
    }
}

#[test]
fn a_full_disk_stayed_full_although_the_write_ahead_log_held_the_space() {
    let mut gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    gateway.terminate();
    // A store that was larger once: a good megabyte of free pages.
    Connection::open(gateway.dir.path().join("papcast.db"))
        .unwrap()
        .execute_batch(
            "CREATE TABLE filler (x BLOB); INSERT INTO filler VALUES (zeroblob(1500000)); DROP TABLE filler;",
        )
        .unwrap();
    gateway.restart();
    limit_files(&gateway, "1750000");
    let http = gateway.http();
    let large = "x".repeat(20_000);
    let code = |id: &str| http.pap(&Pap::new(id).to("group:news").text(&large)).pap_code();
    assert!((0..100).any(|n| code(&format!("p{n}")) == 4001), "the log was full");
    wait_for("the log to be folded in", || (code("next") == 1001).then_some(()));
}

#[test]
fn a_log_on_the_full_disk_ended_the_gateway() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "alice");
    // The log is a file as well, and longer than this by now.
    limit_files(&gateway, "100");
    for n in 0..5 {
        assert_eq!(http.pap(&Pap::new(&format!("p{n}")).to("group:news").text("x")).pap_code(), 4001);
    }
    assert!(!gateway.log().contains("a commit failed"), "the log was not full");
    limit_files(&gateway, "unlimited");
    http.push("after", "group:news", "after");
    assert_eq!(Raw::connect(gateway.mqtt, &Connect::v3("a", "alice")).push().text(), "after");
}

#[test]
fn on_a_full_disk_a_notification_was_posted_as_fast_as_its_receiver_answered() {
    let gateway = Gateway::start_with("[notify]\nallow_private = true\n", &[]);
    let initiator = Initiator::start();
    let http = gateway.http();
    http.json("PUT", "/api/v1/groups/empty", Value::Null);
    initiator.answer("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    http.pap(&Pap::new("told").to("group:empty").attribute("ppg-notify-requested-to", &initiator.url));
    initiator.next();
    limit_files(&gateway, "20000");
    // What became of the second attempt cannot be stored, so that it is due again; the look is every half a second.
    initiator.next();
    let begin = std::time::Instant::now();
    for _ in 0..3 {
        initiator.next();
    }
    assert!(begin.elapsed() > std::time::Duration::from_millis(1_000), "{:?}", begin.elapsed());
    limit_files(&gateway, "unlimited");
    wait_count(&gateway, "outbox", 0);
}

fn damage(gateway: &mut Gateway, change: impl FnOnce(&mut Vec<u8>)) {
    gateway.terminate();
    let path = gateway.dir.path().join("papcast.db");
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_damaged_file_is_refused_at_the_start_and_left_as_it_is() {
    let mut gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    damage(&mut gateway, |bytes| bytes[..100].fill(0xFF));
    let before = std::fs::read(gateway.dir.path().join("papcast.db")).unwrap();
    let error = gateway.start_refused();
    assert!(error.contains("papcast.db: cannot be opened as a store"), "{error}");
    assert_eq!(std::fs::read(gateway.dir.path().join("papcast.db")).unwrap(), before);
}

#[test]
fn a_damaged_page_is_an_answer_and_a_log_line_and_not_the_end() {
    let mut gateway = Gateway::start();
    for n in 0..300 {
        gateway.http().bind("news", &format!("user{n}"));
    }
    let page = 4_096;
    // The page of the table of dispatches; groups, users and bindings are elsewhere.
    let root = {
        let store = Connection::open(gateway.dir.path().join("papcast.db")).unwrap();
        let root: i64 = store
            .query_row("SELECT rootpage FROM sqlite_master WHERE name = 'dispatches'", [], |row| row.get(0))
            .unwrap();
        usize::try_from(root).unwrap() - 1
    };
    damage(&mut gateway, |bytes| bytes[root * page..(root + 1) * page].fill(0xFF));
    gateway.restart();
    assert_eq!(gateway.http().get("/api/v1/groups/news/members").status, 200);
    let code = gateway.http().pap(&Pap::new("p").to("user:user1").text("x")).pap_code();
    assert_eq!(code, 4001);
    assert_eq!(gateway.http().get("/healthz").status, 200);
    assert!(gateway.log().contains("the store is damaged"), "{}", gateway.log());
    assert!(!gateway.log().contains("panicked"));
}
