//! The conformance kit against our own gateway, where every case passes, and against gateways that fall silent, leave
//! operations out, or speak another version.

use crate::common::ppg::{self, Act, Ppg};
use crate::common::{Gateway, Output, papcast};

/// A gateway that serves the number of the kit and the group `kit`.
fn served(toml: &str) -> Gateway {
    let gateway = Gateway::start_with(toml, &[]);
    for user in ["tel:+15550100", "15550100", "absent"] {
        gateway.http().bind("kit", user);
    }
    gateway
}

fn check(url: &str, args: &[&str]) -> Output {
    papcast(&[&["pap-check", url], args].concat())
}

fn failed(output: &Output) -> Vec<&str> {
    output.out.lines().filter(|line| line.starts_with("FAILED")).collect()
}

/// The row of the table for all areas: passed, of, passed, of, skipped.
fn all(output: &Output) -> Vec<usize> {
    let row = output.out.lines().find(|line| line.starts_with("| all |")).unwrap_or_else(|| panic!("{output:?}"));
    row.split([' ', '|']).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn every_case_of_the_kit_passes_and_its_page_shows_the_table() {
    let gateway = served("");
    let output = check(&format!("http://{}/pap", gateway.http), &["--group", "kit", "--verbose"]);
    assert!(output.code == Some(0) && failed(&output).is_empty(), "{output:?}");
    let passed = output.out.lines().filter(|line| line.starts_with("passed")).count();
    assert!(passed >= 120, "{passed} cases");
    let table = &output.out[output.out.find("| area |").unwrap()..];
    let page = std::fs::read_to_string("docs/conformance.md").unwrap();
    assert!(page.contains(table.trim_end()), "the table in docs/conformance.md is not\n{table}");
}

#[test]
fn the_kit_had_no_word_for_the_profile_of_blackberry() {
    let gateway = served("");
    let url = format!("http://{}/mss/PD_pushRequest", gateway.http);
    let output = check(&url, &["--group", "kit", "--profile", "blackberry"]);
    assert!(output.code == Some(0) && failed(&output).is_empty(), "{output:?}");
    assert!(all(&output)[1] >= 170, "nearly every case is run: {output:?}");
    // Each profile is told from the other.
    assert_eq!(check(&url, &["--only", "http-202"]).code, Some(1));
    let spec = format!("http://{}/pap", gateway.http);
    assert_eq!(check(&spec, &["--only", "http-202", "--profile", "blackberry"]).code, Some(1));
}

#[test]
fn a_strict_endpoint_keeps_every_must() {
    let gateway = served("[pap.endpoints.\"/strict\"]\nprofile = \"spec\"\nstrict = true\n");
    let output = check(&format!("http://{}/strict", gateway.http), &["--group", "kit"]);
    let musts: Vec<_> = failed(&output).into_iter().filter(|line| line.contains(" MUST ")).collect();
    assert!(musts.is_empty() && output.code == Some(0), "{musts:#?}");
    assert!(output.out.contains("FAILED   SHOULD"), "nothing was tolerant");
}

#[test]
fn a_gateway_that_breaks_a_must_fails_the_kit() {
    let ppg = Ppg::start(ppg::accept);
    let output = check(&ppg.url, &["--only", "push-without-id", "--json"]);
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("cases failed that the specification demands"), "{output:?}");
    let first: serde_json::Value = serde_json::from_str(output.out.lines().next().unwrap()).unwrap();
    assert_eq!(first["outcome"], "failed");
    assert_eq!(
        first["why"],
        "expected badmessage-response with code 2000, came HTTP 202, push-response with code 1001 (\"accepted\")"
    );
}

#[test]
fn the_blank_that_kannel_writes_before_an_equals_sign_failed_nearly_every_case() {
    let ppg = Ppg::start(ppg::accept);
    let output = check(&ppg.url, &["--only", "qos-priority"]);
    assert_eq!((output.code, all(&output)), (Some(0), vec![3, 3, 0, 0, 0]), "{output:?}");
    // Simple initiators do look for the text: that is a case of its own.
    let output = check(&ppg.url, &["--only", "reply-simple-form"]);
    assert_eq!((output.code, all(&output)), (Some(0), vec![0, 0, 0, 1, 0]), "{output:?}");
}

