//! TLS on both sides, with the clients that people have: openssl, curl, mosquitto.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::mqtt::{Connect, Raw};
use crate::common::{DEADLINE, Gateway, Lines, PAPCAST, papcast, skip, wait_for};

/// Certificates in a folder of their own.
pub(crate) struct Certificates(tempfile::TempDir);

impl Certificates {
    pub(crate) fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = papcast(&["tls", "self-signed", dir.path().join("c").to_str().unwrap(), "--json"]);
        assert_eq!(made.code, Some(0), "{made:?}");
        Self(dir)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.path().join("c").join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn settings(&self, more: &str) -> String {
        format!(
            "http.tls_listen = \"127.0.0.1:0\"\nmqtt.tls_listen = [\"127.0.0.1:0\", \"[::1]:0\"]\n\
             [tls]\ncert = {:?}\nkey = {:?}\n{more}",
            self.file("server.pem"),
            self.file("server-key.pem")
        )
    }
}

fn there(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skip(program);
    }
    found
}

/// `curl` with these certificates.
fn curl(gateway: &Gateway, certificates: &Certificates, path: &str, more: &[&str]) -> (bool, String) {
    let url = format!("https://localhost:{}{path}", gateway.address("https").port());
    let ca = certificates.file("ca.pem");
    let output = Command::new("curl")
        .args(["-sS", "--ipv4", "--max-time", "60", "--cacert", &ca])
        .args(more)
        .arg(url)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// The serial of the certificate that a listener shows, by `openssl s_client`, and what the handshake said.
fn shown(at: std::net::SocketAddr, more: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &at.to_string()])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn pushes_travel_over_tls_from_end_to_end() {
    if !there("curl", "--version") || !there("mosquitto_sub", "--help") {
        return;
    }
    let certificates = Certificates::make();
    let gateway = Gateway::start_with(&certificates.settings(""), &[]);
    let port = gateway.address("mqtts").port().to_string();
    let mut child = Command::new("stdbuf")
        .args(["-oL", "mosquitto_sub", "-d", "-h", "localhost", "-p", &port, "--cafile", &certificates.file("ca.pem")])
        .args(["-V", "5", "-u", "alice", "-t", "groups/news", "-q", "1"])
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    while !lines.next().starts_with("Subscribed") {}
    // Larger than what is encrypted ahead, and than a record.
    let body = "x".repeat(300_000);
    let json =
        serde_json::json!({"to": ["group:news"], "body": body, "push_id": "p1", "delivery": "confirmed"}).to_string();
    let file = gateway.dir.path().join("push.json");
    std::fs::write(&file, json).unwrap();
    let data = format!("@{}", file.display());
    let (done, said) = curl(&gateway, &certificates, "/api/v1/pushes", &["--data-binary", &data]);
    assert!(done && said.contains("1001"), "{said}");
    loop {
        let line = lines.next();
        if !line.starts_with("Client ") {
            assert_eq!(line.len(), body.len());
            break;
        }
    }
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
    child.kill().unwrap();
    child.wait().unwrap();
    // Who does not know the authority does not come in, and who speaks no TLS gets no answer.
    let (done, said) = curl(&gateway, &certificates, "/healthz", &["--cacert", "/dev/null"]);
    assert!(!done, "{said}");
    let mut plain = TcpStream::connect(gateway.address("mqtts")).unwrap();
    plain.set_read_timeout(Some(DEADLINE)).unwrap();
    plain.write_all(&Connect::v5("c", "bob").bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(answer.len() < 16 && !answer.starts_with(&[0x20]), "a TLS alert at most: {answer:?}");
    // The plain listener is there as before.
    Raw::connect(gateway.mqtt, &Connect::v5("c", "bob")).disconnect();
}

#[test]
fn only_tls_1_2_and_1_3_are_spoken() {
    if !there("openssl", "version") {
        return;
    }
    let certificates = Certificates::make();
    let gateway = Gateway::start_with(&certificates.settings(""), &[]);
    for at in [gateway.address("mqtts"), gateway.address("https")] {
        for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let said = shown(at, &[version, "-CAfile", &certificates.file("ca.pem")]);
            assert!(said.contains(&format!("New, {name}")) && said.contains("Verify return code: 0 (ok)"), "{said}");
        }
        let said = shown(at, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!said.contains("New, TLSv1.1"), "{said}");
    }
}

