//! PAP endpoints: profiles, strictness, how refusals look, and what an operator sees of bent requests.

use crate::common::Gateway;
use crate::common::http::{Pap, Reply};
use crate::common::initiator::Initiator;
use crate::common::mqtt::{Connect, Raw};

const ENDPOINTS: &str = "[pap.endpoints]\n\"/strict\" = { profile = \"spec\", strict = true }\n\"/bare\" = { profile = \"spec\", doctype = false, errors_as_badmessage = true }\n\"/mild\" = { profile = \"blackberry\", errors_as_badmessage = false }\n";

const MULTIPART: &str = "multipart/related; boundary=\"xyz\"; type=\"application/xml\"";

fn post(gateway: &Gateway, path: &str, pap: &Pap) -> Reply {
    gateway.http().send("POST", path, MULTIPART, pap.body().as_bytes())
}

#[test]
fn a_strict_endpoint_repairs_nothing_and_promises_no_bearer() {
    let gateway = Gateway::start_with(ENDPOINTS, &[]);
    gateway.http().bind("news", "alice");
    let bent = |id: &str| {
        let body =
            Pap::new(id).to("group:news").body().replace("push-message push-id", "push-message custome=\"1\" push-id");
        body.replace("\r\n", "\n")
    };
    let tolerant = gateway.http().send("POST", "/pap", MULTIPART, bent("p1").as_bytes());
    assert_eq!(tolerant.pap_code(), 1001);
    let strict = gateway.http().send("POST", "/strict", MULTIPART, bent("p2").as_bytes());
    assert!(strict.body.contains("<badmessage-response code=\"2000\""), "{strict:?}");
    let good = Pap::new("p3").to("WAPPUSH=news/TYPE=GROUP@ppg");
    assert_eq!(post(&gateway, "/strict", &good).pap_code(), 1001);
    for (attribute, code) in [("network", 3009), ("bearer", 3010)] {
        let asked = |id: &str| {
            let quality =
                format!("<quality-of-service {attribute}=\"SMS\" {attribute}-required=\"true\"/></push-message>");
            Pap::new(id).to("WAPPUSH=news/TYPE=GROUP@ppg").body().replace("</push-message>", &quality)
        };
        let reply = gateway.http().send("POST", "/strict", MULTIPART, asked(attribute).as_bytes());
        assert_eq!(reply.pap_code(), code, "{reply:?}");
        let reply = gateway.http().send("POST", "/pap", MULTIPART, asked(attribute).as_bytes());
        assert_eq!(reply.pap_code(), 1001, "noted and ignored where nobody is strict");
    }
}

#[test]
fn refusals_look_as_the_initiators_of_a_profile_expect_them() {
    let gateway = Gateway::start_with(ENDPOINTS, &[]);
    let unknown = Pap::new("p1").to("group:nobody");
    for (path, status, root) in [
        ("/pap", 202, "<push-response push-id=\"p1\""),
        ("/mss/PD_pushRequest", 200, "<badmessage-response code=\"2002\""),
        ("/mild", 200, "<push-response push-id=\"p1\""),
        ("/bare", 202, "<badmessage-response code=\"2002\""),
    ] {
        let reply = post(&gateway, path, &unknown);
        assert_eq!(reply.status, status);
        assert!(reply.body.contains(&format!("<pap>{root}")), "{path}: {reply:?}");
        assert_eq!(reply.pap_code(), 2002);
        assert!(reply.body.contains("desc=\"not a known group or user: group:nobody"), "{reply:?}");
        assert_eq!(reply.body.contains("<!DOCTYPE"), path != "/bare", "{reply:?}");
    }
}

#[test]
fn the_application_id_is_taken_from_the_head_of_the_request_where_the_part_has_none() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    let send = |pap: &Pap| {
        let body = pap.body();
        let head = format!(
            "POST /pap HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-WAP-Application-Id: /\r\nContent-Type: {MULTIPART}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(gateway.http().raw(format!("{head}{body}").as_bytes()).pap_code(), 1001);
    };
    send(&Pap::new("p1").to("group:news"));
    assert_eq!(alice.push().user_property("x-wap-application-id").as_deref(), Some("/"));
    send(&Pap::new("p2").to("group:news").header("X-Wap-Application-Id", "mms.ua"));
    assert_eq!(alice.push().user_property("x-wap-application-id").as_deref(), Some("mms.ua"));
}

