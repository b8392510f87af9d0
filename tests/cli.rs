//! The built binary from its command line: exit codes, help, output.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Stdio};

use common::{Gateway, Lines, PAPCAST, papcast};

#[test]
fn every_command_has_help() {
    let help = papcast(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in [
        "serve",
        "demo",
        "push",
        "status",
        "cancel",
        "terminal",
        "group",
        "member",
        "config",
        "doctor",
        "man",
        "completions",
    ] {
        assert!(help.out.contains(command), "{}", help.out);
        let output = papcast(&[command, "--help"]);
        assert_eq!(output.code, Some(0), "{command}");
        assert!(output.out.contains("Usage: papcast"), "{}", output.out);
    }
    for action in [["group", "list"], ["group", "add"], ["member", "add"], ["config", "check"]] {
        assert_eq!(papcast(&[action[0], action[1], "--help"]).code, Some(0));
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [&["fly"][..], &["push"], &["push", "--to", "a"], &["demo", "--terminals", "0"], &["group"]] {
        let output = papcast(args);
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        assert!(output.out.is_empty(), "{args:?}");
    }
}

#[test]
fn wrong_usage_was_told_in_five_lines_or_called_a_failure() {
    let no_time = &["push", "a", "--text", "x", "--deliver-before", "yesterday"][..];
    let no_limit = &["push", "a", "--text", "x", "--timeout", "0"][..];
    for args in [&["fly"][..], &["status"], &["push", "--to", "a"], no_time, no_limit, &["demo", "--terminals", "0"]] {
        let output = papcast(args);
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        assert!(output.err.starts_with("papcast: ") && output.err.trim_end().ends_with(" --help"), "{}", output.err);
        assert_eq!(output.err.lines().count(), 1, "{}", output.err);
    }
    assert!(papcast(no_time).err.contains("expected a time such as 2026-11-22T10:00:00Z"));
}

#[test]
fn who_asked_for_help_without_dashes_or_for_nothing_was_sent_away() {
    // Alone it says how the gateway stands; where none answers, what there is.
    let bare = common::papcast_command(&[]).env("PAPCAST_GATEWAY", "127.0.0.1:1").output().unwrap();
    let bare = common::Output::from(bare);
    assert_eq!(bare.code, Some(5));
    assert!(bare.err.contains("no gateway answers at http://127.0.0.1:1/"), "{}", bare.err);
    assert!(bare.out.contains("Usage: papcast"), "{}", bare.out);
    assert_eq!(papcast(&["help", "push"]).out, papcast(&["push", "--help"]).out);
}

#[test]
fn config_default_prints_what_is_compiled_in_and_it_is_valid() {
    let output = papcast(&["config", "default"]);
    assert_eq!(output.out, std::fs::read_to_string(common::repository().join("broker.toml")).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.toml");
    std::fs::write(&path, &output.out).unwrap();
    let output = papcast(&["config", "check", path.to_str().unwrap()]);
    assert_eq!((output.code, output.out.trim()), (Some(0), format!("{}: valid", path.display()).as_str()));
}

#[test]
fn config_check_and_serve_name_file_key_and_expectation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.toml");
    std::fs::write(&path, "[mqtt]\ninflight = \"many\"\n").unwrap();
    for args in [["config", "check"], ["serve", "--config"]] {
        let output = papcast(&[args[0], args[1], path.to_str().unwrap()]);
        assert_eq!(output.code, Some(1));
        assert_eq!(
            output.err.trim(),
            format!("papcast: {}: mqtt.inflight: invalid type: string \"many\", expected u16", path.display())
        );
    }
    let output = papcast(&["serve", "--config", "/nowhere/at/all.toml"]);
    assert_eq!(output.code, Some(1));
    assert!(output.err.starts_with("papcast: /nowhere/at/all.toml: cannot be read"), "{}", output.err);
    let output = Command::new(PAPCAST).args(["config", "check"]).env("PAPCAST_PUSH__MAX_TTL", "0s").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("push.max_ttl: expected a value from"), "{output:?}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let script = papcast(&["completions", shell]).out;
        assert!(script.contains("papcast") && script.contains("terminals"), "{shell}");
        // For the demo's own gateway, and not for people.
        assert!(!script.contains("stop-with-stdin"), "{shell}");
    }
}

#[test]
fn groups_members_and_pushes_from_the_command_line() {
    let gateway = Gateway::start();
    let url = format!("http://{}", gateway.http);
    let run = |args: &[&str]| {
        let output = papcast(&[args, &["--gateway", &url]].concat());
        assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
        output.out
    };
    assert_eq!(run(&["group", "add", "news", "--policy", "closed"]), "news\tclosed\t0\tgroups/news\n");
    run(&["member", "add", "news", "sip:alice@example.com"]);
    assert!(run(&["member", "list", "news"]).starts_with("sip:alice@example.com\taway\toperator\t"));
    assert!(run(&["member", "show", "sip:alice@example.com"]).starts_with("group\tnews\toperator\t"));
    let shown: serde_json::Value = serde_json::from_str(&run(&["group", "list", "--json"])).unwrap();
    assert_eq!((&shown["items"][0]["members"], &shown["next"]), (&1.into(), &serde_json::Value::Null));
    let line = run(&["push", "--to", "group:news", "--text", "hello", "--push-id", "cli-1"]);
    assert_eq!(line, "cli-1\t1001\taccepted for processing\n");
    assert_eq!(gateway.http().outcome("cli-1")["desc"], "0 of 1");
    assert_eq!(run(&["status", "cli-1"]), "group:news\tpending\t1000\t0 of 1\n");
    assert_eq!(run(&["cancel", "cli-1"]), "1000\tOK\tgroup:news\n");
    assert_eq!(run(&["status", "cli-1"]), "group:news\tcancelled\t1000\t0 of 1\n");
    let again = papcast(&["cancel", "cli-1", "--gateway", &url]);
    assert_eq!((again.code, again.out.as_str()), (Some(1), "3003\tover already: cancelled\tgroup:news\n"));
    assert_eq!(papcast(&["status", "nothing", "--gateway", &url]).code, Some(1));
    run(&["member", "remove", "news", "sip:alice@example.com"]);
    run(&["group", "remove", "news"]);
    assert_eq!(run(&["group", "list"]), "");
    let refused = papcast(&["push", "--to", "group:news", "--text", "x", "--gateway", &url]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(
        refused.err.trim(),
        "papcast: the push was refused: 2002 not a known group or user: group:news; nothing was submitted"
    );
    let unknown = papcast(&["group", "show", "news", "--gateway", &url]);
    assert_eq!((unknown.code, unknown.err.trim()), (Some(1), "papcast: there is no group \"news\""));
    let nobody = papcast(&["group", "list", "--gateway", "http://127.0.0.1:9"]);
    assert_eq!(nobody.code, Some(5));
    assert!(nobody.err.starts_with("papcast: no gateway answers at http://127.0.0.1:9"), "{}", nobody.err);
}

#[test]
fn approvals_from_the_command_line() {
    let gateway = Gateway::start_with("[groups]\ndefault_policy = \"approval\"\n", &[]);
    let url = format!("http://{}", gateway.http);
    let mut alice = common::mqtt::Raw::connect(gateway.mqtt, &common::mqtt::Connect::v3("a", "alice"));
    assert_eq!(alice.request("$push/join/vip", "")["status"], "pending");
    assert!(papcast(&["group", "requests", "vip", "--gateway", &url]).out.starts_with("alice\t"));
    assert_eq!(papcast(&["group", "approve", "vip", "alice", "--gateway", &url]).code, Some(0));
    assert_eq!(alice.publish_in().json()["status"], "accepted");
    assert_eq!(papcast(&["group", "reject", "vip", "alice", "--gateway", &url]).code, Some(1));
}

#[test]
fn the_reference_terminal_keeps_the_answer_and_uses_it_at_the_next_start() {
    let gateway = Gateway::start();
    let state = gateway.dir.path().join("state/alice.json");
    let mqtt = gateway.mqtt.to_string();
    let start = |extra: &[&str]| {
        let mut child = Command::new(PAPCAST)
            .args([
                "terminal",
                "--user",
                "alice",
                "--join",
                "news",
                "--mqtt",
                &mqtt,
                "--state",
                state.to_str().unwrap(),
            ])
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
        (child, out, err)
    };
    let (mut child, out, err) = start(&["--count", "1"]);
    assert_eq!(err.next(), format!("connected to {mqtt} as alice"));
    assert!(err.next().starts_with("join news: accepted"));
    common::wait_for("the answer to be on disk", || std::fs::read_to_string(&state).ok());
    gateway.http().push("p1", "group:news", "one");
    assert_eq!(out.next(), "groups/news\tone");
    assert!(child.wait().unwrap().success());
    let kept: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&state).unwrap()).unwrap();
    assert_eq!(kept, serde_json::json!({"user":"alice","groups":[{"group":"news","topic":"groups/news"}]}));
    gateway.http().push("p2", "group:news", "two");
    // It read ahead, and what it had not shown was acknowledged all the same.
    for n in 3..=9 {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    let (mut child, out, err) = start(&["--count", "1", "--json"]);
    assert_eq!(err.next(), format!("bound to news (groups/news), as {} says", state.display()));
    let push: serde_json::Value = serde_json::from_str(&out.next()).unwrap();
    assert_eq!((&push["group"], &push["body"], &push["push_id"]), (&"news".into(), &"two".into(), &"p2".into()));
    assert!(child.wait().unwrap().success());
    gateway.http().wait_outcome("p2", "delivered", "1 of 1");
    assert_eq!(gateway.http().outcome("p3")["state"], "pending");
    let (mut rest, out, _err) = start(&["--count", "7"]);
    for n in 3..=9 {
        assert_eq!(out.next(), format!("groups/news\t{n}"));
    }
    assert!(rest.wait().unwrap().success());
    gateway.http().wait_outcome("p9", "delivered", "1 of 1");
    let asked = err.next();
    assert!(!asked.contains("join"), "it did not ask again: {asked}");
}

#[test]
fn pap_explain_says_what_a_document_means_and_what_is_wrong_with_it() {
    let explain = |arguments: &[&str]| Command::new(PAPCAST).arg("pap-explain").args(arguments).output().unwrap();
    let output = explain(&["examples/pap/group-confirmed.mime"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "version                PAP 2.0",
        "operation              push submission: to be delivered to every address",
        "address                WAPPUSH=news/TYPE=GROUP@papcast.example = the group news",
        "quality-of-service     confirmed: counts when the terminal acknowledges it; priority high",
        "content                text/plain, 12 bytes",
        "                       x-wap-application-id: x-wap-application:wml.ua",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bent.xml");
    std::fs::write(
        &file,
        "POST /pap HTTP/1.1\nContent-Type: application/xml\n\n<!DOCTYPE pap PUBLIC '//WAPFORUM//DTD PAP 2.0//EN' ''><pap><cancel-message push-id='p' custome='1'/></pap>",
    )
    .unwrap();
    let output = explain(&[file.to_str().unwrap(), "--json"]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["unknown"][0], "custome");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["facts"]["push-id"], "p");
    assert_eq!(json["facts"]["address"], "all");
    let rows: Vec<&str> = json["repairs"].as_array().unwrap().iter().map(|row| row["row"].as_str().unwrap()).collect();
    assert_eq!(rows, ["X1", "X4"]);
    assert!(json["strict"].is_string(), "{json}");
    let doctype = "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\">";
    let answer = "<statusquery-response push-id=\"p\"><statusquery-result message-state=\"delivered\" code=\"1000\" desc=\"2 of 2\"><address address-value=\"15550100\"/></statusquery-result></statusquery-response>";
    std::fs::write(&file, format!("{doctype}<pap>{answer}</pap>")).unwrap();
    let text = String::from_utf8(explain(&[file.to_str().unwrap()]).stdout).unwrap();
    for line in [
        "result                 delivered, code 1000 (OK): 2 of 2",
        "                       15550100 = the user 15550100 or, where that is not known, the user tel:+15550100 or, where that is not known, the group 15550100",
        "by a strict endpoint   taken as it is",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    std::fs::write(&file, "<pap/>").unwrap();
    let unreadable = explain(&[file.to_str().unwrap(), "--json"]);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&unreadable.stdout).unwrap()["code"], 2000);
    let output = explain(&[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(
            "bent.xml: a gateway would answer with a badmessage-response 2000: a pap element has exactly one"
        ),
        "{error}"
    );
}