#[test]
fn certificates_of_clients_are_asked_for_where_that_is_set() {
    if !there("curl", "--version") || !there("mosquitto_pub", "--help") {
        return;
    }
    let (certificates, others) = (Certificates::make(), Certificates::make());
    for (client_auth, without) in [("required", false), ("optional", true)] {
        let more = format!("client_ca = {:?}\nclient_auth = {client_auth:?}\n", certificates.file("ca.pem"));
        let gateway = Gateway::start_with(&certificates.settings(&more), &[]);
        let with = |of: &Certificates| {
            let (cert, key) = (of.file("client.pem"), of.file("client-key.pem"));
            curl(&gateway, &certificates, "/healthz", &["--cert", &cert, "--key", &key]).0
        };
        assert!(with(&certificates), "{client_auth}");
        assert!(!with(&others), "another authority's, {client_auth}");
        assert_eq!(curl(&gateway, &certificates, "/healthz", &[]).0, without, "{client_auth}");
        let publish = |more: &[&str]| {
            let port = gateway.address("mqtts").port().to_string();
            let ca = certificates.file("ca.pem");
            let args =
                ["-h", "localhost", "-p", &port, "--cafile", &ca, "-u", "a", "-t", "$push/join/x", "-n", "-q", "1"];
            Command::new("mosquitto_pub").args(args).args(more).stderr(Stdio::null()).status().unwrap().success()
        };
        let (cert, key) = (certificates.file("client.pem"), certificates.file("client-key.pem"));
        assert!(publish(&["--cert", &cert, "--key", &key]), "{client_auth}");
        assert_eq!(publish(&[]), without, "{client_auth}");
    }
}

#[test]
fn a_new_certificate_is_shown_after_a_hangup_and_a_faulty_one_is_not() {
    if !there("openssl", "version") {
        return;
    }
    let (certificates, fresh) = (Certificates::make(), Certificates::make());
    let gateway = Gateway::start_with(&certificates.settings(""), &[]);
    let at = gateway.address("mqtts");
    let verified_by =
        |ca: &Certificates| shown(at, &["-CAfile", &ca.file("ca.pem")]).contains("Verify return code: 0 (ok)");
    assert!(verified_by(&certificates) && !verified_by(&fresh));
    let copy = |from: &str, to: &str| std::fs::copy(from, to).unwrap();
    std::fs::write(certificates.file("server.pem"), "no certificate").unwrap();
    gateway.signal("HUP");
    wait_for("the complaint", || gateway.log().contains("nothing was read again").then_some(()));
    assert!(gateway.log().contains("server.pem"), "it says which file: {}", gateway.log());
    assert!(verified_by(&certificates));
    copy(&fresh.file("server.pem"), &certificates.file("server.pem"));
    copy(&fresh.file("server-key.pem"), &certificates.file("server-key.pem"));
    gateway.signal("HUP");
    wait_for("the new one", || verified_by(&fresh).then_some(()));
    Raw::connect(gateway.mqtt, &Connect::v5("c", "bob")).disconnect();
}

#[test]
fn whoever_never_ends_a_handshake_is_sent_away() {
    let certificates = Certificates::make();
    let settings =
        format!("mqtt.connect_timeout = \"1s\"\nhttp.header_timeout = \"1s\"\n{}", certificates.settings(""));
    let gateway = Gateway::start_with(&settings, &[]);
    for at in [gateway.address("mqtts"), gateway.address("https")] {
        let mut slow: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(at).unwrap()).collect();
        for stream in &mut slow {
            // The beginning of a ClientHello that never ends.
            stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
        }
        for mut stream in slow {
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
    }
    Raw::connect(gateway.mqtt, &Connect::v5("c", "bob")).disconnect();
}

#[test]
fn faulty_settings_say_which_file_and_what_is_wrong_with_it() {
    let certificates = Certificates::make();
    let check = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("b.toml"), text).unwrap();
        let output = Command::new(PAPCAST)
            .args(["serve", "--config", "b.toml"])
            .env("PAPCAST_HTTP__LISTEN", "127.0.0.1:0")
            .env("PAPCAST_MQTT__LISTEN", "127.0.0.1:0")
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = check("mqtt.tls_listen = \"127.0.0.1:0\"\n");
    assert!(said.contains("mqtt.tls_listen") && said.contains("tls.cert and tls.key"), "{said}");
    let said = check("[tls]\ncert = \"/nowhere/c.pem\"\nkey = \"k.pem\"\n");
    assert!(said.contains("tls.cert: /nowhere/c.pem: "), "{said}");
    let (cert, key) = (certificates.file("client.pem"), certificates.file("server-key.pem"));
    let said = check(&format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n"));
    assert!(said.contains("do not go together"), "{said}");
    let again = papcast(&["tls", "self-signed", Path::new(&cert).parent().unwrap().to_str().unwrap()]);
    assert_eq!(again.code, Some(1), "nothing is written over: {again:?}");
}

