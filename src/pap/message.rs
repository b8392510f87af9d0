//! A whole request body: a control document, alone or as the first part of a multipart body with content and, perhaps,
//! capabilities (WAP-247 §7).

use std::borrow::Cow;

use bytes::Bytes;

use super::charset;
use super::decode::{self, Reading};
use super::doctype;
use super::document::Document;
use super::entity::{self, Entity};
use super::fragment;
use super::limits::Limits;
use super::multipart::{self, MediaType};
use super::repair::{Repair, Repairs};
use super::strange;
use super::version::{Dialect, Version};
use super::xml;

/// A request that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// That it is written in.
    pub version: Version,
    /// The dialect for the answer.
    pub dialect: Dialect,
    pub document: Document,
    /// What the terminals get; only a push-message has it.
    pub content: Option<Content>,
    /// The capabilities part: RDF that says what the initiator takes the terminal to be.
    pub capabilities: Option<Entity>,
    pub repairs: Repairs,
}

/// The content entity as it is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub content_type: String,
    /// Without those that only describe the part itself.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Why a request could not be read; the answer is a badmessage-response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The dialect for the answer.
    pub dialect: Dialect,
    /// The version is the problem (3002), not the text (2000).
    pub version: bool,
    pub desc: String,
    /// The beginning of what could not be read.
    pub fragment: String,
    /// What had been straightened by then. (Boxed: a failure travels in many results.)
    pub repairs: Box<Repairs>,
}

struct Parts<'a> {
    control: Cow<'a, [u8]>,
    charset: Option<String>,
    content: Option<Entity>,
    capabilities: Option<Entity>,
}

/// Reads the body of an HTTP request with this Content-Type. With `limits.strict`, nothing that is bent.
pub fn parse(content_type: Option<&str>, body: &[u8], limits: Limits) -> Result<Request, Failure> {
    let to_the_letter = read(content_type, body, limits);
    if !limits.strict || to_the_letter.as_ref().is_ok_and(|request| request.repairs.as_slice().is_empty()) {
        return to_the_letter;
    }
    // What would be straightened says best what is wrong.
    let straightened = read(content_type, body, Limits { strict: false, ..limits });
    let repair = straightened.as_ref().ok().and_then(|request| request.repairs.as_slice().first().copied());
    let repair = repair.or_else(|| to_the_letter.as_ref().ok()?.repairs.as_slice().first().copied());
    match (repair, straightened, to_the_letter) {
        (Some(repair), Ok(Request { dialect, .. }), _) | (Some(repair), _, Ok(Request { dialect, .. })) => {
            let desc = format!("{repair} (row {} of docs/pap.md); this endpoint is strict", repair.row());
            Err(failure(dialect, desc, body))
        }
        (_, _, read) => read,
    }
}

fn read(content_type: Option<&str>, body: &[u8], limits: Limits) -> Result<Request, Failure> {
    let mut repairs = Repairs::default();
    match read_noting(content_type, body, &limits, &mut repairs) {
        Ok(request) => Ok(Request { repairs, ..request }),
        Err(failure) => Err(Failure { repairs: Box::new(repairs), ..failure }),
    }
}

