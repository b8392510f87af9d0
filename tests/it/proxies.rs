//! Behind proxies: the PROXY protocol, and nginx as one that ends TLS.

use std::process::{Child, Command, Stdio};

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{DEADLINE, Gateway, Lines, repository, skip, wait_for};
use crate::tls::Certificates;

const BEHIND: &str = "[http]\nproxy_protocol_from = \"127.0.0.1\"\n[mqtt]\nproxy_protocol_from = [\"127.0.0.0/8\"]\n";

/// As HAProxy writes it (PROXY protocol §2.2): TCP over IPv4, from 192.0.2.7:54321.
fn version_2() -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C"[..], &[192, 0, 2, 7, 10, 0, 0, 1, 0xD4, 0x31, 0x07, 0x5B]].concat()
}

fn remote(raw: &mut Raw, gateway: &Gateway, user: &str) -> String {
    raw.ping();
    let request = format!("GET /api/v1/users/{user} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let reply = gateway.http().raw(&[&version_2(), request.as_bytes()].concat());
    reply.json()["connections"][0]["remote"].as_str().unwrap().to_owned()
}

fn connect(gateway: &Gateway, header: &[u8], user: &str) -> Raw {
    let mut raw = Raw::open(gateway.mqtt);
    raw.send(&[header, &Connect::v3(user, user).bytes()].concat());
    assert_eq!(raw.packet().first, 0x20);
    raw
}

#[test]
fn the_address_of_a_client_is_the_one_that_its_proxy_says() {
    let gateway = Gateway::start_with(BEHIND, &[]);
    let mut first = connect(&gateway, b"PROXY TCP4 198.51.100.7 10.0.0.1 40000 1883\r\n", "alice");
    assert_eq!(remote(&mut first, &gateway, "alice"), "198.51.100.7:40000");
    let mut second = connect(&gateway, &version_2(), "bob");
    assert_eq!(remote(&mut second, &gateway, "bob"), "192.0.2.7:54321");
    let mut third = connect(&gateway, b"PROXY UNKNOWN\r\n", "carol");
    assert!(remote(&mut third, &gateway, "carol").starts_with("127.0.0.1:"), "the proxy itself");
    // A header in two pieces.
    let mut slow = Raw::open(gateway.mqtt);
    slow.send(b"PROXY TCP6 2001:db8::7");
    first.ping();
    slow.send(&[&b" ::1 40000 1883\r\n"[..], &Connect::v3("dave", "dave").bytes()].concat());
    assert_eq!(slow.packet().first, 0x20);
    assert_eq!(remote(&mut slow, &gateway, "dave"), "[2001:db8::7]:40000");
}

#[test]
fn limits_count_the_addresses_behind_a_proxy_and_not_the_proxy() {
    let settings = BEHIND.to_owned() + "max_connections_per_address = 1\n";
    let gateway = Gateway::start_with(&settings, &[]);
    let _first = connect(&gateway, b"PROXY TCP4 198.51.100.7 10.0.0.1 1 1883\r\n", "alice");
    let _second = connect(&gateway, b"PROXY TCP4 198.51.100.8 10.0.0.1 1 1883\r\n", "bob");
    let mut third = Raw::open(gateway.mqtt);
    third.send(&[&b"PROXY TCP4 198.51.100.7 10.0.0.1 2 1883\r\n"[..], &Connect::v3("c", "c").bytes()].concat());
    assert_eq!(third.try_packet(DEADLINE), None);
}

#[test]
fn whoever_has_to_say_where_he_is_from_and_does_not_is_closed() {
    let gateway = Gateway::start_with(&(BEHIND.to_owned() + "connect_timeout = \"200ms\"\n"), &[]);
    let mut raw = Raw::open(gateway.mqtt);
    raw.send(&Connect::v3("a", "a").bytes());
    assert_eq!(raw.try_packet(DEADLINE), None);
    assert_eq!(Raw::open(gateway.mqtt).try_packet(DEADLINE), None, "nor is waited for for ever");
    wait_for("a line in the log", || gateway.log().contains("does not begin with a PROXY header").then_some(()));
    // And who may not say it is not believed: to MQTT and HTTP it is nonsense.
    let open = Gateway::start();
    let mut raw = Raw::open(open.mqtt);
    raw.send(&[&version_2(), &Connect::v3("a", "a").bytes()[..]].concat());
    assert_eq!(raw.try_packet(DEADLINE), None);
    let request = b"PROXY TCP4 198.51.100.7 10.0.0.1 1 80\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(open.http().raw(request).status, 400);
}

/// nginx with the configuration of the documentation, on free ports and with certificates to try.
struct Nginx {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nginx() -> Option<std::path::PathBuf> {
    let found = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| std::path::Path::new(path).exists());
    if found.is_none() {
        skip("nginx");
    }
    found.map(Into::into)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start_nginx(program: &std::path::Path, gateway: &Gateway, certificates: &Certificates) -> Nginx {
    let dir = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(repository().join("docs/nginx.conf")).unwrap();
    let port = free_port();
    let text = page
        .replace("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"))
        .replace("/etc/ssl/gateway.pem", &certificates.file("server.pem"))
        .replace("/etc/ssl/gateway-key.pem", &certificates.file("server-key.pem"))
        .replace("127.0.0.1:8080", &gateway.http.to_string())
        .replace("/run/nginx.pid", dir.path().join("pid").to_str().unwrap())
        .replace("/var/log/nginx/", &format!("{}/", dir.path().display()))
        .replace("events {}", "events {}\nworker_processes 1;");
    let own = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let own: String = own.map(|of| format!("    {of}_temp_path {}/{of};\n", dir.path().display())).concat();
    let text = text.replace("http {\n", &format!("http {{\n{own}"));
    std::fs::write(dir.path().join("nginx.conf"), text).unwrap();
    let child = Command::new(program)
        .args(["-p", dir.path().to_str().unwrap(), "-c", "nginx.conf", "-g", "daemon off; master_process off;"])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.path().join("stderr")).unwrap())
        .spawn()
        .unwrap();
    wait_for("nginx", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    Nginx { child, port, _dir: dir }
}

