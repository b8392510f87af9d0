//! The command line around the commands: settings, exit codes, the shape of JSON, many members at once, completions, manual pages.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::commands::on_a_terminal;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, Output, PAPCAST, papcast, repository, wait_for};

/// Runs a command with these variables, and this on its stdin.
fn run(args: &[&str], env: &[(&str, &str)], input: &str) -> Output {
    let mut command = Command::new(PAPCAST);
    // Not with the settings of whoever runs the tests.
    command.args(args).env_remove("XDG_CONFIG_HOME").env("HOME", "/nowhere").envs(env.iter().copied());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails early does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn ask(gateway: &Gateway, args: &[&str]) -> Output {
    run(&[args, &["--gateway", &gateway.http.to_string()]].concat(), &[], "")
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A gateway that asks for a token, and an operator's.
fn closed() -> (Gateway, String) {
    let gateway = Gateway::start_with("[auth]\nmode = \"required\"\n", &[]);
    let token = gateway.token("operator", "ann", &[]);
    (gateway, token)
}

#[test]
fn a_token_had_to_stand_on_the_command_line_or_in_the_environment() {
    let (gateway, token) = closed();
    let dir = tempfile::tempdir().unwrap();
    let (file, settings) = (dir.path().join("token"), dir.path().join("papcast.toml"));
    write(&file, &format!("{token}\n"), 0o600);
    let (file, at) = (file.to_str().unwrap(), gateway.http.to_string());
    let list = |more: &[&str], env: &[(&str, &str)]| run(&[&["group", "list"], more].concat(), env, "");
    let here = ("PAPCAST_GATEWAY", at.as_str());
    let good = |output: &Output| output.code == Some(0) && output.err.is_empty();

    let none = list(&[], &[here]);
    assert!(none.code == Some(1) && none.err.contains("(--token-file, or PAPCAST_TOKEN)"), "{none:?}");
    for output in [list(&["--token-file", file], &[here]), list(&[], &[here, ("PAPCAST_TOKEN_FILE", file)])] {
        assert!(good(&output), "{output:?}");
    }
    // The file beside the settings, found in each of the places where settings are looked for.
    let home = dir.path().join("home");
    std::fs::create_dir_all(home.join(".config")).unwrap();
    write(&settings, &format!("gateway = \"{at}\"\ntoken_file = \"token\"\ntimeout = 20\n"), 0o644);
    std::fs::copy(&settings, home.join(".config/papcast.toml")).unwrap();
    std::fs::copy(file, home.join(".config/token")).unwrap();
    let (home, folder, named) = (home.to_str().unwrap(), dir.path().to_str().unwrap(), settings.to_str().unwrap());
    for env in [("HOME", home), ("XDG_CONFIG_HOME", folder), ("PAPCAST_CLI_CONFIG", named)] {
        let output = list(&[], &[env]);
        assert!(good(&output), "{env:?}: {output:?}");
    }
    // The command line comes before the environment, and that before the file.
    let wrong = ("PAPCAST_TOKEN", "wrong");
    let settings = ("PAPCAST_CLI_CONFIG", named);
    assert_eq!(list(&[], &[settings, wrong]).code, Some(1));
    assert_eq!(list(&["--token-file", file], &[settings, wrong]).code, Some(0));
    assert_eq!(list(&["--gateway", "127.0.0.1:9"], &[settings]).code, Some(5));
    assert_eq!(list(&[], &[settings, ("PAPCAST_GATEWAY", "127.0.0.1:9")]).code, Some(5));
    assert_eq!(list(&["--token", "a", "--token-file", file], &[here]).code, Some(2));
    // The empty name: no settings file.
    assert_eq!(list(&[], &[here, ("HOME", home), ("PAPCAST_CLI_CONFIG", "")]).code, Some(1));
}

#[test]
fn settings_that_say_nothing_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("mine.toml");
    let named = settings.to_str().unwrap();
    let said = |text: &str| {
        write(&settings, text, 0o600);
        let output = run(&["group", "list"], &[("PAPCAST_CLI_CONFIG", named)], "");
        assert_eq!(output.code, Some(1), "{output:?}");
        output.err.trim().replace(named, "mine.toml")
    };
    let unknown = said("gatway = \"127.0.0.1:1\"\n");
    assert!(unknown.starts_with("papcast: mine.toml: gatway: unknown field `gatway`, expected one of"), "{unknown}");
    assert!(said("timeout = \"soon\"\n").starts_with("papcast: mine.toml: timeout: invalid type"));
    assert_eq!(said("timeout = 0\n"), "papcast: mine.toml: timeout: expected at least 1 second");
    assert!(said("gateway = \"ftp://a\"\n").starts_with("papcast: mine.toml: gateway: only http and https"));
    assert!(said("gateway = \n").starts_with("papcast: mine.toml: not TOML"));
    let gone = said("token_file = \"gone\"\n");
    assert!(gone.contains("token_file: ") && gone.contains("gone: the token cannot be read"), "{gone}");
    let missing = run(&["group", "list"], &[("PAPCAST_CLI_CONFIG", "/nowhere/p.toml")], "");
    assert!(missing.err.starts_with("papcast: /nowhere/p.toml: the settings cannot be read"), "{missing:?}");
    // Who only looks at a file of the gateway is not told of it.
    assert_eq!(run(&["config", "default"], &[("PAPCAST_CLI_CONFIG", "/nowhere/p.toml")], "").code, Some(0));
}

#[test]
fn a_token_file_that_others_can_read_is_told_and_config_check_knows_the_variables() {
    let (gateway, token) = closed();
    let file = gateway.dir.path().join("token");
    write(&file, &token, 0o644);
    let file = file.to_str().unwrap();
    let output = ask(&gateway, &["group", "list", "--token-file", file]);
    assert_eq!(output.code, Some(0));
    assert_eq!(output.err, format!("warning: {file} can be read by others: chmod 600 {file}\n"));
    let env = [("PAPCAST_TOKEN_FILE", file), ("PAPCAST_CLI_CONFIG", "")];
    assert_eq!(run(&["config", "check"], &env, "").err, "");
}

#[test]
fn the_text_of_a_push_could_not_stand_behind_its_address() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    let at = gateway.http.to_string();
    let push = |args: &[&str], input: &str| run(&[&["push"], args, &["--gateway", &at]].concat(), &[], input);
    assert_eq!(push(&["group:news", "hello"], "").code, Some(0));
    assert_eq!(alice.push().text(), "hello");
    assert_eq!(push(&["group:news", "-"], "from stdin").code, Some(0));
    assert_eq!(alice.push().text(), "from stdin");
    // Two addresses, as before.
    assert_eq!(push(&["group:news", "user:alice", "--text", "both"], "").code, Some(0));
    assert_eq!(alice.push().text(), "both");
    for args in [&["group:news", "user:alice", "hello"][..], &["hello", "--to", "group:news"], &["group:news"]] {
        let refused = push(args, "");
        assert_eq!(refused.code, Some(2), "{args:?}: {refused:?}");
        assert!(refused.err.contains("--text"), "{}", refused.err);
    }
    assert!(push(&["a", "b", "hello"], "").err.contains("is it the text? --text \"hello\""));
}