/// The repairs of the answer are left empty.
fn read_noting(
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
    repairs: &mut Repairs,
) -> Result<Request, Failure> {
    // Until the DOCTYPE has been read the answer is in the version that it seems to have.
    let unread = |desc: String, at: &[u8]| failure(doctype::guess(at).for_answer(), desc, at);
    let parts = parts(content_type, body, limits, repairs).map_err(|desc| unread(desc, body))?;
    let text = charset::decode(&parts.control, parts.charset.as_deref(), repairs)
        .map_err(|failure| unread(failure.desc, failure.text.as_bytes()))?;
    let control = text.as_bytes();
    let prolog = doctype::read(&text, repairs).map_err(|error| unread(error.to_string(), control))?;
    let version = prolog.dialect.version;
    let dialect = prolog.dialect.for_answer();
    if !version.is_supported() {
        let desc = format!("PAP {version} is not supported");
        return Err(Failure { version: true, ..failure(dialect, desc, control) });
    }
    let fail = |desc: String, place: usize| failure_at(dialect.clone(), desc, control, place);
    let base = text.len() - prolog.rest.len();
    let mut place = 0;
    let root = xml::read_at(prolog.rest, limits, repairs, &mut place)
        .map_err(|error| fail(error.within(base).to_string(), base + place))?;
    let document = decode::document(root, Reading { version }, repairs)
        .map_err(|error| fail(error.to_string(), base + error.place(prolog.rest)))?;
    let content = match (&document, parts.content) {
        (Document::PushMessage(_), Some(entity)) => Some(content(entity, repairs)),
        (Document::PushMessage(_), None) => return Err(fail("a push-message needs a content part".into(), 0)),
        _ => None,
    };
    let repairs = Repairs::default();
    Ok(Request { version, dialect, document, content, capabilities: parts.capabilities, repairs })
}

fn failure(dialect: Dialect, desc: String, at: &[u8]) -> Failure {
    failure_at(dialect, desc, at, 0)
}

/// A fault that lies at `place`.
fn failure_at(dialect: Dialect, mut desc: String, at: &[u8], place: usize) -> Failure {
    if let Some(hint) = strange::typography(at) {
        desc.push_str(&format!(" ({hint})"));
    }
    Failure { dialect, version: false, desc, fragment: fragment::around(at, place), repairs: Box::default() }
}

fn parts<'a>(
    content_type: Option<&str>,
    body: &'a [u8],
    limits: &Limits,
    repairs: &mut Repairs,
) -> Result<Parts<'a>, String> {
    let media = content_type.map(MediaType::parse);
    let is_multipart = media.as_ref().is_some_and(|media| media.essence.starts_with("multipart/"));
    let is_xml = media.as_ref().is_some_and(MediaType::is_xml);
    let looks_like_xml = charset::looks_like_xml(body.trim_ascii_start());
    let alone = |charset: Option<&str>| Parts {
        control: body.into(),
        charset: charset.map(ToOwned::to_owned),
        content: None,
        capabilities: None,
    };
    if media.as_ref().is_some_and(|media| media.bent) {
        repairs.note(Repair::BentParameter);
    }
    let charset = media.as_ref().and_then(|media| media.parameter("charset"));
    if !is_multipart && looks_like_xml {
        if !is_xml {
            repairs.note(Repair::PlainXml);
        }
        return Ok(alone(charset));
    }
    let boundary = media.as_ref().and_then(|media| media.parameter("boundary"));
    let split = match multipart::split(body, boundary, limits, repairs) {
        Ok(split) => split,
        // What is wrong with the XML is the better answer.
        Err(_) if is_xml && body.contains(&b'<') => return Ok(alone(charset)),
        Err(_) if looks_like_xml => {
            repairs.note(Repair::PlainXml);
            return Ok(alone(None));
        }
        Err(_) if !is_multipart || body.trim_ascii().is_empty() => {
            return Err(strange::body(media.as_ref(), body).into());
        }
        Err(error) => return Err(error.to_string()),
    };
    let entities = split.into_iter().map(|part| entity::read(part, limits, repairs).map_err(|error| error.to_string()));
    let entities: Vec<Entity> = entities.collect::<Result<_, _>>()?;
    take_parts(media.as_ref(), entities, repairs)
}

