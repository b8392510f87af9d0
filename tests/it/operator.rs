//! What an operator relies on: signals, the log, the configuration, the files of the store, the parameters of the API.

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, Output, PAPCAST, limit_files, repository, wait_for};

/// Runs a command in this folder with these variables.
fn run(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let output = Command::new(PAPCAST).args(args).current_dir(folder).envs(env.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn a_hangup_was_the_end_of_the_gateway() {
    let mut gateway = Gateway::start();
    for times in 1..=2 {
        gateway.signal("HUP");
        wait_for("a line in the log", || {
            (gateway.log().matches("SIGHUP: what can be read again is").count() == times).then_some(())
        });
    }
    assert_eq!(gateway.http().get("/healthz").status, 200);
    assert_eq!(gateway.terminate().code(), Some(0));
}

#[test]
fn the_first_line_was_about_open_files_and_none_said_where_it_listens() {
    let gateway = Gateway::start();
    let first = wait_for("the log", || gateway.log().lines().next().map(str::to_owned));
    let (http, mqtt) = (gateway.http, gateway.mqtt);
    assert!(first.contains(&format!("listening on http://{http} (PAP at ")), "{first}");
    assert!(first.contains("/pap") && first.contains(&format!("on {mqtt} (MQTT 3.1.1 and 5)")), "{first}");
    assert!(!gateway.log().contains("limit on open files"), "{}", gateway.log());
}

#[test]
fn a_level_of_the_log_that_is_none_silenced_it() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["config", "check"][..], &["serve"]] {
        let refused = run(dir.path(), args, &[("PAPCAST_LOG__LEVEL", "loud")]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains("PAPCAST_LOG__LEVEL: log.level: expected error, warn"), "{}", refused.err);
    }
}

#[test]
fn a_variable_that_means_nothing_was_taken_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let near = run(dir.path(), &["config", "check"], &[("PAPCAST_HTTP_LISTEN", "127.0.0.1:1"), ("PAPCAST_FOO", "1")]);
    assert_eq!((near.code, near.out.as_str()), (Some(0), "the built-in default: valid\n"));
    assert_eq!(
        near.err,
        "warning: the environment variable PAPCAST_FOO is no setting of papcast and is ignored\n\
         warning: the environment variable PAPCAST_HTTP_LISTEN is no setting of papcast and is ignored; \
         did you mean PAPCAST_HTTP__LISTEN?\n"
    );
    let wrong = run(dir.path(), &["serve"], &[("PAPCAST_HTP__LISTEN", "127.0.0.1:0")]);
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.trim().ends_with("did you mean PAPCAST_HTTP__LISTEN?"), "{}", wrong.err);
    let gateway = Gateway::start_with("", &[("PAPCAST_STORE_PATH", "elsewhere.db")]);
    assert!(gateway.log().contains("did you mean PAPCAST_STORE__PATH?"), "{}", gateway.log());
}

#[test]
fn a_variable_that_is_no_unicode_made_every_command_panic() {
    use std::os::unix::ffi::OsStrExt;
    let value = std::ffi::OsStr::from_bytes(b"\xFF\xFE");
    let output = Command::new(PAPCAST).args(["config", "check"]).env("SOMETHING", value).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_folder_that_is_not_there_was_called_a_lock_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let path = nowhere.join("x.db");
    let env = [
        ("PAPCAST_STORE__PATH", path.to_str().unwrap()),
        ("PAPCAST_HTTP__LISTEN", "127.0.0.1:0"),
        ("PAPCAST_MQTT__LISTEN", "127.0.0.1:0"),
    ];
    let refused = run(dir.path(), &["serve"], &env);
    assert_eq!(refused.code, Some(1));
    let last = refused.err.lines().last().unwrap();
    assert_eq!(
        last,
        format!("papcast: {} does not exist: the store cannot be made there (store.path)", nowhere.display())
    );
}