#[test]
fn waiting_for_a_push_showed_nothing_and_shows_a_bar_to_people_only() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "away");
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    let wait = "push group:news hello --wait --timeout 2";
    let Some(shown) = on_a_terminal(&gateway, wait, "") else { return };
    assert!(shown.contains("] 0 of 2") && shown.contains("not over after 2 seconds"), "{shown}");
    let quiet = on_a_terminal(&gateway, &format!("{wait} --json"), "").unwrap();
    assert!(!quiet.contains(" of 2, "), "{quiet}");
    let piped = ask(&gateway, &["push", "group:news", "hello", "--wait", "--timeout", "1"]);
    assert!(piped.code == Some(4) && !piped.err.contains(" of 2"), "{piped:?}");
    let late = ask(&gateway, &["push", "group:news", "hello", "--wait", "--timeout", "1", "--json"]);
    assert_eq!((late.code, json_of(&late.err)["code"].as_i64()), (Some(4), Some(4)), "{late:?}");
}

#[test]
fn members_could_only_be_bound_one_by_one() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "u0");
    let mut file = "group,user\n# those of the first floor\n\n".to_owned();
    (0..40).for_each(|number| file.push_str(&format!("news,u{number}\n")));
    let path = gateway.dir.path().join("members.csv");
    std::fs::write(&path, &file).unwrap();
    let path = path.to_str().unwrap();
    let done = ask(&gateway, &["group", "import", path]);
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (Some(0), "39 bound, 1 were members already, 0 failed\n", "")
    );
    assert_eq!(gateway.http().get("/api/v1/groups/news").json()["members"], 40);

    let at = gateway.http.to_string();
    let import =
        |more: &[&str], input: &str| run(&[&["group", "import", "-", "--gateway", &at], more].concat(), &[], input);
    let faulty = import(&[], "news,new\nnwes,alice\nonly\n");
    assert_eq!((faulty.code, faulty.out.as_str()), (Some(1), "1 bound, 0 were members already, 2 failed\n"));
    let said = "line 2: there is no group \"nwes\"; --create makes it\nline 3: expected group,user, found 1 cell\npapcast: 2 lines failed\n";
    assert_eq!(faulty.err, said);
    let many = import(&[], &"only\n".repeat(13));
    assert!(many.err.contains("line 10: ") && !many.err.contains("line 11: "), "{}", many.err);
    assert!(many.err.contains("and 3 more\n"), "{}", many.err);
    let made = import(&["--create", "--json"], "made,alice\nmade,bob\nonly\n");
    let why = "expected group,user, found 1 cell";
    assert_eq!(
        json_of(&made.out),
        json!({"bound": 2, "already": 0, "failed": 1, "failures": [{"line": 3, "error": why}]})
    );
    assert_eq!(json_of(&made.err), json!({"error": "1 line failed", "code": 1}));
    let nobody = papcast(&["group", "import", path, "--gateway", "127.0.0.1:9"]);
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(5), ""));
}

