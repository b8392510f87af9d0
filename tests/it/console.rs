//! The console: signing in with a token, and what a page of somebody else can do with it, which is nothing.

use serde_json::{Value, json};

use crate::common::http::Reply;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, PAPCAST};
use crate::tls::Certificates;

const REQUIRED: &str = "auth.mode = \"required\"\n";

/// A request with these header lines.
fn ask(gateway: &Gateway, method: &str, path: &str, headers: &str, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        gateway.http,
        body.len()
    );
    gateway.http().raw(&[head.as_bytes(), body.as_bytes()].concat())
}

/// Signs in; answers the Cookie line and the second secret.
fn sign_in(gateway: &Gateway, token: &str) -> (String, String) {
    let reply = ask(gateway, "POST", "/console/session", "", &json!({"token": token}));
    assert_eq!(reply.status, 200, "{reply:?}");
    let cookie = reply.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "it would not come back without TLS: {cookie}");
    let pair = cookie.split(';').next().unwrap();
    (format!("Cookie: other=1; {pair}\r\n"), reply.json()["csrf"].as_str().unwrap().to_owned())
}

#[test]
fn an_operator_signs_in_with_a_token_and_out_again() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let ann = gateway.token("operator", "ann", &[]);
    // Whoever is not signed in is sent to where he can, and from there back.
    let away = gateway.http().get("/console/pushes?state=pending");
    let place = away.header("location").unwrap_or_default().to_owned();
    assert_eq!((away.status, place.as_str()), (303, "/console/sign-in?next=%2Fconsole%2Fpushes%3Fstate%3Dpending"));
    let page = gateway.http().get(&place);
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{page:?}");
    for file in ["/console/console.js", "/console/console.css"] {
        assert!(page.body.contains(file) && gateway.http().get(file).status == 200, "{file}");
    }
    let stranger = gateway.http().get("/console/session");
    assert_eq!((stranger.status, stranger.header("www-authenticate").is_some()), (401, true));
    // A browser would ask for name and password by itself, and keep them.
    let script = ask(&gateway, "GET", "/console/session", "X-Requested-With: papcast-console\r\n", &Value::Null);
    assert_eq!((script.status, script.header("www-authenticate")), (401, None));
    let wrong = ask(&gateway, "POST", "/console/session", "", &json!({"token": "guess"}));
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let (cookie, csrf) = sign_in(&gateway, &ann);
    let me = ask(&gateway, "GET", "/console/session", &cookie, &Value::Null);
    assert_eq!(me.json(), json!({"operator": "ann", "role": "operator", "csrf": csrf}));
    assert_eq!(ask(&gateway, "GET", "/api/v1/groups", &cookie, &Value::Null).status, 200);
    let with = format!("{cookie}X-CSRF-Token: {csrf}\r\n");
    assert_eq!(ask(&gateway, "PUT", "/api/v1/groups/news", &with, &Value::Null).status, 201);
    // Signed out: the cookie is nothing any more.
    assert_eq!(ask(&gateway, "DELETE", "/console/session", &with, &Value::Null).status, 204);
    assert_eq!(ask(&gateway, "GET", "/api/v1/groups", &cookie, &Value::Null).status, 401);
    // Nor is one whose token is taken away.
    let (cookie, _) = sign_in(&gateway, &ann);
    token_less(&gateway, &["operator", "remove", "ann"]);
    assert_eq!(ask(&gateway, "GET", "/api/v1/groups", &cookie, &Value::Null).status, 401);
    assert_eq!(ask(&gateway, "GET", "/console", &cookie, &Value::Null).status, 303);
    assert!(!gateway.log().contains(&ann));
}