/// Which part is which: the control part is the root (RFC 2387 §3.2), or the first that is PAP XML; the others follow in
/// their order (WAP-247 §7).
fn take_parts<'a>(
    media: Option<&MediaType>,
    mut entities: Vec<Entity>,
    repairs: &mut Repairs,
) -> Result<Parts<'a>, String> {
    let root = media.filter(|media| media.essence == "multipart/related").map(|media| {
        let start = media.parameter("start");
        start
            .and_then(|start| entities.iter().position(|entity| entity.header("content-id") == Some(start)))
            .unwrap_or(0)
    });
    // Content may come first, and may be XML as well. Where nothing looks like PAP, the root shows what is wrong.
    let root = root.filter(|root| *root < entities.len());
    let (control_at, named) = match (root, entities.iter().position(is_control)) {
        (Some(root), None) => (root, true),
        (Some(root), Some(_)) if is_control(&entities[root]) => (root, true),
        (_, Some(elsewhere)) => {
            repairs.note(Repair::OtherMultipart);
            (elsewhere, false)
        }
        (None, None) => return Err("no part is a PAP document".into()),
    };
    let control = entities.remove(control_at);
    let mut before = 0;
    if !named {
        // Fields of a form may stand before it, such as a name and a password: they are no content, and anything else that
        // stands there only where nothing follows.
        let mut first: Vec<Entity> = entities.drain(..control_at).collect();
        first.retain(|entity| !is_form_field(entity));
        before = first.len();
        entities.append(&mut first);
    }
    let media = control.media_type();
    if !media.as_ref().is_some_and(MediaType::is_xml) {
        repairs.note(Repair::PlainXml);
    }
    let charset = media.and_then(|media| media.parameter("charset").map(ToOwned::to_owned));
    let follows = entities.len() - before;
    let mut rest = entities.into_iter();
    let content = rest.next();
    let capabilities = if follows == 1 { None } else { rest.next() };
    if rest.next().is_some() {
        repairs.note(Repair::OtherMultipart);
    }
    Ok(Parts { control: control.body.to_vec().into(), charset, content, capabilities })
}

/// A field of a form (RFC 7578 §4.2).
fn is_form_field(entity: &Entity) -> bool {
    let disposition = entity.header("content-disposition").unwrap_or_default();
    disposition.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("form-data"))
}

/// Whether the beginning of a part is that of a PAP document; in UTF-16 as well.
fn is_control(entity: &Entity) -> bool {
    let head = &entity.body[..entity.body.len().min(4_096)];
    if !head.contains(&0) {
        return opens_pap(head);
    }
    // Nearly everybody writes UTF-8: only others are copied.
    opens_pap(&head.iter().copied().filter(|byte| *byte != 0).collect::<Vec<u8>>())
}

fn opens_pap(head: &[u8]) -> bool {
    let head = &head[..head.len().min(2_048)];
    charset::looks_like_xml(head.trim_ascii_start()) && head.windows(4).any(|window| window == b"<pap")
}

/// Whether a header of the content part goes on to the terminals.
fn is_forwarded(name: &str) -> bool {
    const KEPT_BACK: [&str; 23] = [
        // They describe the part and not the content.
        "content-type",
        "content-transfer-encoding",
        "content-length",
        "content-disposition",
        "mime-version",
        // Between two hops (RFC 9110 §7.6.1), and between initiator and gateway.
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "authorization",
        "cookie",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "set-cookie",
        "www-authenticate",
        // What the gateway itself says of a push.
        "address",
        "push-id",
    ];
    !KEPT_BACK.contains(&name) && !name.starts_with("x-kannel-")
}

