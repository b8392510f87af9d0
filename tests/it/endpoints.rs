//! PAP endpoints: profiles, strictness, how refusals look, and what an operator sees of bent requests.

use crate::common::Gateway;
use crate::common::http::{Pap, Reply};
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
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "papcast_pap_repairs_total{initiator=\"anonymous\",row=\"M1\"} 3",
        "papcast_pap_requests_total{operation=\"push-message\",code=\"1001\"} 3",
        "papcast_pap_requests_total{operation=\"unreadable\",code=\"2000\"} 1",
    ] {
        assert!(metrics.body.lines().any(|known| known == line), "{line} in\n{}", metrics.body);
    }
    assert_eq!(gateway.log().matches("a bent PAP request was straightened").count(), 1, "{}", gateway.log());
}

#[test]
fn what_a_request_may_have_is_configured() {
    let settings = "[pap]\nmax_depth = 4\nmax_attributes = 10\nmax_parts = 3\nmax_header_lines = 8\n";
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
    too_much("nested more than 4 deep", &push, &|body| {
        body.replace("<push-message", "<a><b><c><d><e/></d></c></b></a><push-message")
    });
    too_much("more than 3 parts", &push, &|body| {
        body.replace("--xyz--", "--xyz\r\nA: b\r\n\r\n\r\n--xyz\r\nA: b\r\n\r\n\r\n--xyz--")
    });
}
