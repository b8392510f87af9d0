//! The commands as people and scripts use them: exit codes, what is said, what is asked before something is lost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, Lines, Output, PAPCAST, papcast, wait_for};

/// Runs a command against a gateway.
fn ask(gateway: &Gateway, args: &[&str]) -> Output {
    papcast(&[args, &["--gateway", &gateway.http.to_string()]].concat())
}

fn members(gateway: &Gateway, group: &str) -> i64 {
    gateway.http().get(&format!("/api/v1/groups/{group}")).json()["members"].as_i64().unwrap()
}

/// A server that answers every connection in this way.
fn server(answer: impl Fn(&[u8]) -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 65_536];
            let read = stream.read(&mut request).unwrap_or(0);
            let _ = stream.write_all(answer(&request[..read]).as_bytes());
        }
    });
    at
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// Runs a command to its end with this on its stdin.
fn with_stdin(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(PAPCAST);
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A reference terminal that has joined the group `news`.
fn terminal(gateway: &Gateway, user: &str, extra: &[&str]) -> (Child, Lines) {
    let state = gateway.dir.path().join(format!("{user}.json"));
    let mut child = Command::new(PAPCAST)
        .args(["terminal", "--user", user, "--join", "news", "--mqtt", &gateway.mqtt.to_string(), "--state"])
        .arg(state)
        .args(extra)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (out, err) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
    while !err.next().starts_with("join news: accepted") {}
    (child, out)
}

#[test]
fn push_wait_said_success_although_nobody_had_it() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.json("PUT", "/api/v1/groups/empty", serde_json::Value::Null);
    http.bind("slow", "absent");
    let (mut reader, _out) = terminal(&gateway, "alice", &[]);

    let all = ask(&gateway, &["push", "group:news", "--text", "x", "--wait"]);
    assert_eq!((all.code, all.out.as_str()), (Some(0), "group:news\tdelivered\t1000\t1 of 1\n"), "{all:?}");
    reader.kill().unwrap();
    reader.wait().unwrap();

    let empty = ask(&gateway, &["push", "--to", "group:empty", "--text", "x", "--push-id", "e", "--wait"]);
    assert_eq!((empty.code, empty.out.as_str()), (Some(3), "group:empty\tundeliverable\t4510\t0 of 0\n"));
    assert!(empty.err.contains("papcast: e: nobody is in group:empty"), "{}", empty.err);

    let late = ask(&gateway, &["push", "group:slow", "--text", "x", "--push-id", "l", "--wait", "--timeout", "1"]);
    assert_eq!(late.code, Some(4), "{late:?}");
    let last = late.err.lines().last().unwrap();
    assert_eq!(last, "papcast: l: not over after 1 seconds; papcast status l says more");

    let refused = ask(&gateway, &["push", "group:nobody", "--text", "x", "--wait"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let nobody = papcast(&["push", "group:news", "--text", "x", "--gateway", "127.0.0.1:9"]);
    assert_eq!(nobody.code, Some(5), "{nobody:?}");
    assert!(nobody.err.starts_with("papcast: no gateway answers at http://127.0.0.1:9"), "{}", nobody.err);
}

#[test]
fn a_push_to_a_group_without_members_said_nothing() {
    let gateway = Gateway::start();
    gateway.http().json("PUT", "/api/v1/groups/empty", serde_json::Value::Null);
    let pushed = ask(&gateway, &["push", "group:empty", "--text", "x", "--push-id", "e"]);
    assert_eq!((pushed.code, pushed.out.as_str()), (Some(0), "e\t1001\taccepted for processing\n"));
    assert_eq!(pushed.err, "nobody is in group:empty\n");
    gateway.http().bind("full", "alice");
    assert_eq!(ask(&gateway, &["push", "group:full", "--text", "x"]).err, "");
}

#[test]
fn a_push_waited_for_ever_for_a_gateway_that_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let pushed = papcast(&["push", "group:news", "--text", "x", "--timeout", "1", "--gateway", &at]);
    assert_eq!(pushed.code, Some(4), "{pushed:?}");
    assert_eq!(pushed.err, format!("papcast: http://{at}/ did not answer within 1 seconds (--timeout)\n"));
}

#[test]
fn waiting_at_a_gateway_that_is_not_papcast_ended_with_a_word_about_line_1_column_1() {
    let at = server(|request| {
        let taken =
            "<pap><push-response push-id=\"x\"><response-result code=\"1001\" desc=\"OK\"/></push-response></pap>";
        if request.starts_with(b"POST") { http("202 Accepted", taken) } else { http("404 Not Found", "<html>") }
    })
    .to_string();
    let pushed = papcast(&["push", "group:news", "--text", "x", "--push-id", "p", "--wait", "--gateway", &at]);
    assert_eq!(pushed.code, Some(1), "{pushed:?}");
    let said = pushed.err.lines().last().unwrap();
    assert!(said.starts_with("papcast: p was accepted, and what became of it cannot be seen here"), "{said}");
    assert!(said.contains("has no JSON API of papcast"), "{said}");
}

#[test]
fn what_is_no_gateway_was_called_by_the_names_of_our_libraries() {
    let gateway = Gateway::start();
    let mqtt = papcast(&["group", "list", "--gateway", &gateway.mqtt.to_string()]);
    assert_eq!(mqtt.code, Some(1));
    assert!(mqtt.err.starts_with(&format!("papcast: http://{}/ is no HTTP server", gateway.mqtt)), "{}", mqtt.err);
    let path = papcast(&["status", "x", "--gateway", &format!("http://{}/pap", gateway.http)]);
    assert_eq!(path.code, Some(2));
    assert!(path.err.contains("without a path") && path.err.contains("--path"), "{}", path.err);
    let mut named = Command::new(PAPCAST);
    let named = named.args(["group", "list"]).env("PAPCAST_GATEWAY", gateway.http.to_string()).output().unwrap();
    assert!(named.status.success(), "{named:?}");
}

#[test]
fn a_body_that_was_too_large_was_refused_without_the_name_of_the_limit() {
    let gateway = Gateway::start_with("[http]\nmax_body = 2000\n", &[]);
    let large = gateway.dir.path().join("large");
    std::fs::write(&large, "x".repeat(5_000)).unwrap();
    let pushed = ask(&gateway, &["push", "group:news", "--file", large.to_str().unwrap()]);
    assert_eq!(pushed.code, Some(1));
    assert!(pushed.err.contains("413") && pushed.err.contains("http.max_body"), "{}", pushed.err);
}

#[test]
fn a_dash_was_sent_as_a_dash() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    let at = gateway.http.to_string();
    for flag in ["--text", "--file"] {
        let pushed = with_stdin(&["push", "group:news", flag, "-", "--gateway", &at], "from stdin");
        assert_eq!(pushed.code, Some(0), "{pushed:?}");
        assert_eq!(alice.push().text(), "from stdin");
    }
}