#[test]
fn joins_could_only_be_approved_one_by_one() {
    let gateway = Gateway::start_with("[groups]\ndefault_policy = \"approval\"\n", &[]);
    let mut terminals: Vec<Raw> = ["a", "b", "c", "d"]
        .map(|user| {
            let mut terminal = Raw::connect(gateway.mqtt, &Connect::v3(user, user));
            assert_eq!(terminal.request("$push/join/vip", "")["status"], "pending");
            terminal
        })
        .into();
    let some = ask(&gateway, &["group", "approve", "vip", "a", "nobody"]);
    assert_eq!((some.code, some.out.as_str()), (Some(1), "1 bound, 1 failed\n"));
    assert!(some.err.contains("\"nobody\" has no pending join to \"vip\""), "{}", some.err);
    assert_eq!(terminals[0].publish_in().json()["status"], "accepted");
    assert_eq!(ask(&gateway, &["group", "reject", "vip", "b", "c"]).out, "2 rejected, 0 failed\n");
    let all = ask(&gateway, &["group", "approve", "vip", "--all", "--json"]);
    assert_eq!(json_of(&all.out), json!({"items": [{"group": "vip", "user": "d", "done": "bound"}], "next": null}));
    let rest = ask(&gateway, &["group", "approve", "vip", "--all"]);
    assert_eq!((rest.code, rest.out.as_str()), (Some(0), "0 bound, 0 failed\n"));
    assert_eq!(ask(&gateway, &["group", "approve", "vip"]).code, Some(2));
}

#[test]
fn lists_had_three_shapes_of_json_and_errors_had_none() {
    let (gateway, token) = closed();
    let env = [("PAPCAST_TOKEN", token.as_str()), ("PAPCAST_GATEWAY", &gateway.http.to_string())];
    let config = gateway.dir.path().join("broker.toml");
    let store = gateway.dir.path().join("papcast.db");
    let run = |args: &[&str]| run(args, &[&env[..], &[("PAPCAST_STORE__PATH", store.to_str().unwrap())]].concat(), "");
    let config = config.to_str().unwrap();
    assert_eq!(run(&["member", "add", "news", "alice", "--create"]).code, Some(0));
    assert_eq!(run(&["push", "group:news", "x", "--push-id", "p"]).code, Some(0));
    for args in [
        &["group", "list"][..],
        &["member", "list", "news"],
        &["pushes"],
        &["who", "p"],
        &["status", "p"],
        &["cancel", "p"],
        &["operator", "list", "--config", config],
        &["initiator", "add", "a", "b", "--config", config],
    ] {
        let listed = json_of(&run(&[args, &["--json"]].concat()).out);
        assert!(!listed["items"].as_array().unwrap().is_empty(), "{args:?}: {listed}");
        assert_eq!(listed.as_object().unwrap().get("next"), Some(&Value::Null), "{args:?}: {listed}");
    }
    for args in [&["group", "requests", "news"][..], &["device", "list", "--config", config]] {
        assert_eq!(run(&[args, &["--json"]].concat()).out, "{\"items\":[],\"next\":null}\n", "{args:?}");
    }
    run(&["push", "group:news", "y", "--push-id", "q"]);
    let first = json_of(&run(&["pushes", "--limit", "1", "--json"]).out);
    let next = first["next"].as_str().unwrap();
    let second = json_of(&run(&["pushes", "--limit", "1", "--after", next, "--json"]).out);
    assert_eq!([&first, &second].map(|page| page["items"][0]["push_id"].clone()), ["q", "p"]);
    let one = json_of(&run(&["group", "show", "news", "--json"]).out);
    assert_eq!(one["id"], "news");

    let error = |args: &[&str]| {
        let output = run(args);
        assert_eq!((output.out.as_str(), output.err.lines().count()), ("", 1), "{output:?}");
        let error = json_of(&output.err);
        assert_eq!(error["code"].as_i64(), output.code.map(i64::from), "{error}");
        error
    };
    let detail = "there is no group \"gone\"";
    assert_eq!(
        error(&["group", "show", "gone", "--json"]),
        json!({"error": detail, "code": 1, "title": "Not Found", "status": 404, "detail": detail})
    );
    assert_eq!(error(&["group", "show", "--json"])["code"], 2);
    assert_eq!(error(&["push", "group:news", "--json"])["code"], 2);
    assert_eq!(error(&["group", "list", "--json", "--gateway", "127.0.0.1:9"])["code"], 5);
    let unknown = error(&["push", "group:gone", "x", "--json"]);
    assert!(unknown["error"].as_str().unwrap().contains("2002"), "{unknown}");
}