fn content(entity: Entity, repairs: &mut Repairs) -> Content {
    let content_type = match entity.header("content-type").filter(|value| !value.is_empty()) {
        Some(value) => value.to_owned(),
        None => {
            repairs.note(Repair::NoContentType);
            let is_text = std::str::from_utf8(&entity.body).is_ok_and(|text| !text.contains('\0'));
            if is_text { "text/plain".into() } else { "application/octet-stream".into() }
        }
    };
    let headers = entity.headers.into_iter().filter(|(name, _)| is_forwarded(name)).collect();
    Content { content_type, headers, body: entity.body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pap::document::{DeliveryMethod, PushMessage};

    const CONTROL: &str = "<?xml version=\"1.0\"?>\r\n<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\" [<?wap-pap-ver supported-versions=\"2.0,1.*\"?>]>\r\n<pap><push-message push-id=\"9fjeo39jf084@pi.com\"><address address-value=\"WAPPUSH=news/TYPE=GROUP@ppg\"></address><quality-of-service delivery-method=\"confirmed\"/></push-message></pap>";

    fn push(control: &str) -> String {
        format!(
            "--asdlfkjiurwghasf\r\nContent-Type: application/xml\r\n\r\n{control}\r\n--asdlfkjiurwghasf\r\nContent-Type: text/plain\r\nX-Wap-Application-Id: mms.ua\r\nContent-Length: 5\r\n\r\nhello\r\n--asdlfkjiurwghasf--\r\n"
        )
    }

    const TYPE: Option<&str> = Some("multipart/related; boundary=asdlfkjiurwghasf; type=\"application/xml\"");

    fn message(request: &Request) -> &PushMessage {
        match &request.document {
            Document::PushMessage(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_push_in_two_parts() {
        for strict in [false, true] {
            let request = parse(TYPE, push(CONTROL).as_bytes(), Limits { strict, ..Limits::default() }).unwrap();
            assert_eq!(request.repairs.as_slice(), []);
            assert_eq!(request.dialect.version, Version::V2_0);
            assert_eq!(message(&request).addresses, ["WAPPUSH=news/TYPE=GROUP@ppg"]);
            assert_eq!(
                message(&request).quality_of_service.as_ref().unwrap().delivery_method,
                DeliveryMethod::Confirmed
            );
            let content = request.content.unwrap();
            assert_eq!((content.content_type.as_str(), &content.body[..]), ("text/plain", &b"hello"[..]));
            assert_eq!(content.headers, [("x-wap-application-id".to_owned(), "mms.ua".to_owned())]);
        }
    }

    #[test]
    fn a_plain_document() {
        let cancel = CONTROL
            .replace("push-message", "cancel-message")
            .replace("<quality-of-service delivery-method=\"confirmed\"/>", "");
        let request = parse(Some("application/xml"), cancel.as_bytes(), Limits::default()).unwrap();
        assert!(matches!(request.document, Document::CancelMessage(_)));
        let request = parse(None, cancel.as_bytes(), Limits::default()).unwrap();
        assert_eq!(request.repairs.as_slice(), [Repair::PlainXml]);
    }

    #[test]
    fn versions_are_negotiated() {
        let three = CONTROL.replace("PAP 2.0", "PAP 3.0").replace("2.0,1.*", "3.0,2.0");
        let failure = parse(TYPE, push(&three).as_bytes(), Limits::default()).unwrap_err();
        assert!(failure.version);
        assert_eq!(failure.dialect.version, Version::V2_0);
        let lonely = CONTROL.replace("PAP 2.0", "PAP 3.0").replace("2.0,1.*", "3.0");
        assert_eq!(
            parse(TYPE, push(&lonely).as_bytes(), Limits::default()).unwrap_err().dialect.version,
            Version::V1_0
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_beginning() {
        let failure = |kind: Option<&str>, body: &str| parse(kind, body.as_bytes(), Limits::default()).unwrap_err();
        assert_eq!(failure(Some("text/plain"), "x").desc, "the body is neither PAP XML nor multipart/related");
        assert!(failure(TYPE, "hello").desc.starts_with("no line of the body is the delimiter"));
        assert!(failure(Some("multipart/related"), "hello").desc.starts_with("the multipart body has no boundary"));
        let broken = failure(Some("application/xml"), "<pap><push-message");
        assert!(broken.desc.starts_with("not well-formed XML at byte"), "{}", broken.desc);
        assert_eq!(broken.fragment, "<pap><push-message");
        assert_eq!(failure(Some("application/xml"), "<pap/>").desc, "a pap element has exactly one document, found 0");
        assert_eq!(failure(Some("application/xml"), "<bpds/>").desc, "the root element is \"bpds\", not \"pap\"");
        assert_eq!(failure(Some("application/xml"), CONTROL).desc, "a push-message needs a content part");
        assert_eq!(
            failure(TYPE, &push(&CONTROL.replace("9fjeo39jf084@pi.com", ""))).desc,
            "push-message needs the attribute push-id"
        );
    }

    #[test]
    fn an_empty_body_a_form_and_json_were_all_called_neither_xml_nor_multipart() {
        let said = |kind: &str, body: &str| parse(Some(kind), body.as_bytes(), Limits::default()).unwrap_err().desc;
        for kind in ["application/xml", "multipart/related; boundary=b", "text/plain"] {
            assert!(said(kind, "").starts_with("the body is empty"), "{kind}: {}", said(kind, ""));
        }
        assert!(said("application/x-www-form-urlencoded", "xml=%3Cpap%3E").starts_with("the body is a form"));
        for kind in ["application/json", "application/xml", "application/x-www-form-urlencoded"] {
            assert!(said(kind, "{\"to\":[\"group:a\"]}").starts_with("the body is JSON"), "{kind}");
        }
    }

    #[test]
    fn the_fragment_showed_the_beginning_wherever_the_fault_was() {
        let many = "<address address-value=\"WAPPUSH=a/TYPE=USER@p\"/>".repeat(20);
        let control = CONTROL.replace("<quality-of-service", &format!("{many}<quality-of-service"));
        for (from, to, shown) in [
            (
                "delivery-method=\"confirmed\"",
                "delivery-method=confirmed",
                "<quality-of-service delivery-method=confirmed",
            ),
            ("delivery-method=\"confirmed\"", "delivery-method=\"soon\"", "delivery-method=\"soon\""),
            ("delivery-method=\"confirmed\"", "delivery-method=\"&x;\"", "delivery-method=\"&x;\""),
            ("</push-message>", "</push-massage>", "</push-massage>"),
        ] {
            assert!(control.contains(from));
            let bent = control.replace(from, to);
            let failure = parse(TYPE, push(&bent).as_bytes(), Limits::default()).unwrap_err();
            assert!(failure.fragment.contains(shown), "{shown} in {}: {}", failure.fragment, failure.desc);
            if let Some(at) = failure.desc.split("at byte ").nth(1) {
                let at: usize = at.split(':').next().unwrap().parse().unwrap();
                let fault = bent.find(shown).unwrap();
                assert!((fault..fault + 60).contains(&at), "{}: {at} and not {fault}", failure.desc);
            }
        }
    }

    #[test]
    fn typographic_quotes_and_dashes_were_not_named() {
        let said = |body: &str| parse(TYPE, body.as_bytes(), Limits::default()).unwrap_err().desc;
        let quotes = push(&CONTROL.replace("\"confirmed\"", "“confirmed”"));
        assert!(said(&quotes).contains("typographic quotes"), "{}", said(&quotes));
        let dashes = push(&CONTROL.replace("push-message", "push–message"));
        assert!(said(&dashes).contains("typographic dashes"), "{}", said(&dashes));
        let delimiter = push(CONTROL).replace("--asdl", "—asdl");
        assert!(said(&delimiter).contains("typographic dashes"), "{}", said(&delimiter));
    }

    #[test]
    fn other_encodings() {
        let latin: Vec<u8> = CONTROL
            .replace("news", "caf\u{e9}")
            .replace("version=\"1.0\"", "version=\"1.0\" encoding=\"ISO-8859-1\"")
            .chars()
            .map(|c| c as u8)
            .collect();
        let mut body = b"--asdlfkjiurwghasf\nContent-Type: application/xml\n\n".to_vec();
        body.extend(latin);
        body.extend(b"\n--asdlfkjiurwghasf\n\nhello\n--asdlfkjiurwghasf--");
        let request = parse(TYPE, &body, Limits::default()).unwrap();
        assert_eq!(message(&request).addresses, ["WAPPUSH=caf\u{e9}/TYPE=GROUP@ppg"]);
        assert_eq!(request.repairs.as_slice(), [Repair::BareLineFeeds, Repair::NoContentType]);
    }
}
