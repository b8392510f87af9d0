//! Nothing that comes from outside makes the codec panic: neither noise nor requests that were damaged on their way.

use papcast::pap::{Dialect, Version};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{entries, round_trip};

/// A multipart push with all that a body can have: folded headers, an encoded content part, capabilities.
const PUSH: &str = "multipart/related; boundary=\"next=\"; type=\"application/xml\"\r\n--next=\r\nContent-Type: application/xml; charset=ISO-8859-1\r\n\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\" [<?wap-pap-ver supported-versions=\"2.0,1.*\"?>]>\r\n<pap product-name='x &amp; y'><!-- one --><push-message push-id=\"1&#64;pi\" deliver-before-timestamp=\"2036-09-31t10:00:00.5+02:00\" ppg-notifiy-requested-to=\"http://pi.example/\"><address address-value=\"WAPPUSH=%24a/TYPE=USER@ppg\"></address><address address-value=\"WAPPUSH=+49-151 (1)/\n TYPE=plmn\"/><quality-of-service delivery-method=\"CONFIRMED\"/></push-message></pap>\r\n--next=\r\nContent-Type: text/plain;\r\n charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nX-Wap-Application-Id: 4\r\n\r\na=3Db=\r\nc\r\n--next=\r\nContent-Type: application/xml\r\nContent-Transfer-Encoding: base64\r\n\r\nPHJkZi8+\r\n--next=--\r\n";

/// Bits of the grammar, to be put where they do not belong.
const WORDS: [&str; 26] = [
    "<pap",
    "</pap>",
    "<!DOCTYPE",
    "<!--",
    "-->",
    "<?",
    "?>",
    "<![CDATA[",
    "]]>",
    "[",
    "]>",
    "<!ENTITY",
    "%",
    "&#x",
    "&",
    ";",
    "\"",
    "'",
    "\r\n\r\n",
    "\n--next=",
    "--next=--",
    "boundary=",
    "Content-Type:",
    "\u{feff}",
    "é",
    "\0",
];

#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Delete(Index, usize),
    Double(Index, usize),
    Truncate(Index),
    Insert(Index, &'static str),
    Swap(Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Delete(at, length)),
        (any::<Index>(), 1..200_usize).prop_map(|(at, length)| Damage::Double(at, length)),
        any::<Index>().prop_map(Damage::Truncate),
        (any::<Index>(), prop::sample::select(WORDS.to_vec())).prop_map(|(at, word)| Damage::Insert(at, word)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Swap(at, byte)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let end = |at: usize, length: usize, bytes: &[u8]| (at + length).min(bytes.len());
    match damage {
        Damage::Flip(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Damage::Delete(at, length) => {
            let at = at.index(bytes.len());
            bytes.drain(at..end(at, *length, bytes));
        }
        Damage::Double(at, length) => {
            let at = at.index(bytes.len());
            let twice = bytes[at..end(at, *length, bytes)].to_vec();
            bytes.splice(at..at, twice);
        }
        Damage::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Insert(at, word) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, word.bytes());
        }
        Damage::Swap(at, byte) => {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
    }
}

/// Requests that can be read, each with its Content-Type in a line before it.
fn samples() -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/pap");
    let files = ["group-confirmed.mime", "two-addresses.mime", "version-1-0.mime"];
    let mut samples: Vec<Vec<u8>> = files
        .iter()
        .map(|file| [b"multipart/related; boundary=part\n", &std::fs::read(folder.join(file)).unwrap()[..]].concat())
        .collect();
    samples.push(PUSH.into());
    samples
}

fn everywhere(bytes: &[u8]) {
    entries::body(bytes);
    entries::multipart(bytes);
    entries::xml(bytes);
    entries::address(bytes);
    // The same where the entry expects no first line, and behind the boundary of the samples.
    let body = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes, |end| &bytes[end + 1..]);
    entries::xml(body);
    entries::multipart(&[b"next=\n", body].concat());
    entries::multipart(&[b"\n", body].concat());
    for content_type in ["", "application/xml", "multipart/mixed", "multipart/form-data; boundary=next="] {
        entries::body(&[content_type.as_bytes(), b"\n", body].concat());
    }
}

#[test]
fn the_samples_can_be_read() {
    for sample in samples() {
        let text = String::from_utf8(sample).unwrap();
        let (content_type, body) = text.split_once('\n').unwrap();
        let limits = papcast::pap::Limits { addresses: 10, ..Default::default() };
        papcast::pap::parse(Some(content_type.trim()), body.as_bytes(), limits).unwrap();
        everywhere(text.as_bytes());
    }
}

#[test]
fn every_beginning_of_a_sample() {
    for sample in samples() {
        (0..sample.len()).for_each(|end| everywhere(&sample[..end]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise(bytes in vec(any::<u8>(), 0..300)) {
        everywhere(&bytes);
    }

    #[test]
    fn bits_of_the_grammar_in_any_order(words in vec(prop_oneof![
        prop::sample::select(WORDS.to_vec()).prop_map(ToOwned::to_owned),
        prop::sample::select(vec!["<push-message ", "push-id=", "<address ", "address-value=", "/>", ">", " ", "="])
            .prop_map(ToOwned::to_owned),
        "[a-zé ]{0,4}",
    ], 0..60)) {
        everywhere(words.concat().as_bytes());
    }

    #[test]
    fn damaged_samples(sample in 0..4_usize, damages in vec(damage(), 1..6)) {
        let mut bytes = samples().swap_remove(sample);
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        everywhere(&bytes);
    }

    #[test]
    fn damaged_documents(document in round_trip::document(), version in 0..3_usize, damages in vec(damage(), 1..4)) {
        let (content_type, body) = round_trip::request(&document, &Dialect::of(Version::SUPPORTED[version]));
        let mut bytes = format!("{content_type}\n{body}").into_bytes();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        everywhere(&bytes);
    }

    #[test]
    fn damaged_addresses(damages in vec(damage(), 1..8), sample in prop::sample::select(vec![
        "WAPPUSH=+155519990730/TYPE=PLMN@ppg.carrier.com", "WAPPUSH=a%40b.c%3A7874/TYPE=USER@rim.net",
        "WAPPUSH=2100000A%3A100/key=v/TYPE=USER@rim.net", "wappush=é/ TYPE=group/@p", " group:news ",
    ])) {
        let mut bytes = sample.as_bytes().to_vec();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        entries::address(&bytes);
    }
}