#[test]
fn notifications_and_commands_go_over_https() {
    let (certificates, others) = (Certificates::make(), Certificates::make());
    // The receiver is a gateway, too: it answers 202 to whatever PAP it gets.
    let receiver = Gateway::start_with(&certificates.settings(""), &[]);
    let url = format!("https://localhost:{}/pap", receiver.address("https").port());
    for (ca, trusted) in [(&certificates, true), (&others, false)] {
        let settings = format!("[notify]\nallow_private = true\nca = {:?}\n", ca.file("ca.pem"));
        let gateway = Gateway::start_with(&settings, &[]);
        gateway.http().json("PUT", "/api/v1/groups/empty", serde_json::Value::Null);
        let push = serde_json::json!({"to": ["group:empty"], "body": "x", "push_id": "p1", "notify_url": url});
        assert_eq!(gateway.http().json("POST", "/api/v1/pushes", push).status, 202);
        wait_for("the notification", || {
            let notification = gateway.http().outcome("p1")["notification"].clone();
            let told = notification["failure"].as_str().is_some_and(|failure| failure.starts_with("no TLS: "));
            (if trusted { notification.is_null() } else { told }).then_some(())
        });
    }
    let at = url.trim_end_matches("/pap");
    let list = |ca: &Certificates| papcast(&["group", "list", "--json", "--gateway", at, "--ca", &ca.file("ca.pem")]);
    assert_eq!((list(&certificates).code, list(&certificates).out.trim()), (Some(0), r#"{"items":[],"next":null}"#));
    let refused = list(&others);
    assert!(refused.code == Some(1) && refused.err.contains("no TLS with https://localhost"), "{refused:?}");
}

#[test]
fn a_certificate_says_who_its_client_is() {
    if !there("curl", "--version") || !there("mosquitto_pub", "--help") {
        return;
    }
    let certificates = Certificates::make();
    let more = format!(
        "client_ca = {:?}\nclient_auth = \"optional\"\nclient_name = \"common_name\"\n[auth]\nmode = \"required\"\n",
        certificates.file("ca.pem")
    );
    let gateway = Gateway::start_with(&certificates.settings(&more), &[]);
    let (cert, key) = (certificates.file("client.pem"), certificates.file("client-key.pem"));
    let publish = |more: &[&str]| {
        let port = gateway.address("mqtts").port().to_string();
        let ca = certificates.file("ca.pem");
        let args = ["-h", "localhost", "-p", &port, "--cafile", &ca, "-t", "$push/join/news", "-n", "-q", "1"];
        Command::new("mosquitto_pub").args(args).args(more).stderr(Stdio::null()).status().unwrap().success()
    };
    let shows = ["--cert", &cert, "--key", &key];
    let run = |args: &[&str]| {
        let output = Command::new(PAPCAST)
            .args(args)
            .args(["--config", "broker.toml"])
            .current_dir(gateway.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    // It stands for the token of somebody who was added, and for nobody else.
    assert!(!publish(&shows));
    assert!(curl(&gateway, &certificates, "/api/v1/pushes", &shows).1.contains("\"status\":401"));
    run(&["device", "add", "alice"]);
    assert!(curl(&gateway, &certificates, "/api/v1/pushes", &shows).1.contains("\"status\":401"), "no initiator");
    run(&["initiator", "add", "alice"]);
    // It is alice's; with another name it is nobody's, and without it there is no token.
    assert!(publish(&shows) && publish(&[&shows[..], &["-u", "alice"]].concat()));
    assert!(!publish(&[&shows[..], &["-u", "bob"]].concat()));
    assert!(!publish(&["-u", "alice"]));
    // Over HTTP it is an initiator of that name.
    let (done, said) = curl(
        &gateway,
        &certificates,
        "/api/v1/pushes",
        &[&shows[..], &["-d", r#"{"to":["group:news"],"body":"x"}"#]].concat(),
    );
    assert!(done && said.contains("1001"), "{said}");
    let (_, said) = curl(&gateway, &certificates, "/api/v1/pushes", &shows);
    assert!(said.contains("\"initiator\":\"alice\""), "{said}");
    let (_, said) = curl(&gateway, &certificates, "/api/v1/groups", &shows);
    assert!(said.contains("\"status\":403"), "{said}");
    let (_, said) = curl(&gateway, &certificates, "/api/v1/pushes", &[]);
    assert!(said.contains("\"status\":401"), "{said}");
    run(&["device", "remove", "alice"]);
    assert!(!publish(&shows), "removed");
}
