//! JSON Web Tokens as passwords of devices: signed by openssl, and by nobody.

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, now_seconds, skip, wait_for};

/// MQTT 5.0 §3.2.2.2 and §3.14.2.1.
const BAD_PASSWORD: u8 = 0x86;
const MAXIMUM_CONNECT_TIME: u8 = 0xA0;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn openssl(dir: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).current_dir(dir).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn has_openssl() -> bool {
    let there = Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok();
    if !there {
        skip("openssl");
    }
    there
}

/// The text that is signed.
fn unsigned(algorithm: &str, user: &str, exp: i64) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    let claims = format!(r#"{{"sub":"{user}","exp":{exp}}}"#);
    format!("{}.{}", BASE64.encode(header), BASE64.encode(claims))
}

fn hs256(dir: &Path, user: &str, exp: i64) -> String {
    let text = unsigned("HS256", user, exp);
    std::fs::write(dir.join("text"), &text).unwrap();
    let mac = openssl(dir, &["dgst", "-sha256", "-hmac", SECRET, "-binary", "text"]);
    format!("{text}.{}", BASE64.encode(mac))
}

/// ECDSA as JWS has it (RFC 7518 §3.4): both numbers with 32 bytes each, where openssl writes DER.
fn of_der(der: &[u8]) -> Vec<u8> {
    let number = |at: usize| {
        let length = usize::from(der[at + 1]);
        let digits = &der[at + 2..at + 2 + length];
        let digits = &digits[digits.iter().take_while(|digit| **digit == 0).count()..];
        ([&vec![0; 32 - digits.len()][..], digits].concat(), at + 2 + length)
    };
    let (r, next) = number(2);
    [r, number(next).0].concat()
}

fn refused(gateway: &Gateway, user: &str, token: &str) -> u8 {
    Raw::try_connect(gateway.mqtt, &Connect::v5("c", user).password(token)).2
}

/// Required, with keys of each kind in the gateway's own folder.
fn start(keys: &str) -> (Gateway, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), SECRET).unwrap();
    for (name, args) in [
        ("rsa", &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa"][..]),
        ("ec", &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "ec"]),
        ("ed", &["genpkey", "-algorithm", "ED25519", "-out", "ed"]),
    ] {
        openssl(dir.path(), args);
        openssl(dir.path(), &["pkey", "-in", name, "-pubout", "-out", &format!("{name}.pem")]);
    }
    let keys = keys.replace("DIR", dir.path().to_str().unwrap());
    let gateway = Gateway::start_with(&format!("auth.mode = \"required\"\n[jwt]\n{keys}"), &[]);
    (gateway, dir)
}

const ALL: &str =
    "secret = \"DIR/secret\"\nkeys = [\"DIR/rsa.pem\", \"DIR/ec.pem\", \"DIR/ed.pem\"]\nleeway = \"0s\"\n";

#[test]
fn tokens_of_every_algorithm_sign_a_device_in_and_forged_ones_do_not() {
    if !has_openssl() {
        return;
    }
    let (gateway, dir) = start(ALL);
    let dir = dir.path();
    let exp = now_seconds() + 3_600;
    let user = "sip:alice@example.com";
    let mut tokens = vec![hs256(dir, user, exp)];
    for (algorithm, key) in [("RS256", "rsa"), ("ES256", "ec")] {
        let text = unsigned(algorithm, user, exp);
        std::fs::write(dir.join("text"), &text).unwrap();
        let signature = openssl(dir, &["dgst", "-sha256", "-sign", key, "-binary", "text"]);
        let signature = if key == "ec" { of_der(&signature) } else { signature };
        tokens.push(format!("{text}.{}", BASE64.encode(signature)));
    }
    let text = unsigned("EdDSA", user, exp);
    std::fs::write(dir.join("text"), &text).unwrap();
    let signature = openssl(dir, &["pkeyutl", "-sign", "-inkey", "ed", "-rawin", "-in", "text"]);
    tokens.push(format!("{text}.{}", BASE64.encode(signature)));
    for (at, token) in tokens.iter().enumerate() {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("c", user).password(token));
        raw.join(&format!("news-{at}"));
        raw.disconnect();
        // 3.1.1 has the same words.
        Raw::connect(gateway.mqtt, &Connect::v3("c", user).password(token)).disconnect();
        assert_eq!(refused(&gateway, "bob", token), BAD_PASSWORD, "another one's");
        let last = token.rfind('.').unwrap();
        let forged = format!("{}.{}", token[..last].replace('J', "K"), &token[last + 1..]);
        assert_eq!(refused(&gateway, user, &forged), BAD_PASSWORD);
    }
    // The public key as a secret: whoever believed the header would take it.
    let text = unsigned("HS256", user, exp);
    std::fs::write(dir.join("text"), &text).unwrap();
    let public = std::fs::read_to_string(dir.join("rsa.pem")).unwrap();
    let mac = openssl(dir, &["dgst", "-sha256", "-hmac", public.trim(), "-binary", "text"]);
    assert_eq!(refused(&gateway, user, &format!("{text}.{}", BASE64.encode(mac))), BAD_PASSWORD);
    assert_eq!(refused(&gateway, user, &format!("{}.", unsigned("none", user, exp))), BAD_PASSWORD);
    // The same over HTTP.
    let list = serde_json::json!({"op": "list"});
    let over_http = gateway.http().bearer(&tokens[0]).json("POST", "/api/v1/group-requests", list.clone());
    assert_eq!(over_http.json()["user"], user, "{over_http:?}");
    let http = gateway.http().basic("bob", &tokens[0]);
    assert_eq!(http.json("POST", "/api/v1/group-requests", list).status, 401);
    // Tokens are in no log.
    let log = gateway.log();
    assert!(tokens.iter().all(|token| !log.contains(&token[..60])), "{log}");
    assert!(log.contains("the signature of the JWT"), "{log}");
}