#[test]
fn a_text_behind_the_addresses_is_told_how_it_is_meant() {
    let pushed = papcast(&["push", "--to", "group:a", "hello"]);
    assert_eq!(pushed.code, Some(2));
    assert!(pushed.err.contains("is it the text? --text \"hello\""), "{}", pushed.err);
}

#[test]
fn removing_a_group_unbound_everybody_without_a_question_or_a_word() {
    let gateway = Gateway::start();
    for user in ["a", "b", "c"] {
        gateway.http().bind("fleet", user);
    }
    gateway.http().push("p", "group:fleet", "x");
    let asked = ask(&gateway, &["group", "remove", "fleet"]);
    assert_eq!((asked.code, asked.out.as_str()), (Some(1), ""));
    assert!(asked.err.contains("has 3 members") && asked.err.contains("--yes"), "{}", asked.err);
    assert_eq!(members(&gateway, "fleet"), 3);
    let done = ask(&gateway, &["group", "remove", "fleet", "--yes"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "3 unbound, 1 push ended\n"), "{done:?}");
    gateway.http().json("PUT", "/api/v1/groups/empty", serde_json::Value::Null);
    let done = ask(&gateway, &["group", "remove", "empty", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(shown, serde_json::json!({"group": "empty", "unbound": 0, "pushes_ended": 0}));
    let unknown = ask(&gateway, &["group", "remove", "fleet"]);
    assert_eq!((unknown.code, unknown.err.as_str()), (Some(1), "papcast: there is no group \"fleet\"\n"));
}

#[test]
fn a_name_that_was_mistyped_made_a_group_and_a_user_in_silence() {
    let gateway = Gateway::start();
    let add = |args: &[&str]| {
        let output = ask(&gateway, &[&["member", "add"], args].concat());
        (output.code, output.out + &output.err)
    };
    let (code, said) = add(&["fleeet", "dev1"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no group \"fleeet\"") && said.contains("--create"), "{said}");
    assert_eq!(ask(&gateway, &["group", "list"]).out, "");
    assert_eq!(add(&["fleet", "dev1", "--create"]), (Some(0), "bound (new user, new group)\n".into()));
    assert_eq!(add(&["fleet", "dev0001"]), (Some(0), "bound (new user)\n".into()));
    assert_eq!(add(&["fleet", "dev1"]), (Some(0), "was bound already\n".into()));
    assert_eq!(add(&["other", "dev1", "--create"]), (Some(0), "bound (new group)\n".into()));
    assert_eq!(ask(&gateway, &["member", "remove", "other", "dev1"]).out, "unbound\n");
    for args in [["group", "add", ""], ["group", "show", ""]] {
        let empty = ask(&gateway, &args);
        assert_eq!(empty.code, Some(2));
        assert!(empty.err.contains("a group needs a name"), "{}", empty.err);
    }
}

#[test]
fn a_decision_about_a_join_said_nothing() {
    let gateway = Gateway::start_with("[groups]\ndefault_policy = \"approval\"\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    for (decision, said) in [("reject", "rejected\n"), ("approve", "bound\n")] {
        assert_eq!(alice.request("$push/join/vip", "")["status"], "pending");
        assert_eq!(ask(&gateway, &["group", decision, "vip", "alice"]).out, said);
        alice.publish_in();
    }
}

#[test]
fn a_reader_that_had_gone_made_the_commands_panic() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let pap = format!("http://{}/pap", gateway.http);
    for args in [
        &["config", "default"][..],
        &["completions", "zsh"],
        &["member", "list", "--json", "news"],
        &["group", "list"],
        &["push", "group:news", "--text", "x"],
        &["pap-check", &pap, "--only", "cancel"],
        &["pap-explain", "examples/pap/group-confirmed.mime"],
        &[],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let at = gateway.http.to_string();
        let output = Command::new(PAPCAST)
            .args(args)
            .env("PAPCAST_GATEWAY", at)
            .stdin(Stdio::null())
            .stdout(writer)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        // The kit says on stderr how far it is.
        let told = said.lines().any(|line| args[..1] != ["pap-check"] || !line.starts_with("papcast: "));
        assert_eq!((output.status.code(), told), (Some(141), false), "{args:?}: {said}");
    }
}

#[test]
fn a_push_that_the_terminal_could_not_print_is_not_acknowledged() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let state = gateway.dir.path().join("alice.json");
    let child = Command::new(PAPCAST)
        .args(["terminal", "--user", "alice", "--mqtt", &gateway.mqtt.to_string(), "--state"])
        .arg(state)
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    gateway.http().push("p", "group:news", "unread");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("Broken pipe"), "{output:?}");
    let mut again = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(again.push().text(), "unread");
}

