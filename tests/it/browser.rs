//! The console in a real browser: Chromium, led by Playwright. The steps are in tests/browser/console.mjs.

use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value};

use crate::common::{Gateway, repository, skip};

/// Pictures of the README; WRITE_SCREENSHOTS=1 makes them anew.
const SHOWN: [(&str, &str); 3] = [
    ("who-has-it", "console-push.png"),
    ("home-under-way", "console-home.png"),
    ("who-has-it-not-phone-dark", "console-phone.png"),
];

/// Debian calls it chromium.
const BROWSERS: [&str; 2] = ["/usr/bin/chromium", "/usr/bin/chromium-browser"];

/// Where npm has put what the script needs.
fn modules() -> Option<String> {
    let named = std::env::var("NODE_PATH").ok();
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci-node/node_modules").to_owned();
    let all = named.into_iter().flat_map(|paths| paths.split(':').map(ToOwned::to_owned).collect::<Vec<_>>());
    let has_all = |folder: &String| {
        ["playwright-core", "axe-core", "mqtt"].iter().all(|name| Path::new(folder).join(name).exists())
    };
    all.chain([here]).find(has_all)
}

#[test]
fn an_operator_uses_the_console_in_a_browser() {
    let browser = BROWSERS.into_iter().find(|path| Path::new(path).exists());
    let (Some(browser), Some(modules)) = (browser, modules()) else {
        return skip("Debian's chromium, and playwright-core, axe-core and mqtt from npm");
    };
    let gateway = Gateway::start_with("auth.mode = \"required\"\n", &[]);
    let mut tokens = Map::new();
    tokens.insert("ann".into(), gateway.token("operator", "ann", &[]).into());
    tokens.insert("vic".into(), gateway.token("operator", "vic", &["--role", "viewer"]).into());
    for user in ["pump-1", "pump-2", "pump-3", "grump", "absent", "late"] {
        tokens.insert(user.into(), gateway.token("device", user, &[]).into());
    }
    for number in 1..=40 {
        let user = format!("kiosk-{number:02}");
        tokens.insert(user.clone(), gateway.token("device", &user, &[]).into());
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    let output = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/console.mjs"))
        .env("CONSOLE", format!("http://{}", gateway.http))
        .env("MQTT", format!("mqtt://{}", gateway.mqtt))
        .env("TOKENS", Value::Object(tokens).to_string())
        .env("OUT", &out)
        .env("CHROMIUM", browser)
        .env("NODE_PATH", modules)
        .output()
        .unwrap();
    let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{why}\nscreenshots: {}", out.display());
    for (picture, shown) in SHOWN {
        let made = out.join(format!("{picture}.png"));
        assert!(made.is_file(), "{picture}");
        if std::env::var_os("WRITE_SCREENSHOTS").is_some() {
            std::fs::copy(made, repository().join("docs/images").join(shown)).unwrap();
        }
    }
}