#[test]
fn exit_codes_stood_in_four_places() {
    let help = papcast(&["--help"]).out;
    let table = &help[help.find("Exit codes:\n").unwrap()..];
    assert!(papcast(&["push", "--help"]).out.contains(table.trim_end()), "push --help has another table");
    let page = std::fs::read_to_string(repository().join("docs/cli.md")).unwrap();
    let rows: Vec<(&str, &str)> = table.lines().skip(1).filter_map(|line| line.trim().split_once("  ")).collect();
    assert_eq!(rows.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["0", "1", "2", "3", "4", "5"]);
    for (code, meaning) in rows {
        assert!(page.contains(&format!("| {code} | {meaning} |")), "docs/cli.md does not say: {code} {meaning}");
    }
    // That each code is what ends such a command is tested where the commands are: `push_wait_said_success_although_nobody_had_it`.
    assert_eq!(papcast(&["group", "list", "--gateway", "127.0.0.1:9"]).code, Some(5));
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    assert_eq!(papcast(&["group", "list", "--timeout", "1", "--gateway", &at]).code, Some(4));
}

/// The commands that the help of a command names.
fn commands(of: &[&str]) -> Vec<String> {
    let help = papcast(&[of, &["--help"]].concat()).out;
    let Some((_, rest)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let named = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    named.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_is_in_the_reference_and_has_a_manual_page() {
    let page = std::fs::read_to_string(repository().join("docs/cli.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("man");
    assert_eq!(papcast(&["man", folder.to_str().unwrap()]).code, Some(0));
    let mut pages = vec!["papcast".to_owned()];
    let all = commands(&[]);
    assert!(all.len() > 20, "the help was read: {all:?}");
    for command in &all {
        assert!(page.contains(&format!("`papcast {command}")), "docs/cli.md does not name papcast {command}");
        pages.push(format!("papcast-{command}"));
        for action in commands(&[command]) {
            assert!(page.contains(&format!("`papcast {command} {action}")), "docs/cli.md: papcast {command} {action}");
            pages.push(format!("papcast-{command}-{action}"));
        }
    }
    for name in &pages {
        let text = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap_or_default();
        assert!(text.contains(".TH ") && text.contains(".SH SYNOPSIS"), "{name}.1: {text}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), pages.len());
    let printed = papcast(&["man"]).out;
    assert_eq!(printed, std::fs::read_to_string(folder.join("papcast.1")).unwrap());
    assert!(printed.contains("Exit codes") && !printed.contains("papcast\\-complete("), "{printed}");
}

/// What bash would offer for a line, with the cursor at its end.
fn completed(folder: &Path, at: &str, line: &str) -> Vec<String> {
    let script = folder.join("papcast.bash");
    std::fs::write(&script, papcast(&["completions", "bash"]).out).unwrap();
    // Words as readline splits them: at blanks and colons.
    let ask = r#"
        source "$1"
        COMP_LINE="$2"; COMP_POINT=${#COMP_LINE}
        words="${COMP_LINE//:/ : }"; read -ra COMP_WORDS <<< "$words"
        [[ "$words" == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        cur="${COMP_WORDS[COMP_CWORD]}"; [[ "$cur" == : ]] && cur=""
        registered="$(complete -p papcast)"; registered="${registered#*-F }"
        "${registered%% *}" papcast "$cur" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "-c", ask, "bash"])
        .arg(&script)
        .arg(line)
        .env("PATH", format!("{}:/usr/bin:/bin", Path::new(PAPCAST).parent().unwrap().display()))
        .env("PAPCAST_GATEWAY", at)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn completions_did_not_know_the_groups() {
    let gateway = Gateway::start();
    for group in ["news", "newer", "fleet", "a:b", "two words"] {
        gateway.http().bind(group, "alice");
    }
    let (at, dir) = (gateway.http.to_string(), tempfile::tempdir().unwrap());
    let offered = |line: &str| {
        let mut words = completed(dir.path(), &at, line);
        words.sort();
        words
    };
    assert_eq!(offered("papcast group show "), ["a:b", "fleet", "newer", "news", "two\\ words"]);
    assert_eq!(offered("papcast group approve ne"), ["newer", "news"]);
    assert_eq!(offered("papcast member add --create fl"), ["fleet"]);
    assert_eq!(offered("papcast terminal --user u --join fl"), ["fleet"]);
    assert_eq!(offered("papcast group show a:"), ["b"]);
    assert!(offered("papcast group ").contains(&"approve".to_owned()));
    assert!(!offered("papcast ").contains(&"complete".to_owned()));
    for other in ["papcast group show --j", "papcast group show news ", "papcast member show "] {
        assert!(!offered(other).iter().any(|word| word == "news"), "{other}");
    }
    for (shell, call) in [("zsh", "':group:_papcast_groups'"), ("fish", "__fish_seen_subcommand_from show\" -f -a")] {
        assert!(papcast(&["completions", shell]).out.contains(call), "{shell}");
    }
    assert_eq!(papcast(&["complete", "groups", "--gateway", &at]).out.lines().count(), 5);
}

#[test]
fn a_completion_without_a_gateway_is_silent_and_short() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let begin = std::time::Instant::now();
    let output = papcast(&["complete", "groups", "--gateway", &at]);
    assert!(begin.elapsed() < std::time::Duration::from_secs(5), "it has 1 s, and machines are busy");
    assert_eq!((output.code, output.out.as_str(), output.err.as_str()), (Some(0), "", ""));
    let env = [("PAPCAST_CLI_CONFIG", "/nowhere/p.toml")];
    let output = run(&["complete", "groups"], &env, "");
    assert_eq!((output.code, output.out.as_str(), output.err.as_str()), (Some(0), "", ""));
    let dir = tempfile::tempdir().unwrap();
    let offered = completed(dir.path(), "127.0.0.1:9", "papcast group show ");
    assert!(offered.contains(&"--json".to_owned()), "{offered:?}");
}

#[test]
fn a_tab_in_a_real_shell_completes_a_group() {
    let gateway = Gateway::start();
    gateway.http().bind("fleet", "alice");
    let settings = gateway.dir.path().join("bashrc");
    std::fs::write(&settings, papcast(&["completions", "bash"]).out + "PS1='READY>'\n").unwrap();
    let child = Command::new("script")
        .args(["-qec", &format!("bash --noprofile --rcfile {} -i", settings.display()), "/dev/null"])
        .env("PATH", format!("{}:/usr/bin:/bin", Path::new(PAPCAST).parent().unwrap().display()))
        .env("PAPCAST_GATEWAY", gateway.http.to_string())
        .env("INPUTRC", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return crate::common::skip("script (util-linux, bsdutils)") };
    let (sender, shown) = std::sync::mpsc::channel();
    let mut out = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        let mut some = [0; 1_024];
        while let Ok(read @ 1..) = out.read(&mut some) {
            let _ = sender.send(String::from_utf8_lossy(&some[..read]).into_owned());
        }
    });
    let mut all = String::new();
    let mut until = |what: &str, times: usize| {
        wait_for(what, || {
            all.extend(shown.try_iter());
            (all.matches(what).count() >= times).then_some(())
        });
    };
    let mut stdin = child.stdin.take().unwrap();
    until("READY>", 1);
    stdin.write_all(b"papcast group show fl\t").unwrap();
    until("fleet", 1);
    stdin.write_all(b"\n").unwrap();
    until("groups/fleet", 1);
    stdin.write_all(b"exit\n").unwrap();
    child.wait().unwrap();
}