#[test]
fn a_backup_from_another_folder_did_not_say_what_the_path_is_relative_to() {
    let gateway = Gateway::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let config = gateway.dir.path().join("broker.toml");
    let refused = run(elsewhere.path(), &["backup", "x.db", "--config", config.to_str().unwrap()], &[]);
    assert_eq!(refused.code, Some(1));
    let here = elsewhere.path().display();
    assert!(refused.err.contains(&format!("there is no such store in {here}")), "{}", refused.err);
    assert!(refused.err.contains("relative to the folder where the gateway runs"), "{}", refused.err);
    assert_eq!(run(gateway.dir.path(), &["backup", "x.db"], &[]).code, Some(0));
}

fn members(store: &Path) -> Option<i64> {
    let store = Connection::open(store).ok()?;
    store.query_row("SELECT coalesce(sum(members), 0) FROM flows WHERE kind = 0", [], |row| row.get(0)).ok()
}

#[test]
fn a_copy_of_the_file_of_an_idle_gateway_was_empty() {
    let gateway = Gateway::start();
    for user in ["a", "b", "c"] {
        gateway.http().bind("news", user);
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("papcast.db");
    wait_for("the log to be folded in", || {
        std::fs::copy(gateway.dir.path().join("papcast.db"), &copy).unwrap();
        (members(&copy) == Some(3)).then_some(())
    });
}

#[test]
fn a_store_that_lost_its_log_started_as_if_nothing_had_happened() {
    let mut gateway = Gateway::start();
    let file = |ending: &str| gateway.dir.path().join(format!("papcast.db{ending}"));
    let (store, log, shared, lock) = (file(""), file("-wal"), file("-shm"), file(".lock"));
    gateway.http().bind("news", "alice");
    gateway.terminate();
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), "pushes 0 stopped\n");
    let older = std::fs::read(&store).unwrap();
    gateway.restart();
    gateway.http().push("p", "group:news", "x");
    wait_for("the mark to be set", || (std::fs::read_to_string(&lock).unwrap() == "pushes 1 running\n").then_some(()));
    gateway.kill();
    std::fs::remove_file(&log).unwrap();
    let _ = std::fs::remove_file(&shared);
    gateway.restart();
    assert!(gateway.log().contains("papcast.db-wal is missing"), "{}", gateway.log());
    assert!(!gateway.log().contains("is older than"), "{}", gateway.log());
    gateway.terminate();
    std::fs::write(&store, older).unwrap();
    gateway.restart();
    assert!(gateway.log().contains("it has taken 0 pushes, and that one had taken 1"), "{}", gateway.log());
    assert_eq!(gateway.log().matches("is missing").count(), 1, "{}", gateway.log());
}

#[test]
fn an_empty_copy_of_a_store_became_a_new_one_without_a_word() {
    let mut gateway = Gateway::start();
    assert!(!gateway.log().contains("nothing in it"), "a new store is nothing strange");
    gateway.terminate();
    let store = gateway.dir.path().join("papcast.db");
    std::fs::remove_file(&store).unwrap();
    Connection::open(&store).unwrap().execute_batch("PRAGMA journal_mode = WAL; VACUUM").unwrap();
    assert!(std::fs::metadata(&store).unwrap().len() > 0);
    gateway.restart();
    assert!(gateway.log().contains("is a file with nothing in it"), "{}", gateway.log());
}

#[test]
fn a_full_disk_filled_the_log_and_its_end_was_not_told() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "alice");
    limit_files(&gateway, "100000");
    let large = "x".repeat(20_000);
    let push = |id: &str| http.pap(&Pap::new(id).to("group:news").text(&large)).pap_code();
    let refused = (0..40).filter(|n| push(&format!("p{n}")) == 4001).count();
    assert!(refused > 10, "the disk was full");
    limit_files(&gateway, "unlimited");
    assert_eq!(gateway.log().matches("a commit failed").count(), 1, "{}", gateway.log());
    assert!(gateway.log().matches("a push could not be stored").count() <= 1, "{}", gateway.log());
    let mut number = 0;
    wait_for("the end to be told", || {
        number += 1;
        push(&format!("after-{number}"));
        gateway.log().contains("the store takes writes again; ").then_some(())
    });
}