#[test]
fn a_gateway_that_died_ended_the_run_without_a_table_and_without_the_name_of_the_case() {
    let ppg = Ppg::start(|request| if request.contains("<push-message>") { Act::Die } else { ppg::accept(request) });
    let output = check(&ppg.url, &["--only", "push-", "--wait", "1"]);
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("the gateway did not answer after push-without-id ("), "{output:?}");
    assert!(output.err.contains("did not come back within 1 seconds after push-without-id"), "{output:?}");
    assert!(output.out.contains("FAILED   MUST   push-without-id\n"), "{output:?}");
    assert!(output.out.contains("\n         came      no answer: "), "{output:?}");
    assert!(output.out.contains("\nnot run ") && all(&output)[1] > 10, "{output:?}");
}

#[test]
fn after_a_case_that_made_the_gateway_hang_every_later_case_failed() {
    let folder = tempfile::tempdir().unwrap();
    let restarted = folder.path().join("restarted");
    let command = format!("touch '{}'", restarted.display());
    let mut hangs = false;
    let ppg = Ppg::start(move |request| {
        if request.contains("<push-message>") {
            hangs = true;
            let _ = std::fs::remove_file(&restarted);
        }
        hangs &= !restarted.exists();
        if hangs { Act::Hang } else { ppg::accept(request) }
    });
    let output = check(&ppg.url, &["--only", "push-", "--case-limit", "1", "--restart", &command]);
    let silent = output.out.matches("came      no answer: nothing within 1 seconds").count();
    assert_eq!((output.code, silent), (Some(1), 1), "{output:?}");
    assert!(!output.out.contains("not run"), "{output:?}");
    assert!(output.err.contains("did not answer after push-without-id again"), "{output:?}");
}

#[test]
fn the_case_behind_the_one_that_stopped_the_gateway_was_blamed_for_it() {
    let mut stopped = false;
    let ppg = Ppg::start(move |request| {
        if std::mem::take(&mut stopped) {
            return Act::Close;
        }
        stopped = request.contains("priority=\"high\"");
        ppg::accept(request)
    });
    let output = check(&ppg.url, &["--only", "qos-priority"]);
    assert_eq!((output.code, all(&output)), (Some(0), vec![3, 3, 0, 0, 0]), "{output:?}");
    assert!(output.err.contains("qos-priority-medium is answered now"), "{output:?}");
}

#[test]
fn a_run_had_no_end_where_nothing_was_answered() {
    let mut requests = 0;
    let ppg = Ppg::start(move |request| {
        requests += 1;
        if requests > 4 { Act::Hang } else { ppg::accept(request) }
    });
    let output = check(&ppg.url, &["--case-limit", "1", "--run-limit", "2", "--wait", "600"]);
    assert_eq!(output.code, Some(1));
    assert!(output.out.contains("\nnot run ") && all(&output)[1] > 100, "{output:?}");
}

#[test]
fn where_no_gateway_answers_the_kit_says_so_and_runs_nothing() {
    let output = check("http://127.0.0.1:9/pap", &[]);
    assert_eq!((output.code, output.out.as_str()), (Some(5), ""));
    assert!(output.err.contains("no gateway answers at http://127.0.0.1:9/pap"), "{output:?}");
}

#[test]
fn a_case_could_not_be_left_out() {
    let ppg = Ppg::start(ppg::accept);
    let skip = ["--only", "qos-priority", "--skip", "qos-priority-high", "--skip", "qos-priority-low"];
    let output = check(&ppg.url, &skip);
    assert_eq!((output.code, all(&output)), (Some(0), vec![1, 1, 0, 0, 2]), "{output:?}");
    let output = check(&ppg.url, &["--skip", "qos-priority"]);
    assert!(output.code == Some(1) && output.err.contains("no case is called qos-priority\n"), "{output:?}");
}