#[test]
fn the_reference_terminal_could_not_take_a_push_of_more_than_ten_kilobytes() {
    let gateway = Gateway::start();
    let large = gateway.dir.path().join("large");
    std::fs::write(&large, "x".repeat(500_000)).unwrap();
    let (mut child, out) = terminal(&gateway, "alice", &["--count", "2"]);
    let large = large.to_str().unwrap();
    assert_eq!(ask(&gateway, &["push", "group:news", "--file", large, "--push-id", "large"]).code, Some(0));
    gateway.http().push("small", "group:news", "small");
    assert_eq!(out.next().len(), "groups/news\t".len() + 500_000);
    assert_eq!(out.next(), "groups/news\tsmall");
    assert!(child.wait().unwrap().success());
    gateway.http().wait_outcome("large", "delivered", "1 of 1");

    // It asks again where it has forgotten the answer.
    std::fs::remove_file(gateway.dir.path().join("alice.json")).unwrap();
    // It says what it takes, so that a push that is too large for it is refused, and the next one comes.
    let (mut child, out) = terminal(&gateway, "alice", &["--count", "1", "--max-packet", "2000"]);
    assert_eq!(ask(&gateway, &["push", "group:news", "--file", large, "--push-id", "too-large"]).code, Some(0));
    gateway.http().push("next", "group:news", "next");
    assert_eq!(out.next(), "groups/news\tnext");
    assert!(child.wait().unwrap().success());
    let outcome = wait_for("the outcome", || {
        let outcome = gateway.http().outcome("too-large");
        (outcome["state"] != "pending").then_some(outcome)
    });
    assert_eq!((&outcome["state"], &outcome["code"]), (&"aborted".into(), &5237.into()));
}