#[test]
fn progress_notes_come_before_the_result_and_only_when_asked() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let asked = Pap::new("p1").to("group:news").attribute("progress-notes-requested", "true");
    let reply = gateway.http().pap(&asked);
    assert_eq!(reply.pap_code(), 1001, "nothing before it looks like a code: {reply:?}");
    let received = reply.body.find("><progress-note stage=\"received\"").unwrap();
    let stored = reply.body.find("/><progress-note stage=\"stored\" note=\"the push is on disk\" time=\"20").unwrap();
    let result = reply.body.find("/><response-result code=\"1001\"").unwrap();
    assert!(received < stored && stored < result, "{reply:?}");
    assert!(!gateway.http().pap(&Pap::new("p2").to("group:news")).body.contains("progress-note"));
    let refused = Pap::new("p3").to("group:other").attribute("progress-notes-requested", "true");
    assert!(!gateway.http().pap(&refused).body.contains("progress-note"));
}

#[test]
fn what_is_repaired_is_counted_and_logged_once() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    for n in 0..3 {
        let body = Pap::new(&format!("p{n}")).to("group:news").body().replace("\r\n", "\n");
        assert_eq!(gateway.http().send("POST", "/pap", MULTIPART, body.as_bytes()).pap_code(), 1001);
    }
    gateway.http().send("POST", "/pap", "application/xml", b"<pap/>");
    let metrics = gateway.http().get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let open = gateway.http().raw(
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n",
    );
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.body.ends_with("# EOF\n"), "{open:?}");
    for line in [
        "papcast_pap_repairs_total{initiator=\"anonymous\",row=\"M1\"} 3",
        "papcast_submissions_total{interface=\"pap\",operation=\"push-message\",code=\"1001\"} 3",
        "papcast_submissions_total{interface=\"pap\",operation=\"unreadable\",code=\"2000\"} 1",
    ] {
        assert!(metrics.body.lines().any(|known| known == line), "{line} in\n{}", metrics.body);
    }
    // The other one is of the document that could not be read in the end: it had no DOCTYPE.
    assert_eq!(gateway.log().matches("a malformed PAP request was accepted").count(), 2, "{}", gateway.log());
    assert!(metrics.body.contains("papcast_pap_repairs_total{initiator=\"anonymous\",row=\"X1\"} 1"), "{metrics:?}");
    let unknown = Pap::new("p9").to("group:news").attribute("custome", "1");
    assert_eq!(post(&gateway, "/pap", &unknown).pap_code(), 1001);
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("row=\"X4\"")).unwrap();
    for told in ["initiator=\"anonymous\"", "remote=127.0.0.1", "endpoint=\"/pap\"", "unknown=[\"custome\"]"] {
        assert!(line.contains(told), "{told} in {line}");
    }
}

#[test]
fn a_body_over_two_megabytes_was_refused_whatever_the_limit() {
    let limits = "[http]\nmax_body = 8_000_000\n[push]\nmax_content = 6_000_000\n[mqtt]\nmax_packet = 8_000_000\n";
    let gateway = Gateway::start_with(limits, &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    let text = "x".repeat(5_000_000);
    assert_eq!(gateway.http().pap(&Pap::new("large").to("group:news").text(&text)).pap_code(), 1001);
    assert_eq!(alice.push().payload.len(), text.len());
    let reply = gateway.http().pap(&Pap::new("larger").to("group:news").text(&"x".repeat(9_000_000)));
    assert_eq!(reply.status, 413);
    assert!(reply.body.contains("http.max_body"), "{reply:?}");
}

#[test]
fn what_only_gateway_and_initiator_may_know_reached_the_terminals() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    let secret = ["Keep-Alive", "Proxy-Authenticate", "Set-Cookie", "Host", "X-Kannel-DLR-Url", "Address", "Push-ID"];
    let pap = secret.iter().fold(Pap::new("p1").to("group:news"), |pap, name| pap.header(name, "secret"));
    let pap = pap.header("X-Wap-Content-URI", "http://x/").header("ETag", "1");
    assert_eq!(gateway.http().pap(&pap).pap_code(), 1001);
    let push = alice.push();
    for name in secret {
        assert_ne!(push.user_property(&name.to_lowercase()).as_deref(), Some("secret"), "{name}");
    }
    for (name, value) in [("push-id", "p1"), ("x-wap-content-uri", "http://x/"), ("etag", "1")] {
        assert_eq!(push.user_property(name).as_deref(), Some(value));
    }
}

