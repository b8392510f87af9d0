//! What tokens and TLS cost: a fleet that reconnects at once with and without tokens, memory of an idle TLS connection, and CPU
//! per delivery over TLS against mosquitto's over TLS, in the same run.
//!
//! ```text
//! cargo bench --bench security [-- reconnect memory fanout]
//! ```
//!
//! Needs Debian's `mosquitto` and about 21,000 file descriptors. CPU is the process's own user and system time as the kernel
//! counts it; the ratios are what to look at.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;
mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::mqtt::{Connect, Raw, packet, text};
use common::{DEADLINE, Gateway, PAPCAST};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::{cpu, median, resident};

fn main() {
    // `cargo test --benches` only asks whether it runs.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    rlimit::increase_nofile_limit(30_000).unwrap();
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|one| one == name);
    if wanted("reconnect") {
        reconnect(10_000, 3);
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("tls");
    let made = Command::new(PAPCAST).args(["tls", "self-signed"]).arg(&folder).stdout(Stdio::null()).status();
    assert!(made.unwrap().success());
    if wanted("memory") {
        memory(&folder, 2_000);
    }
    if wanted("fanout") {
        fan_out(&folder, 500, 200, 5);
    }
}

/// All devices at once; each waits for its CONNACK.
fn storm(at: SocketAddr, tokens: &[(String, String)]) -> (Duration, Vec<Raw>) {
    let begin = Instant::now();
    let threads: Vec<_> = tokens
        .chunks(tokens.len().div_ceil(8))
        .map(|part| {
            let part = part.to_vec();
            std::thread::spawn(move || {
                let mut waiting: Vec<Raw> = part.iter().map(|_| Raw::open(at)).collect();
                for (raw, (user, token)) in waiting.iter_mut().zip(&part) {
                    raw.send(&Connect::v3(user, user).password(token).bytes());
                }
                for raw in &mut waiting {
                    assert_eq!(raw.packet().body, [0, 0]);
                }
                waiting
            })
        })
        .collect();
    let all = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    (begin.elapsed(), all)
}

fn reconnect(devices: usize, rounds: usize) {
    let secure = Gateway::start_with("auth.mode = \"required\"\n", &[]);
    let open = Gateway::start();
    let names: Vec<String> = (0..devices).map(|number| format!("device-{number}")).collect();
    std::fs::write(secure.dir.path().join("names"), names.join("\n")).unwrap();
    let made = Command::new(PAPCAST)
        .args(["device", "add", "--file", "names", "--config", "broker.toml"])
        .current_dir(secure.dir.path())
        .output()
        .unwrap();
    let csv = String::from_utf8(made.stdout).unwrap();
    let tokens: Vec<(String, String)> =
        csv.lines().skip(1).map(|line| line.split_once(',').unwrap()).map(|(a, b)| (a.into(), b.into())).collect();
    assert_eq!(tokens.len(), devices);
    let (mut times, mut spent) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let one = |gateway: &Gateway| {
            let before = cpu(gateway.pid());
            let (time, all) = storm(gateway.mqtt, &tokens);
            let spent = cpu(gateway.pid()) - before;
            drop(all);
            let open_files = || std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count();
            common::wait_for("them to be gone", || (open_files() < 1_000).then_some(()));
            (time.as_secs_f64(), spent.as_secs_f64())
        };
        let ((with_time, with_cpu), (without_time, without_cpu)) = (one(&secure), one(&open));
        println!(
            "reconnect: {with_time:.2} s with tokens, {without_time:.2} s open; CPU {with_cpu:.2} s and {without_cpu:.2} s"
        );
        times.push(with_time / without_time);
        spent.push(with_cpu / without_cpu);
    }
    println!(
        "reconnect: {devices} devices, time {:.2} and CPU {:.2} times those of open mode",
        median(times),
        median(spent)
    );
}

fn trust(folder: &std::path::Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A connected client over TLS, with this subscription if there is one.
fn secure(at: SocketAddr, trust: &Arc<ClientConfig>, name: &str, filter: Option<&str>) -> Secure {
    let tcp = TcpStream::connect(at).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let session = ClientConnection::new(Arc::clone(trust), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(session, tcp);
    stream.write_all(&Connect::v3(name, name).bytes()).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    if let Some(filter) = filter {
        let body = [&[0, 1][..], &text(filter), &[0]].concat();
        stream.write_all(&packet(0x82, &body)).unwrap();
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).unwrap();
    }
    stream
}

fn settings(folder: &std::path::Path) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    format!(
        "mqtt.tls_listen = \"127.0.0.1:0\"\ntls.cert = {:?}\ntls.key = {:?}\n",
        file("server.pem"),
        file("server-key.pem")
    )
}