#[test]
fn a_gateway_without_the_optional_operations_failed_cases_about_xml_and_push_ids() {
    // Says nothing of these operations, as Kannel does: how it says so is a case of its own, and the only one.
    let ppg = Ppg::start(|request| if ppg::is_push(request) { ppg::accept(request) } else { ppg::bad_message(2000) });
    let output = check(&ppg.url, &[]);
    let failed = failed(&output);
    for name in ["cancel-answer", "status-answer", "ccq-known-address"] {
        assert!(failed.iter().any(|line| line.ends_with(name)), "{name}: {output:?}");
    }
    for name in ["cancel-unknown-id", "d2-dots", "d2-found-again", "xml-leading-zeros", "http-202-for-cancel"] {
        assert!(!failed.iter().any(|line| line.ends_with(name)), "{name}: {output:?}");
    }
    for name in ["cancel", "status query", "capabilities query"] {
        assert!(output.out.contains(&format!("needs the operation {name}, which is optional")), "{output:?}");
    }
    assert!(all(&output)[4] > 60, "{output:?}");
}

#[test]
fn who_answers_that_an_operation_is_not_implemented_keeps_the_specification() {
    let ppg = Ppg::start(|request| {
        let id = request.split_once("push-id=\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
        match request {
            _ if request.contains("<cancel-message push-id=") => Act::Answer(format!(
                "<pap><cancel-response push-id='{id}'><cancel-result code='3001'/></cancel-response></pap>"
            )),
            _ if ppg::is_push(request) => ppg::accept(request),
            _ => ppg::bad_message(2000),
        }
    });
    let output = check(&ppg.url, &["--only", "cancel-"]);
    assert!(failed(&output).is_empty() && output.code == Some(0), "{output:?}");
    // Those that need a cancel that works are skipped, those about the answer are not.
    assert!(all(&output)[0] >= 5 && all(&output)[4] >= 4, "{output:?}");
}

#[test]
fn a_gateway_of_version_1_0_failed_everything() {
    let ppg = Ppg::start(|request| {
        let newer = request.contains("DTD PAP 2.") || request.contains("replace-push-id");
        if newer { ppg::bad_message(3002) } else { ppg::accept(request) }
    });
    let output = check(&ppg.url, &["--only", "qos-priority", "--pap", "1.0"]);
    assert_eq!((output.code, all(&output)), (Some(0), vec![3, 3, 0, 0, 0]), "{output:?}");
    let output = check(&ppg.url, &["--only", "replace-method-alone", "--pap", "1.0"]);
    assert_eq!((output.code, all(&output)), (Some(0), vec![0, 0, 0, 0, 1]), "{output:?}");
    assert_eq!(check(&ppg.url, &["--only", "qos-priority"]).code, Some(1));
    let gateway = served("");
    for version in ["1.0", "2.1"] {
        let output = check(&format!("http://{}/pap", gateway.http), &["--group", "kit", "--pap", version]);
        assert!(output.code == Some(0) && failed(&output).is_empty(), "{version}: {output:?}");
    }
}

#[test]
fn a_number_that_is_served_by_nobody_was_told_case_by_case() {
    let gateway = Gateway::start();
    let output = check(&format!("http://{}/pap", gateway.http), &["--only", "qos-priority", "--group", "kit"]);
    assert_eq!(output.code, Some(1));
    assert!(output.err.contains("the gateway does not serve the number +15550100"), "{output:?}");
    assert!(output.err.contains("papcast member add kit tel:+15550100"), "{output:?}");
    assert!(output.err.contains("the gateway does not serve the group kit"), "{output:?}");
}

#[test]
fn a_wrong_path_was_told_case_by_case() {
    let gateway = Gateway::start();
    let output = check(&format!("http://{}/wap", gateway.http), &["--only", "qos-priority"]);
    assert_eq!((output.code, all(&output)), (Some(1), vec![0, 3, 0, 0, 0]), "{output:?}");
    assert!(output.err.contains("is /wap the path of a PAP endpoint? HTTP 404"), "{output:?}");
}

#[test]
fn a_reader_that_had_seen_enough_was_shown_a_panic() {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Command, Stdio};
    let ppg = Ppg::start(ppg::accept);
    let mut child = Command::new(crate::common::PAPCAST)
        .args(["pap-check", &ppg.url, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(141), "{told}");
    assert!(!told.contains("panicked"), "{told}");
}
