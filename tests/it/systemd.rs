//! What systemd hears (sd_notify(3)), by way of a socket of the test's own in place of systemd's.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Instant;

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{DEADLINE, Gateway, SILENCE, limit_files, wait_for};

/// The service manager's end.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    fn message(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("a message in time");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// The next message that is none of the watchdog's.
    fn news(&self) -> String {
        self.find(|message| message != "WATCHDOG=1\n")
    }

    fn beat(&self) {
        self.find(|message| message == "WATCHDOG=1\n");
    }

    fn find(&self, is_it: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let message = self.message();
            if is_it(&message) {
                return message;
            }
            assert!(begin.elapsed() < DEADLINE, "only others come: {message}");
        }
    }

    /// What has come is not looked at; nothing comes from now on.
    fn assert_silent(&self) {
        self.0.set_nonblocking(true).unwrap();
        while self.0.recv(&mut [0; 16]).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
        self.0.set_read_timeout(Some(SILENCE)).unwrap();
        assert!(self.0.recv(&mut [0; 16]).is_err(), "the gateway was said to live");
    }
}

/// A gateway whose manager waits `watchdog` microseconds for it.
fn start(watchdog: &str, env: &[(&str, &str)]) -> (tempfile::TempDir, Manager, Gateway) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager::at(&path);
    let ours = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", watchdog)];
    let gateway = Gateway::start_with("log.level = 'info'", &[&ours, env].concat());
    (dir, manager, gateway)
}

#[test]
fn ready_reload_and_stop_are_told() {
    let (_dir, manager, mut gateway) = start("", &[]);
    let ready = manager.message();
    assert!(ready.starts_with("READY=1\nSTATUS=listening on http"), "{ready}");
    assert!(ready.contains(&gateway.mqtt.to_string()), "{ready}");
    gateway.signal("HUP");
    let reloading = manager.message();
    let lines: Vec<&str> = reloading.lines().collect();
    assert_eq!(lines[0], "RELOADING=1");
    assert!(lines[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
    assert_eq!(manager.message(), "READY=1\nSTATUS=the configuration was read again\n");
    // A faulty file ends the reload, too: whoever waits for it is told why.
    std::fs::write(gateway.dir.path().join("broker.toml"), "nonsense = 1\n").unwrap();
    gateway.signal("HUP");
    assert!(manager.message().starts_with("RELOADING=1\n"));
    let failed = manager.message();
    assert!(failed.starts_with("READY=1\nSTATUS=the configuration could not be read again: "), "{failed}");
    assert!(failed.contains("nonsense") && failed.lines().count() == 2, "{failed}");
    assert_eq!(gateway.terminate().code(), Some(0));
    assert_eq!(manager.message(), "STOPPING=1\nSTATUS=stopping\n");
}

#[test]
fn the_watchdog_hears_a_gateway_that_lives_also_while_the_disk_is_full() {
    let (_dir, manager, gateway) = start("200000", &[]);
    assert!(manager.news().starts_with("READY=1\n"));
    manager.beat();
    let http = gateway.http();
    http.bind("news", "alice");
    limit_files(&gateway, "1024");
    let mut pushes = 0;
    wait_for("a push to be refused", || {
        pushes += 1;
        let push = Pap::new(&format!("p{pushes}")).to("group:news").text("hello");
        (http.pap(&push).pap_code() == 4001).then_some(())
    });
    for _ in 0..5 {
        manager.beat();
    }
    Raw::connect(gateway.mqtt, &Connect::v3("c", "u")).ping();
    gateway.signal("TERM");
    assert_eq!(manager.news(), "STOPPING=1\nSTATUS=stopping\n");
}

#[test]
fn the_watchdog_hears_nothing_of_a_gateway_whose_router_or_worker_hangs() {
    for (fault, words) in [
        ("router-hangs", "the embedded broker does not answer"),
        ("mqtt-worker-hangs", "an MQTT worker does not answer"),
    ] {
        let (_dir, manager, mut gateway) = start("200000", &[]);
        manager.beat();
        gateway.inject(fault);
        wait_for("the fault to be noticed", || gateway.log().contains(words).then_some(()));
        manager.assert_silent();
        gateway.kill();
    }
}

#[test]
fn the_watchdog_hears_nothing_of_a_runtime_that_hangs() {
    let (_dir, manager, mut gateway) = start("200000", &[("TOKIO_WORKER_THREADS", "1")]);
    manager.beat();
    // There is no answer to wait for.
    let mut request = std::net::TcpStream::connect(gateway.http).unwrap();
    let head = b"POST /debug/faults/runtime-hangs HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    std::io::Write::write_all(&mut request, head).unwrap();
    manager.0.set_read_timeout(Some(SILENCE)).unwrap();
    wait_for("the gateway to hang", || manager.0.recv(&mut [0; 16]).is_err().then_some(()));
    gateway.kill();
}

#[test]
fn an_abstract_socket_and_a_watchdog_that_means_another_process() {
    let name = format!("papcast-test-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let manager = Manager(socket);
    let env = [("NOTIFY_SOCKET", &*format!("@{name}")), ("WATCHDOG_USEC", "200000"), ("WATCHDOG_PID", "1")];
    let _gateway = Gateway::start_with("", &env);
    assert!(manager.message().starts_with("READY=1\n"));
    manager.assert_silent();
}

#[test]
fn a_manager_that_is_not_there_keeps_nobody_from_running() {
    let env = [("NOTIFY_SOCKET", "/nowhere/notify"), ("WATCHDOG_USEC", "200000")];
    let mut gateway = Gateway::start_with("", &env);
    assert_eq!(gateway.http().get("/healthz").status, 200);
    assert_eq!(gateway.terminate().code(), Some(0));
    assert!(gateway.log().contains("the service manager could not be told READY=1"), "{}", gateway.log());
}