fn token_less(gateway: &Gateway, args: &[&str]) {
    let output = std::process::Command::new(PAPCAST)
        .args(args)
        .args(["--config", "broker.toml"])
        .current_dir(gateway.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_page_of_another_site_changes_nothing_with_the_cookie_of_an_operator() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let ann = gateway.token("operator", "ann", &[]);
    let vic = gateway.token("operator", "vic", &["--role", "viewer"]);
    let (cookie, csrf) = sign_in(&gateway, &ann);
    for (more, why) in [
        (String::new(), "without the second secret"),
        ("X-CSRF-Token: guess\r\n".into(), "with another one"),
        (format!("X-CSRF-Token: {csrf}\r\nOrigin: https://evil.example\r\n"), "from another page"),
        (format!("X-CSRF-Token: {csrf}\r\nOrigin: null\r\n"), "from a page that says nothing"),
    ] {
        let reply = ask(&gateway, "PUT", "/api/v1/groups/news", &format!("{cookie}{more}"), &Value::Null);
        assert_eq!(reply.status, 403, "{why}: {reply:?}");
    }
    // To sign somebody in from elsewhere is refused as well.
    let elsewhere =
        ask(&gateway, "POST", "/console/session", "Origin: https://evil.example\r\n", &json!({"token": ann}));
    assert_eq!((elsewhere.status, elsewhere.header("set-cookie")), (403, None));
    let own = format!("{cookie}X-CSRF-Token: {csrf}\r\nOrigin: http://{}\r\n", gateway.http);
    assert_eq!(ask(&gateway, "PUT", "/api/v1/groups/news", &own, &Value::Null).status, 201);
    // A viewer's session is a viewer's, and a device has none.
    let (cookie, csrf) = sign_in(&gateway, &vic);
    let with = format!("{cookie}X-CSRF-Token: {csrf}\r\n");
    assert_eq!(ask(&gateway, "GET", "/api/v1/groups", &cookie, &Value::Null).status, 200);
    assert_eq!(ask(&gateway, "PUT", "/api/v1/groups/more", &with, &Value::Null).status, 403);
    let device = gateway.token("device", "alice", &[]);
    assert_eq!(ask(&gateway, "POST", "/console/session", "", &json!({"token": device})).status, 403);
}

/// A name may have anything in it that markup has.
#[test]
fn pages_show_names_as_text_and_link_to_them() {
    let gateway = Gateway::start();
    let (group, user) = ("<b>\"&'x/y", "<script>alert(1)</script>");
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    gateway.http().bind(group, user);
    let push = json!({"to": [format!("group:{group}")], "body": "<i>", "push_id": "<p>\"1"});
    assert_eq!(ask(&gateway, "POST", "/api/v1/pushes", "", &push).status, 202);
    let paths = [
        "/console".to_owned(),
        "/console/pushes".into(),
        format!("/console/pushes/{}?initiator=anonymous", encode("<p>\"1")),
        format!("/console/pushes/{}/bar?initiator=anonymous", encode("<p>\"1")),
        "/console/groups?search=%3Cb".into(),
        format!("/console/groups/{}", encode(group)),
        format!("/console/groups/{}?at=2999-01-01T00:00:00Z", encode(group)),
        "/console/devices".into(),
        format!("/console/devices/{}", encode(user)),
        format!("/console/send?to={}", encode("<b>")),
        format!("/console/live?user={}", encode("\"<b>")),
        "/console/operations?settings=all".into(),
        "/console/attention".into(),
    ];
    for path in &paths {
        let page = gateway.http().get(path);
        assert_eq!(page.status, 200, "{path}: {page:?}");
        assert!(page.header("content-security-policy").unwrap().contains("script-src 'self'"), "{path}");
        for markup in ["<b>\"", "<script>alert", "<i>", "<p>\"1", " style=", " onclick="] {
            assert!(!page.body.contains(markup), "{path}: {markup}");
        }
    }
    assert!(
        gateway
            .http()
            .get("/console/devices")
            .body
            .contains("href=\"/console/devices/%3Cscript%3Ealert%281%29%3C%2Fscript%3E\"")
    );
    // What is not there is said on a page.
    let missing = gateway.http().get("/console/groups/none");
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains("there is no group") && missing.body.contains("<nav"), "{missing:?}");
}