#[test]
fn a_parameter_that_is_not_known_answered_with_everything() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "alice");
    http.push("p", "group:news", "x");
    let detail = |path: &str| {
        let reply = http.get(path);
        assert_eq!(reply.status, 400, "{path}: {reply:?}");
        reply.json()["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        detail("/api/v1/pushes?status=pending"),
        "there is no query parameter \"status\" here; known: limit, after, state, initiator"
    );
    assert_eq!(
        detail("/api/v1/groups?limit=1&q=n"),
        "there is no query parameter \"q\" here; known: limit, after, search"
    );
    assert_eq!(detail("/api/v1/groups/news?x"), "there is no query parameter \"x\" here; known: none");
    assert_eq!(detail("/api/v1/groups?limit=1&limit=2"), "the query parameter limit is there twice");
    assert_eq!(detail("/api/v1/users/alice?limit=1"), "there is no query parameter \"limit\" here; known: none");
    let bound = http.json("PUT", "/api/v1/groups/news/members/bob?creat=1", Value::Null);
    assert_eq!(bound.status, 400, "{bound:?}");
    assert_eq!(http.get("/api/v1/groups/news").json()["members"], 1);
    for path in
        ["/api/v1/pushes?limit=1&after=9&initiator=anonymous", "/api/v1/pushes/p/recipients?state=pending&limit=5"]
    {
        assert_eq!(http.get(path).status, 200, "{path}");
    }
    assert_eq!(http.get("/api/v1/nothing?x=1").status, 404);
}

#[test]
fn a_limit_that_is_no_number_was_answered_with_words_about_deserializing() {
    let gateway = Gateway::start();
    let http = gateway.http();
    for group in ["a", "b"] {
        http.bind(group, "alice");
    }
    let reply = http.get("/api/v1/groups?limit=abc");
    assert_eq!(
        (reply.status, reply.json()["detail"].as_str()),
        (400, Some("limit: expected a whole number, found \"abc\""))
    );
    for (limit, count) in [("-3", 1), ("0", 1), ("1", 1), ("99999999999999999999999", 2)] {
        let page = http.get(&format!("/api/v1/groups?limit={limit}")).json();
        assert_eq!(page["groups"].as_array().unwrap().len(), count, "{limit}");
    }
    let reply = http.get("/api/v1/pushes/p/recipients?state=timeout");
    assert_eq!(reply.status, 400, "no push is ever in this state: {reply:?}");
}

/// The example of broker.toml, as it is after somebody has taken the `# ` away.
fn example_of_acl() -> String {
    let text = std::fs::read_to_string(repository().join("broker.toml")).unwrap();
    let lines = text.lines().skip_while(|line| *line != "# [[acl]]").take_while(|line| line.starts_with("# "));
    lines.map(|line| line.trim_start_matches("# ").to_owned() + "\n").collect()
}

#[test]
fn the_example_of_an_acl_let_nobody_read_the_reports() {
    let gateway = Gateway::start_with(&example_of_acl(), &[]);
    let mut dashboard = Raw::connect(gateway.mqtt, &Connect::v5("dash", "dash"));
    assert_eq!(dashboard.subscribe(&[("status/d1", 0), ("status/+", 0)]), [0, 0]);
    let mut device = Raw::connect(gateway.mqtt, &Connect::v5("d1", "d1"));
    device.publish("status/d2", 1, b"forged");
    assert_eq!(device.expect(4).body[2], 0x87, "not authorized");
    device.publish("status/d1", 1, b"fine");
    device.expect(4);
    let report = dashboard.push();
    assert_eq!((report.topic.as_str(), report.text()), ("status/d1", "fine"));
}

