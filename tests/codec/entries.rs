//! Where bytes from outside enter the codec. The robustness tests and the fuzz targets call the same functions: each takes
//! anything, reads it strictly and tolerantly, and checks what has to hold of whatever comes out.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use papcast::pap::address::{self, Address, Kind};
use papcast::pap::decode::{self, Reading, SchemaError};
use papcast::pap::document::BadMessage;
use papcast::pap::repair::Repairs;
use papcast::pap::xml::{self, XmlError};
use papcast::pap::{self, Dialect, Document, Limits, Version, doctype, entity, multipart};

/// Addresses that a document may have here.
const ADDRESSES: usize = 1_000;

/// A control document in UTF-8.
pub fn xml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some((dialect, read)) = document(text) {
        settles(&read, &dialect);
    }
}

fn limits(strict: bool) -> Limits {
    Limits { addresses: ADDRESSES, strict, ..Limits::default() }
}

/// Reads the prolog, the elements and the document, as [`pap::parse`] does.
fn document(text: &str) -> Option<(Dialect, Document)> {
    let mut repairs = Repairs::default();
    let prolog = doctype::read(text, &mut repairs).ok()?;
    let root = xml::read(prolog.rest, &limits(false), &mut repairs).ok()?;
    let document = decode::document(root, Reading { version: Version::V2_1 }, &mut repairs).ok()?;
    Some((prolog.dialect, document))
}

/// What was written once reads as what is written again. (The first writing may change something: a `desc` is supplied,
/// a character that XML cannot carry is replaced.)
fn settles(document: &Document, dialect: &Dialect) {
    let once = pap::encode(document, dialect);
    let mut repairs = Repairs::default();
    let prolog = doctype::read(&once, &mut repairs).unwrap();
    let root = match xml::read(prolog.rest, &limits(true), &mut repairs) {
        // References are longer than what they stand for.
        Err(XmlError::ValueTooLong(..)) => return,
        other => other.unwrap(),
    };
    let again = match decode::document(root, Reading { version: Version::V2_1 }, &mut repairs) {
        // And so is what stands for a character that XML cannot carry.
        Err(SchemaError::AddressTooLong { .. }) => return,
        other => other.unwrap(),
    };
    assert_eq!(pap::encode(&again, dialect), once);
}

/// A boundary in the first line (none, if that is empty) and a multipart body in the others; every part is read.
pub fn multipart(bytes: &[u8]) {
    let (boundary, body) = first_line(bytes);
    for strict in [false, true] {
        let mut repairs = Repairs::default();
        let Ok(parts) = multipart::split(body, boundary.as_deref(), &limits(strict), &mut repairs) else { continue };
        assert!(parts.iter().map(|part| part.len()).sum::<usize>() <= body.len(), "parts do not overlap");
        for part in parts {
            let Ok(entity) = entity::read(part, &limits(strict), &mut repairs) else { continue };
            assert!(entity.body.len() <= part.len(), "no encoding makes a part longer");
            let values = entity.headers.iter().map(|(_, value)| value);
            assert!(values.into_iter().all(|value| !value.contains(char::is_control)), "values are clean");
            let _ = entity.media_type();
        }
    }
}

/// An address value.
pub fn address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match address::parse(text) {
        Ok(Address::Bare(bare)) => assert!(!bare.is_empty() && bare.trim() == bare),
        Ok(Address::Client(client)) => {
            assert!(!client.value.is_empty());
            let number = address::without_port(&client.value).unwrap_or(&client.value);
            let digits = number.strip_prefix('+').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            assert!(client.kind != Kind::Plmn || digits);
        }
        Err(_) => {}
    }
}

/// A Content-Type in the first line (none, if that is empty) and the body of a request in the others.
pub fn body(bytes: &[u8]) {
    let (content_type, body) = first_line(bytes);
    for strict in [false, true] {
        let limits = limits(strict);
        match pap::parse(content_type.as_deref(), body, limits) {
            Ok(request) => {
                assert_eq!(matches!(request.document, Document::PushMessage(_)), request.content.is_some());
                settles(&request.document, &request.dialect);
            }
            Err(failure) => {
                assert!(failure.fragment.chars().count() <= pap::fragment::FRAGMENT);
                let code = pap::code::Code::BAD_REQUEST;
                let (desc, fragment) = (Some(failure.desc), Some(failure.fragment));
                settles(&Document::BadMessage(BadMessage { code, desc, fragment }), &failure.dialect);
            }
        }
    }
}

fn first_line(bytes: &[u8]) -> (Option<String>, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let line = String::from_utf8_lossy(&bytes[..end]).trim().to_owned();
    (Some(line).filter(|line| !line.is_empty()), bytes.get(end + 1..).unwrap_or_default())
}