#[test]
fn replacing_for_the_rest_promised_it_to_everybody() {
    let gateway = Gateway::start();
    let mut mute = Raw::connect(gateway.mqtt, &Connect::v3("m", "mute"));
    mute.join("news");
    let mut good = Raw::connect(gateway.mqtt, &Connect::v3("g", "good"));
    good.join("news");
    for absent in ["a", "b"] {
        gateway.http().bind("news", absent);
    }
    gateway.http().push("old", "group:news", "x");
    mute.publish_in();
    good.push();
    gateway.http().wait_outcome("old", "pending", "1 of 4");
    let page = gateway.http().get("/console/send?replace=old").body;
    for words in ["2 members wait for the old one", "under way to 1 member, who will keep it", ">Send to 2<"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // It is as the page says.
    let new = json!({"to": ["group:news"], "body": "y", "push_id": "new", "replace_push_id": "old", "replace_method": "pending-only"});
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", new).status, 202);
    assert_eq!(gateway.http().outcome("new")["recipients"], 2);
}

#[test]
fn the_shell_line_of_a_push_of_somebody_else_asked_for_ones_own() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let (ann, press) = (gateway.token("operator", "ann", &[]), gateway.token("initiator", "press", &[]));
    gateway.http().bearer(&ann).bind("news", "alice");
    let push = json!({"to": ["group:news"], "body": "x", "push_id": "p1"});
    assert_eq!(gateway.http().bearer(&press).json("POST", "/api/v1/pushes", push).status, 202);
    let page = gateway.http().bearer(&ann).get("/console/pushes/p1?initiator=press&show=never-connected");
    let line = "papcast who p1 --reason never-connected --initiator press --gateway";
    assert!(page.body.contains(line) && !page.body.contains("papcast status"), "{page:?}");
    let args = ["who", "p1", "--reason", "never-connected", "--initiator", "press", "--token", &ann, "--gateway"];
    let said = crate::common::papcast(&[&args[..], &[&gateway.http.to_string()]].concat());
    assert!(said.out.contains("alice"), "{said:?}");
}

#[test]
fn what_a_page_shows_a_viewer_may_see_and_a_device_may_not() {
    let gateway = Gateway::start_with(REQUIRED, &[]);
    let (vic, alice, shop) = (
        gateway.token("operator", "vic", &["--role", "viewer"]),
        gateway.token("device", "alice", &[]),
        gateway.token("initiator", "shop", &[]),
    );
    let with = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for path in ["/console", "/console/pushes", "/console/operations", "/console/send", "/console/attention"] {
        assert_eq!(ask(&gateway, "GET", path, &with(&vic), &Value::Null).status, 200, "{path}");
        for (token, who) in [(&alice, "a device"), (&shop, "an initiator")] {
            assert_eq!(ask(&gateway, "GET", path, &with(token), &Value::Null).status, 403, "{path} for {who}");
        }
    }
    let page = ask(&gateway, "GET", "/console/send", &with(&vic), &Value::Null);
    assert!(!page.body.contains("<form data-act") && page.body.contains("Viewers send nothing."), "{page:?}");
}

/// In mode open a page of another site could push to whatever its visitor's gateway reaches.
#[test]
fn where_everybody_is_believed_pages_of_other_sites_change_nothing_either() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let push = json!({"to": ["group:news"], "body": "x"});
    assert_eq!(ask(&gateway, "POST", "/api/v1/pushes", "Origin: https://evil.example\r\n", &push).status, 403);
    assert_eq!(ask(&gateway, "POST", "/api/v1/pushes", "", &push).status, 202);
    let me = gateway.http().get("/console/session");
    assert_eq!(me.json(), json!({"operator": null, "role": "operator", "csrf": null}));
}

#[test]
fn over_tls_the_cookie_is_for_tls_alone() {
    let certificates = Certificates::make();
    let gateway = Gateway::start_with(&format!("{REQUIRED}{}", certificates.settings("")), &[]);
    let ann = gateway.token("operator", "ann", &[]);
    let body = json!({"token": ann}).to_string();
    let output = std::process::Command::new("curl")
        .args(["-sSi", "--ipv4", "--max-time", "60", "--cacert", &certificates.file("ca.pem"), "-d", &body])
        .arg(format!("https://localhost:{}/console/session", gateway.address("https").port()))
        .output();
    let Ok(output) = output else { return crate::common::skip("curl") };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.to_lowercase().contains("max-age=43200; secure"), "{said}");
}