#[test]
fn a_reload_takes_what_it_can_and_names_the_rest() {
    let mut gateway = Gateway::start_with("auth.mode = \"required\"\n", &[]);
    let folder = gateway.dir.path().to_owned();
    let run = |args: &[&str]| {
        let output = Command::new(PAPCAST).args(args).current_dir(&folder).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    };
    let add = |kind: &str, name: &str| gateway.token(kind, name, &[]);
    let press = gateway.http().bearer(&add("initiator", "press"));
    let alice = add("device", "alice");
    let code = |id: &str| press.pap(&crate::common::http::Pap::new(id).to("user:alice")).pap_code();
    assert_eq!(code("p1"), 1001);
    let write = |text: &str| std::fs::write(folder.join("broker.toml"), text).unwrap();
    let reload = || run(&["config", "reload", "--config", "broker.toml", "--json"]);
    write(
        "auth.mode = \"required\"\nlog.level = \"debug\"\nhttp.max_body = 2_000_000\nmqtt.workers = 7\n\
         [[initiators]]\nmatch = \"*\"\nto = []\n",
    );
    let done: serde_json::Value = serde_json::from_str(&reload().out).unwrap();
    assert!(done["reloaded"].as_array().unwrap().contains(&"initiators".into()), "{done}");
    assert_eq!(done["needs_restart"], serde_json::json!(["mqtt.workers"]));
    assert_eq!(code("p2"), 2001, "the new rule holds");
    let connect = crate::common::mqtt::Connect::v5("a", "alice").password(&alice);
    crate::common::mqtt::Raw::connect(gateway.mqtt, &connect).disconnect();
    wait_for("a line of debug", || gateway.log().contains("DEBUG").then_some(()));
    // A faulty one changes nothing, by command and by signal.
    write("auth.mode = \"required\"\nlog.level = \"info\"\nhttp.nonsense = 1\n");
    gateway.signal("HUP");
    wait_for("the complaint", || gateway.log().contains("nothing was read again").then_some(()));
    assert!(gateway.log().contains("http.nonsense"), "{}", gateway.log());
    assert_eq!(code("p3"), 2001);
    write("auth.mode = \"required\"\n");
    assert_eq!(reload().code, Some(0));
    assert_eq!(code("p4"), 1001);
    gateway.terminate();
    let refused = reload();
    assert!(refused.code == Some(1) && refused.err.contains("no gateway runs on"), "{refused:?}");
}