#[test]
fn what_follows_a_submission_has_its_public_identifier_and_knows_its_versions() {
    let gateway = Gateway::start_with(&format!("{ENDPOINTS}[notify]\nallow_private = true\n"), &[]);
    gateway.http().json("PUT", "/api/v1/groups/empty", serde_json::Value::Null);
    let initiator = Initiator::start();
    let asked = |id: &str| Pap::new(id).to("group:empty").attribute("ppg-notify-requested-to", &initiator.url).body();
    let oma = asked("p1").replace("WAPFORUM//DTD PAP 2.0", "OMA//DTD PAP 2.1").replace("pap_2.0", "pap_2.1");
    let knows_more = asked("p2")
        .replace("DTD PAP 2.0", "DTD PAP 1.0")
        .replace("/pap_2.0.dtd\"", "/pap_1.0.dtd\" [<?wap-pap-ver supported-versions=\"2.0,1.0\"?>]");
    for (path, body, said) in [
        ("/pap", oma, Some("\"-//OMA//DTD PAP 2.1//EN\"")),
        ("/pap", knows_more, Some("pap_1.0.dtd\" [<?wap-pap-ver")),
        ("/bare", asked("p3"), None),
    ] {
        let answer = gateway.http().send("POST", path, MULTIPART, body.as_bytes());
        assert_eq!(answer.pap_code(), 1001, "{answer:?}");
        for told in [answer.body, initiator.next().body] {
            match said {
                Some(said) => assert!(told.contains(said), "{said} in {told}"),
                None => assert!(!told.contains("DOCTYPE"), "{told}"),
            }
        }
    }
}

#[test]
fn a_bent_address_means_what_is_known() {
    let gateway = Gateway::start_with(ENDPOINTS, &[]);
    for user in ["tel:+15550101", "alice", "bob@corp.example", "2100000A", "carol:100", "carol"] {
        gateway.http().bind("news", user);
    }
    for (id, address, user) in [
        ("p1", "15550101", "tel:+15550101"),
        ("p2", "WAPPUSH=15550101@ppg", "tel:+15550101"),
        ("p3", "WAPPUSH=alice%3a100/TYPE=USER@rim.net", "alice"),
        ("p4", "bob@corp.example:7874", "bob@corp.example"),
        ("p5", "2100000A:100", "2100000A"),
        ("p6", "carol:100", "carol:100"),
    ] {
        assert_eq!(gateway.http().pap(&Pap::new(id).to(address)).pap_code(), 1001, "{address}");
        let listed = gateway.http().get(&format!("/api/v1/pushes/{id}/recipients")).json();
        assert_eq!(listed["recipients"][0]["user"], user, "{address}");
    }
    assert_eq!(post(&gateway, "/strict", &Pap::new("p7").to("2100000A:100")).pap_code(), 2002);
    assert_eq!(gateway.http().pap(&Pap::new("p8").to("nobody:100")).pap_code(), 2002);
}

#[test]
fn what_a_request_may_have_is_configured() {
    let settings = "[pap]\nmax_depth = 4\nmax_attributes = 10\nmax_parts = 3\nmax_header_lines = 8\nmax_value = 256\nmax_header_line = 256\n";
    let gateway = Gateway::start_with(settings, &[]);
    gateway.http().bind("news", "alice");
    assert_eq!(gateway.http().pap(&Pap::new("p1").to("group:news")).pap_code(), 1001);
    let too_much = |what: &str, pap: &Pap, change: &dyn Fn(String) -> String| {
        let reply = gateway.http().send("POST", "/pap", MULTIPART, change(pap.body()).as_bytes());
        assert_eq!(reply.pap_code(), 2000, "{reply:?}");
        assert!(reply.body.contains(what), "{what}: {reply:?}");
    };
    let push = Pap::new("p2").to("group:news");
    let attributes = (0..10).fold(push.clone(), |push, n| push.attribute(&format!("a{n}"), "x"));
    let headers = (0..9).fold(push.clone(), |push, n| push.header(&format!("X-{n}"), "x"));
    too_much("more than 10 attributes", &attributes, &|body| body);
    too_much("more than 8 headers", &headers, &|body| body);
    too_much("longer than 256 bytes", &push.clone().attribute("source-reference", &"x".repeat(257)), &|body| body);
    too_much("longer than 256 bytes", &push.clone().header("X-Long", &"x".repeat(257)), &|body| body);
    too_much("nested more than 4 deep", &push, &|body| {
        body.replace("<push-message", "<a><b><c><d/></c></b></a><push-message")
    });
    too_much("more than 3 parts", &push, &|body| {
        body.replace("--xyz--", "--xyz\r\nA: b\r\n\r\n\r\n--xyz\r\nA: b\r\n\r\n\r\n--xyz--")
    });
}
