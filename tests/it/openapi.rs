//! The description of the JSON API, from outside: that it is there, that it is true, and that people can read it.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::http::Client;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, repository, skip};

const REQUIRED: &str = "auth.mode = \"required\"\n";

#[test]
fn everybody_may_read_the_description_and_the_page_that_shows_it() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let document = gateway.http().get("/openapi.json");
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    assert_eq!(document.body, std::fs::read_to_string(repository().join("docs/openapi.json")).unwrap());
    let page = gateway.http().get("/api");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.body.contains("http://") && !page.body.contains("https://"), "nothing comes from elsewhere");
    for file in ["/api/api.js", "/api/api.css", "/openapi.json"] {
        assert!(page.body.contains(file) && gateway.http().get(file).status == 200, "{file}");
    }
}

/// Sends each of them without a token, with something in the place of each name.
#[test]
fn whatever_is_said_to_need_a_token_needs_one_and_nothing_else_does() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let document = gateway.http().get("/openapi.json").json();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let parts: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        for (method, operation) in item.as_object().unwrap() {
            let reply = gateway.http().send(&method.to_uppercase(), &parts.join("/"), "application/json", b"");
            let needs_one = operation.get("security").is_some();
            assert_eq!(reply.status == 401, needs_one, "{method} {path}: {reply:?}");
            assert!(operation["responses"].get(reply.status.to_string()).is_some(), "{method} {path}: {reply:?}");
            count += 1;
        }
    }
    assert!(count > 30, "the document was read");
}

/// Something of each kind, so that more is looked at than empty lists.
fn fill(http: &Client) {
    let put = |path: &str, body: &str| {
        let reply = http.send("PUT", path, "application/json", body.as_bytes());
        assert!(reply.status < 300, "{path}: {reply:?}");
    };
    put("/api/v1/groups/news", "");
    put("/api/v1/groups/letters", r#"{"policy":"approval"}"#);
    for user in ["alice", "bob"] {
        put(&format!("/api/v1/groups/news/members/{user}"), "");
        let request = json!({"op": "join", "user": user, "group": "letters"}).to_string();
        let reply = http.send("POST", "/api/v1/group-requests", "application/json", request.as_bytes());
        assert_eq!(reply.json()["status"], "pending", "{reply:?}");
    }
    for (push_id, to) in [("p-1", json!(["group:news"])), ("p-2", json!(["user:alice", "user:bob"]))] {
        let push = json!({"push_id": push_id, "to": to, "body": "Hello"}).to_string();
        let reply = http.send("POST", "/api/v1/pushes", "application/json", push.as_bytes());
        assert_eq!(reply.status, 202, "{reply:?}");
    }
}

/// Makes requests from the description and holds the answers against it, for so many seconds.
fn schemathesis(gateway: &Gateway, token: Option<&str>) {
    let version = Command::new("schemathesis").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("version 4.")) {
        return skip("schemathesis 4 (`pip install schemathesis`)");
    }
    let http = gateway.http();
    fill(&token.map_or(http, |token| http.bearer(token)));
    let mut command = Command::new("schemathesis");
    command
        .arg("--config-file")
        .arg(repository().join("tests/openapi/schemathesis.toml"))
        .args(["run", &format!("http://{}/openapi.json", gateway.http), "--max-time", "50", "--request-timeout", "20"])
        .current_dir(gateway.dir.path())
        .stdin(Stdio::null());
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test cases") || text.contains("Test cases"), "{text}");
    eprintln!("{text}");
}

#[test]
fn schemathesis_finds_no_answer_that_is_not_described_where_all_are_believed() {
    let gateway = Gateway::start();
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v3("c", "alice"));
    terminal.join("news");
    schemathesis(&gateway, None);
}

#[test]
fn schemathesis_finds_no_answer_that_is_not_described_with_the_token_of_an_operator() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let token = gateway.token("operator", "ann", &[]);
    schemathesis(&gateway, Some(&token));
}