/// The same gateway, the same connections, and other rules: each of them holds from the next packet or request on.
#[test]
fn aliases_rules_and_limits_are_read_again_without_a_restart() {
    use crate::common::http::Pap;
    use crate::common::mqtt::{Connect, Raw};
    let gateway = Gateway::start_with("", &[]);
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v5("a", "sip:a@factory.example"));
    let http = gateway.http();
    http.bind("all", "sip:a@factory.example");
    assert_eq!(http.pap(&Pap::new("p0").to("everyone")).pap_code(), 2002);
    assert_eq!(terminal.request("$push/join", "")["reason"], "no-group-assigned");
    assert_eq!(terminal.subscribe(&[("x/y", 0)]), [0x87]);
    let reload = |text: &str| {
        std::fs::write(gateway.dir.path().join("broker.toml"), text).unwrap();
        let output = Command::new(PAPCAST)
            .args(["config", "reload", "--config", "broker.toml"])
            .current_dir(gateway.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    reload(
        "http.max_body = 2_000\npush.max_content = 1_500\nmqtt.max_subscriptions = 2\nmqtt.max_packet = 3_000\n\
         groups.max = 2\npap.max_value = 1_000\npap.max_header_line = 1_000\n\
         [aliases]\neveryone = \"group:all\"\n[[groups.assign]]\nmatch = \"sip:*\"\ngroup = \"factory\"\n\
         [[acl]]\nallow = [\"subscribe\"]\ntopics = [\"x/#\"]\n[pap.endpoints]\n\"/other\" = { profile = \"spec\" }\n\"/pap\" = { profile = \"blackberry\" }\n",
    );
    http.push_to("/other", "p1", "everyone", "by its alias");
    assert_eq!(terminal.push().text(), "by its alias");
    assert_eq!(http.pap_to("/pap", &Pap::new("p2").to("nobody")).status, 200, "it has another profile now");
    assert_eq!(terminal.request("$push/join", "")["group"], "factory");
    assert_eq!(terminal.request("$push/join/third", "")["reason"], "limit-reached");
    assert_eq!(terminal.subscribe(&[("x/y", 0), ("x/z", 0), ("x/0", 0)]), [0, 0, 0x97]);
    let long = Pap::new("p3").to("everyone").text(&"x".repeat(3_000));
    assert_eq!(http.pap_to("/other", &long).status, 413);
    // A packet of more than 3,000 bytes: DISCONNECT 0x95.
    terminal.publish("x/y", 0, &[b'x'; 4_000]);
    assert_eq!(terminal.wait_closed(), Some(0x95));
    let counted = http.get("/metrics").body;
    for key in ["http.max_body", "mqtt.max_subscriptions", "mqtt.max_packet", "groups.max"] {
        assert!(counted.contains(&format!("papcast_over_limit_total{{limit=\"{key}\"}} 1")), "{key}: {counted}");
    }
    reload("");
    http.push("p4", "group:all", "as it was");
}

#[test]
fn an_operator_disconnects_a_user_or_one_of_his_devices() {
    use crate::common::mqtt::{Connect, Raw};
    let gateway = Gateway::start();
    let http = gateway.http();
    let [mut phone, mut watch] =
        ["phone", "wa/tch"].map(|client| Raw::connect(gateway.mqtt, &Connect::v5(client, "alice")));
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v5("bob", "bob"));
    let end = |path: &str| {
        let reply = http.send("DELETE", &format!("/api/v1/users/alice/connections{path}"), "text/plain", b"");
        (reply.status, reply.json()["disconnected"].as_u64())
    };
    assert_eq!(end("/bob"), (404, None), "it is another one's");
    assert_eq!(end("/wa%2Ftch"), (200, Some(1)));
    // MQTT 5.0 §3.14.2.1: administrative action.
    assert_eq!(watch.wait_closed(), Some(0x98));
    phone.ping();
    let mut watch = Raw::connect(gateway.mqtt, &Connect::v5("wa/tch", "alice"));
    assert_eq!(end(""), (200, Some(2)));
    assert_eq!((phone.wait_closed(), watch.wait_closed()), (Some(0x98), Some(0x98)));
    assert_eq!(end(""), (200, Some(0)));
    bob.ping();
    wait_for("a line in the log", || gateway.log().contains("an operator has disconnected it").then_some(()));
}

/// A path that the router cannot have ended the reload half-way, and with it every later one.
#[test]
fn a_path_that_cannot_be_served_is_refused_before_anything_changes() {
    let gateway = Gateway::start();
    let file = gateway.dir.path().join("broker.toml");
    for path in ["/:x", "/a/:b/c", "/debug/x", "/console/x"] {
        std::fs::write(&file, format!("[pap.endpoints]\n{path:?} = {{ profile = \"spec\" }}\n")).unwrap();
        let checked = crate::common::papcast(&["config", "check", file.to_str().unwrap()]);
        assert!(checked.code == Some(1) && checked.err.contains("has no pattern"), "{path}: {checked:?}");
    }
    gateway.signal("HUP");
    wait_for("the complaint", || gateway.log().contains("nothing was read again").then_some(()));
    std::fs::write(&file, "log.level = \"debug\"\n").unwrap();
    gateway.signal("HUP");
    wait_for("the next reload", || gateway.log().contains("INFO papcast::reload: read again").then_some(()));
}

/// The mode needs a restart, and so does what means something in one of the modes only: a fleet was shut out.
#[test]
fn keys_of_json_web_tokens_stay_while_the_mode_does() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "x".repeat(40)).unwrap();
    let gateway = Gateway::start_with(&format!("auth.mode = \"required\"\njwt.secret = {secret:?}\n"), &[]);
    std::fs::write(gateway.dir.path().join("broker.toml"), "").unwrap();
    let output = Command::new(PAPCAST)
        .args(["config", "reload", "--config", "broker.toml", "--json"])
        .current_dir(gateway.dir.path())
        .output()
        .unwrap();
    let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(done["needs_restart"], serde_json::json!(["auth.mode", "jwt"]), "{done}");
}