#[test]
fn nginx_ends_tls_before_pap_and_websocket() {
    let Some(program) = nginx() else { return };
    if !crate::websocket::has_mqtt_js() {
        return;
    }
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("curl");
    }
    let certificates = Certificates::make();
    let gateway = Gateway::start_with("auth.mode = \"required\"\n", &[]);
    let (device, initiator) = (gateway.token("device", "alice", &[]), gateway.token("initiator", "press", &[]));
    let nginx = start_nginx(&program, &gateway, &certificates);
    let code = r#"
const [url, ca, password] = process.argv.slice(1);
const client = require('mqtt').connect(url, { username: 'alice', password, ca: require('fs').readFileSync(ca) });
client.on('connect', () => console.log('connected'));
client.on('message', (topic, body) => console.log(body.toString()));
client.on('error', (error) => console.log(String(error)));
"#;
    let mut terminal = Command::new("node")
        .args(["-e", code, &format!("wss://localhost:{}/mqtt", nginx.port), &certificates.file("ca.pem"), &device])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(terminal.stdout.take().unwrap());
    assert_eq!(lines.next(), "connected");
    // A PAP push through nginx, and the sender that notifications would name is the one outside.
    let pap = Pap::new("p1").to("user:alice").text("through nginx").body();
    let output = Command::new("curl")
        .args(["-sS", "--ipv4", "--max-time", "60", "--cacert", &certificates.file("ca.pem")])
        .args(["-u", &format!("press:{initiator}")])
        .args(["-H", "Content-Type: multipart/related; boundary=xyz; type=\"application/xml\"", "--data-binary", &pap])
        .arg(format!("https://localhost:{}/pap", nginx.port))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("code=\"1001\""), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(lines.next(), "through nginx");
    terminal.kill().unwrap();
    terminal.wait().unwrap();
}
