//! The client capabilities query.

use crate::common::http::Reply;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, wait_for};

fn ask(gateway: &Gateway, address: &str) -> Reply {
    let text = format!(
        "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\"><pap><ccq-message query-id=\"q1\" app-id=\"wml.ua\"><address address-value=\"{address}\"/></ccq-message></pap>"
    );
    gateway.http().send("POST", "/pap", "application/xml", text.as_bytes())
}

/// The two parts of the answer, split by hand.
fn parts(reply: &Reply) -> (String, String) {
    let kind = reply.header("content-type").unwrap();
    let boundary = kind.split("boundary=").nth(1).unwrap().split(';').next().unwrap();
    assert!(kind.starts_with("multipart/related;") && kind.ends_with("type=\"application/xml\""), "{kind}");
    let delimiter = format!("--{boundary}");
    let mut parts = reply.body.split(&delimiter).skip(1);
    let mut part = || {
        let text = parts.next().unwrap();
        text.strip_prefix("\r\nContent-Type: application/xml\r\n\r\n").unwrap().strip_suffix("\r\n").unwrap().to_owned()
    };
    let both = (part(), part());
    assert_eq!(parts.next(), Some("--\r\n"));
    both
}

#[test]
fn what_is_known_of_a_users_terminals_is_answered_as_rdf() {
    let mut gateway = Gateway::start();
    // A Receive Maximum of 7 and a Maximum Packet Size of 1,000 (MQTT 5 properties 0x21, 0x27).
    let mut connect = Connect::v5("phone", "sip:alice@example.com");
    connect.properties = vec![0x21, 0, 7, 0x27, 0, 0, 3, 0xE8];
    let mut phone = Raw::connect(gateway.mqtt, &connect);
    phone.join("news");
    let _tablet = Raw::connect(gateway.mqtt, &Connect::v3("tablet", "sip:alice@example.com"));
    let reply = ask(&gateway, "WAPPUSH=sip%3Aalice%40example.com/TYPE=USER@ppg");
    let (control, rdf) = parts(&reply);
    assert!(control.contains("<ccq-response query-id=\"q1\" code=\"1000\" desc=\"OK\"><address address-value=\"WAPPUSH=sip%3Aalice%40example.com/TYPE=USER@ppg\"/></ccq-response>"), "{control}");
    assert!(rdf.contains("<t:id>phone</t:id><t:connected>true</t:connected><t:protocol>mqtt5</t:protocol><t:receiveMaximum>7</t:receiveMaximum><t:maximumPacketSize>1000</t:maximumPacketSize><t:lastSeen>20"), "{rdf}");
    assert!(rdf.contains("<t:id>tablet</t:id><t:connected>true</t:connected><t:protocol>mqtt3.1.1</t:protocol><t:receiveMaximum>32</t:receiveMaximum><t:lastSeen>20"), "{rdf}");
    assert!(rdf.contains("<t:group>news</t:group>"), "{rdf}");
    // Away, and after a restart, it is still known.
    phone.disconnect();
    wait_for("the phone to be away", || {
        parts(&ask(&gateway, "sip:alice@example.com"))
            .1
            .contains("<t:id>phone</t:id><t:connected>false</t:connected>")
            .then_some(())
    });
    gateway.terminate();
    gateway.restart();
    let (_, rdf) = parts(&ask(&gateway, "sip:alice@example.com"));
    assert!(
        rdf.contains(
            "<t:id>phone</t:id><t:connected>false</t:connected><t:protocol>mqtt5</t:protocol><t:receiveMaximum>7<"
        ),
        "{rdf}"
    );
}

#[test]
fn a_user_that_was_never_connected_is_known_by_its_groups() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "tel:+15550102");
    for address in ["tel:+15550102", "15550102"] {
        let (response, rdf) = parts(&ask(&gateway, address));
        assert!(response.contains("code=\"1000\""), "{response}");
        assert!(rdf.contains(">news<"), "{rdf}");
    }
}

#[test]
fn where_nothing_is_known_the_answer_is_3008() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "carol");
    gateway.http().json("DELETE", "/api/v1/groups/news/members/carol", serde_json::Value::Null);
    for (address, code) in
        [("carol", 3008), ("nobody", 3008), ("group:news", 2002), ("WAPPUSH=1.2.3.4/TYPE=IPv4@ppg", 2002)]
    {
        let reply = ask(&gateway, address);
        assert_eq!((reply.status, reply.header("content-type")), (202, Some("application/xml")));
        assert_eq!(reply.pap_code(), code, "{reply:?}");
        assert!(reply.body.contains(&format!("<address address-value=\"{address}\"/></ccq-response>")), "{reply:?}");
    }
}

/// Clients that make up an ID for each connection filled the table of terminals until the retention.
#[test]
fn the_sixteen_terminals_seen_last_are_remembered_and_none_of_a_user_nobody_can_ask_about() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    for n in 0..20 {
        Raw::connect(gateway.mqtt, &Connect::v3(&format!("random{n}"), "alice")).disconnect();
        Raw::connect(gateway.mqtt, &Connect::v3(&format!("watcher{n}"), "passer-by")).disconnect();
    }
    let store = rusqlite::Connection::open(gateway.dir.path().join("papcast.db")).unwrap();
    store.busy_timeout(crate::common::DEADLINE).unwrap();
    let known = || -> (i64, i64, String) {
        let sql = "SELECT count(*), count(*) FILTER (WHERE user <> 'alice'), coalesce(max(client), '') FROM terminals";
        store.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    };
    wait_for("the last one to be noted", || {
        let (count, others, _) = known();
        assert!(count <= 16 && others == 0, "{count}, {others}");
        let last: bool = store
            .query_row("SELECT EXISTS (SELECT 1 FROM terminals WHERE client = 'random19')", [], |row| row.get(0))
            .unwrap();
        last.then_some(())
    });
    assert_eq!(known().0, 16);
}

#[test]
fn an_endpoint_without_doctype_had_one_in_what_it_tells_of_terminals() {
    let gateway = Gateway::start_with("[pap.endpoints.\"/plain\"]\nprofile = \"spec\"\ndoctype = false\n", &[]);
    let _phone = Raw::connect(gateway.mqtt, &Connect::v3("phone", "alice"));
    let body = "<pap><ccq-message><address address-value=\"alice\"/></ccq-message></pap>";
    let reply = gateway.http().send("POST", "/plain", "application/xml", body.as_bytes());
    assert!(reply.body.contains("code=\"1000\"") && reply.body.contains("rdf:RDF"), "{reply:?}");
    assert!(!reply.body.contains("DOCTYPE"), "{reply:?}");
}