fn memory(folder: &std::path::Path, count: usize) {
    let trust = trust(folder);
    let mut costs = [0.0; 2];
    for (cost, is_secure) in costs.iter_mut().zip([false, true]) {
        let gateway = Gateway::start_with(&settings(folder), &[]);
        let name = |number: usize| format!("m{number}");
        let before = resident(gateway.pid());
        let mut plain = Vec::new();
        let mut over_tls = Vec::new();
        for number in 0..count {
            if is_secure {
                over_tls.push(secure(gateway.address("mqtts"), &trust, &name(number), None));
            } else {
                plain.push(Raw::connect(gateway.mqtt, &Connect::v3(&name(number), &name(number))));
            }
        }
        std::thread::sleep(Duration::from_secs(3));
        *cost = (resident(gateway.pid()) - before) as f64 / count as f64;
    }
    let [plain, over_tls] = costs;
    println!(
        "memory: {plain:.1} KiB for an idle connection, {over_tls:.1} KiB with TLS: {:.1} KiB more",
        over_tls - plain
    );
}

struct Mosquitto {
    child: Child,
    at: SocketAddr,
    plain: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Mosquitto {
    fn start(folder: &std::path::Path) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (at, plain) = (free(), free());
        let file = |name: &str| folder.join(name).display().to_string();
        let text = format!(
            "allow_anonymous true\nuser root\nlog_dest none\nlistener {} 127.0.0.1\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\n",
            plain.port(),
            at.port(),
            file("ca.pem"),
            file("server.pem"),
            file("server-key.pem")
        );
        let config = dir.path().join("mosquitto.conf");
        std::fs::write(&config, text).unwrap();
        let name =
            if std::path::Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let child = Command::new(name).arg("-c").arg(config).stderr(Stdio::null()).spawn().ok()?;
        common::wait_for("mosquitto", || TcpStream::connect(at).ok());
        Some(Self { child, at, plain, _dir: dir })
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TEXT: &str = "a push message of ordinary length: 64 bytes, give or take a few.";

/// One message at a time to all; the next when everybody has it.
fn fan_out(folder: &std::path::Path, subscribers: usize, messages: usize, rounds: usize) {
    let Some(peer) = Mosquitto::start(folder) else { return println!("fan-out: mosquitto is not installed") };
    let gateway = Gateway::start_with(&settings(folder), &[]);
    let trust = trust(folder);
    let connect = |at: SocketAddr| -> Vec<Secure> {
        (0..subscribers).map(|number| secure(at, &trust, &format!("f{number}"), Some("groups/fan"))).collect()
    };
    let (mut ours, mut theirs) = (connect(gateway.address("mqtts")), connect(peer.at));
    let mut publisher = Raw::connect(peer.plain, &Connect::v3("publisher", "publisher"));
    let length = packet(0x30, &[&text("groups/fan")[..], TEXT.as_bytes()].concat()).len();
    let take = |all: &mut Vec<Secure>| {
        let mut frame = vec![0; length];
        for stream in all {
            stream.read_exact(&mut frame).unwrap();
        }
    };
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let before = cpu(gateway.pid());
        for number in 0..messages {
            let push = serde_json::json!({"to": ["group:fan"], "body": TEXT, "push_id": format!("{round}-{number}"), "delivery": "unconfirmed"});
            assert_eq!(gateway.http().json("POST", "/api/v1/pushes", push).status, 202);
            take(&mut ours);
        }
        let our = cpu(gateway.pid()) - before;
        let before = cpu(peer.child.id());
        for _ in 0..messages {
            publisher.publish("groups/fan", 0, TEXT.as_bytes());
            take(&mut theirs);
        }
        let their = cpu(peer.child.id()) - before;
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / (subscribers * messages) as f64;
        println!("fan-out over TLS: {:.2} µs each here, {:.2} µs with mosquitto", each(our), each(their));
        ratios.push(our.as_secs_f64() / their.as_secs_f64());
    }
    println!("fan-out over TLS: {:.2} times mosquitto's CPU per delivery", median(ratios));
}