#[test]
fn a_connection_ends_when_its_token_expires() {
    if !has_openssl() {
        return;
    }
    let (gateway, dir) = start(ALL);
    let brief = hs256(dir.path(), "alice", now_seconds() + 3);
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("c", "alice").password(&brief));
    raw.ping();
    assert_eq!(raw.wait_closed(), Some(MAXIMUM_CONNECT_TIME));
    assert_eq!(refused(&gateway, "alice", &brief), BAD_PASSWORD);
    wait_for("a line in the log", || gateway.log().contains("the JWT has expired").then_some(()));
}

#[test]
fn keys_are_read_again_and_a_client_id_is_the_user_where_that_is_set() {
    if !has_openssl() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let other = "another secret of thirty-two and more bytes";
    std::fs::write(dir.path().join("secret"), other).unwrap();
    let settings = format!(
        "auth.mode = \"required\"\nmqtt.user_id = \"client_id\"\njwt.secret = {:?}\n",
        dir.path().join("secret")
    );
    let gateway = Gateway::start_with(&settings, &[]);
    let token = hs256(dir.path(), "meter-1", now_seconds() + 3_600);
    let connect = Connect::v5("meter-1", "whatever").password(&token);
    assert_eq!(Raw::try_connect(gateway.mqtt, &connect).2, BAD_PASSWORD);
    std::fs::write(dir.path().join("secret"), SECRET).unwrap();
    gateway.signal("HUP");
    let mut raw = wait_for("the new key", || Raw::connect_if_there(gateway.mqtt, &connect));
    raw.join("meters");
    let other = Connect::v5("meter-2", "meter-1").password(&token);
    assert_eq!(Raw::try_connect(gateway.mqtt, &other).2, BAD_PASSWORD);
    // A faulty file changes nothing, and is told.
    std::fs::write(dir.path().join("secret"), "short").unwrap();
    gateway.signal("HUP");
    wait_for("a line in the log", || gateway.log().contains("32 bytes at least").then_some(()));
    raw.disconnect();
    Raw::connect(gateway.mqtt, &connect);
}

/// Whoever has a stolen key gives himself an `exp` of his own: only to take the key away helps.
#[test]
fn a_key_that_was_taken_away_kept_the_connections_it_had_let_in() {
    if !has_openssl() {
        return;
    }
    let (gateway, dir) = start(ALL);
    let token = hs256(dir.path(), "alice", now_seconds() + 1_000_000);
    let mut stolen = Raw::connect(gateway.mqtt, &Connect::v5("c", "alice").password(&token));
    stolen.ping();
    // Another key is changed, and nobody minds.
    openssl(dir.path(), &["genpkey", "-algorithm", "ED25519", "-out", "ed"]);
    openssl(dir.path(), &["pkey", "-in", "ed", "-pubout", "-out", "ed.pem"]);
    gateway.signal("HUP");
    wait_for("the reload", || gateway.log().contains("read again").then_some(()));
    stolen.ping();
    std::fs::write(dir.path().join("secret"), "x".repeat(40)).unwrap();
    gateway.signal("HUP");
    // Not authorized.
    assert_eq!(stolen.wait_closed(), Some(0x87));
    assert_eq!(refused(&gateway, "alice", &token), BAD_PASSWORD);
}

#[test]
fn a_device_came_in_as_nobody_under_the_name_of_an_operator() {
    if !has_openssl() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), SECRET).unwrap();
    let settings = format!(
        "auth.mode = \"required\"\nmqtt.user_id = \"client_id\"\njwt.secret = {:?}\n",
        dir.path().join("secret")
    );
    let gateway = Gateway::start_with(&settings, &[]);
    let token = hs256(dir.path(), "ann", now_seconds() + 3_600);
    let connect = Connect::v5("ann", "$operator/ann").password(&token);
    assert_eq!(Raw::try_connect(gateway.mqtt, &connect).2, BAD_PASSWORD);
    Raw::connect(gateway.mqtt, &Connect::v5("ann", "whatever").password(&token));
}

/// While its token could be had again, its session waits; the session of a device that was removed does not.
#[test]
fn the_client_id_of_a_removed_device_stayed_blocked_where_others_sign_in_with_jwt() {
    if !has_openssl() {
        return;
    }
    let (gateway, dir) = start(ALL);
    let command = |args: &[&str]| {
        let output = Command::new(crate::common::PAPCAST)
            .args(args)
            .args(["--json", "--config", "broker.toml"])
            .current_dir(gateway.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let alice = command(&["device", "add", "alice"])["token"].as_str().unwrap().to_owned();
    let bob = hs256(dir.path(), "bob", now_seconds() + 3_600);
    let lasting = |client, user, token: &str| {
        Raw::try_connect(gateway.mqtt, &Connect::v5(client, user).password(token).lasting()).2
    };
    assert_eq!(lasting("meter-7", "alice", &alice), 0);
    wait_for("alice to be gone", || (lasting("meter-7", "bob", &bob) == 0x85).then_some(()));
    command(&["device", "remove", "alice"]);
    wait_for("her client id", || (lasting("meter-7", "bob", &bob) == 0).then_some(()));
    let carol = hs256(dir.path(), "carol", now_seconds() + 3_600);
    assert_eq!(lasting("meter-7", "carol", &carol), 0x85, "bob may come back");
}