#[test]
fn an_interrupted_terminal_sent_no_disconnect() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(PAPCAST)
        .args(["terminal", "--user", "alice", "--mqtt", &at, "--state"])
        .arg(dir.path().join("alice.json"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(crate::common::DEADLINE)).unwrap();
    let mut connect = [0; 1_024];
    assert!(stream.read(&mut connect).unwrap() > 0);
    // CONNACK of MQTT 5: success, no properties.
    stream.write_all(&[0x20, 3, 0, 0, 0]).unwrap();
    let err = Lines::of(child.stderr.take().unwrap());
    assert!(err.next().starts_with("connected to"));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(first, [0xE0], "DISCONNECT");
    drop(stream);
    assert!(child.wait().unwrap().success());
}

/// Runs a command on a terminal of its own, with this typed; `None` where there is no `script`.
pub(super) fn on_a_terminal(gateway: &Gateway, command: &str, typed: &str) -> Option<String> {
    let line = format!("{PAPCAST} {command} --gateway {}", gateway.http);
    let child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        assert!(std::env::var_os("CI").is_none(), "CI needs script (util-linux)");
        eprintln!("SKIPPED: install script (util-linux, bsdutils) to run this test");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    child.wait().unwrap();
    drop(stdin);
    Some(shown.replace('\r', ""))
}

#[test]
fn on_a_terminal_a_table_has_headers_and_a_removal_asks() {
    let gateway = Gateway::start();
    gateway.http().bind("fleet", "alice");
    let Some(shown) = on_a_terminal(&gateway, "group list", "") else { return };
    assert!(shown.contains("GROUP  POLICY  MEMBERS  TOPIC\nfleet  open    1        groups/fleet\n"), "{shown}");
    let shown = on_a_terminal(&gateway, "group remove fleet", "no\n").unwrap();
    assert!(shown.contains("has 1 member.") && shown.contains("nothing was removed"), "{shown}");
    assert_eq!(members(&gateway, "fleet"), 1);
    let shown = on_a_terminal(&gateway, "group remove fleet", "yes\n").unwrap();
    assert!(shown.contains("1 unbound, 0 pushes ended"), "{shown}");
}
