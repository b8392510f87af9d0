//! The answer to a client capabilities query that knows something: a multipart body with the ccq-response and an RDF part
//! (WAP-247 §7.3, §8.11). The specification leaves the vocabulary to the parties; ours is named by [`NAMESPACE`].

use std::collections::HashSet;
use std::fmt::Write as _;

use super::encode::escape;
use super::time::{self, Seconds};

/// Of the properties in the RDF part.
pub const NAMESPACE: &str = "urn:papcast:terminal:1#";
const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    pub id: String,
    pub connected: bool,
    /// `mqtt3.1.1` or `mqtt5`.
    pub protocol: String,
    /// QoS 1 messages that may be under way to it.
    pub receive_maximum: u16,
    /// Bytes of the largest packet it takes, where it said.
    pub maximum_packet_size: Option<u32>,
    pub last_seen: Seconds,
}

/// The RDF part: one description for each terminal, and one for the user with its groups.
#[must_use]
pub fn rdf(address: &str, terminals: &[Terminal], groups: &[String]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = write!(out, "<rdf:RDF xmlns:rdf=\"{RDF}\" xmlns:t=\"{NAMESPACE}\">");
    for terminal in terminals {
        describe(&mut out, &terminal.id);
        property(&mut out, "connected", if terminal.connected { "true" } else { "false" });
        property(&mut out, "protocol", &terminal.protocol);
        property(&mut out, "receiveMaximum", &terminal.receive_maximum.to_string());
        if let Some(size) = terminal.maximum_packet_size {
            property(&mut out, "maximumPacketSize", &size.to_string());
        }
        property(&mut out, "lastSeen", &time::format(terminal.last_seen));
        out.push_str("</rdf:Description>");
    }
    describe(&mut out, address);
    groups.iter().for_each(|group| property(&mut out, "group", group));
    out.push_str("</rdf:Description></rdf:RDF>");
    out
}

fn describe(out: &mut String, about: &str) {
    out.push_str("<rdf:Description><t:id>");
    escape(out, about);
    out.push_str("</t:id>");
}

fn property(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, "<t:{name}>");
    escape(out, value);
    let _ = write!(out, "</t:{name}>");
}

/// The whole answer to the control document and this: its Content-Type and its body.
#[must_use]
pub fn encode_with(control: &str, rdf: &str) -> (String, String) {
    let boundary = boundary(control, rdf);
    let part = |text: &str| format!("--{boundary}\r\nContent-Type: application/xml\r\n\r\n{text}\r\n");
    let body = format!("{}{}--{boundary}--\r\n", part(control), part(rdf));
    (format!("multipart/related; boundary={boundary}; type=\"application/xml\""), body)
}

/// A boundary that is in neither part: the first of its kind that they do not name.
fn boundary(control: &str, rdf: &str) -> String {
    const NAME: &str = "papcast-part-";
    let taken: HashSet<&str> = [control, rdf]
        .into_iter()
        .flat_map(|text| text.split(NAME).skip(1))
        .filter_map(|rest| rest.get(..DIGITS))
        .collect();
    let mut free = (1..).map(|number: u64| format!("{number:0DIGITS$}"));
    let number = free.find(|number| !taken.contains(number.as_str())).unwrap_or_default();
    format!("{NAME}{number}")
}

/// Of the number in a boundary; always as many, so that none of them is the beginning of another.
const DIGITS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pap::code::Code;
    use crate::pap::document::CapabilitiesResponse;
    use crate::pap::{Dialect, Document, Version, encode};

    #[test]
    fn what_is_known_is_said_and_what_would_be_markup_is_escaped() {
        let terminal = Terminal {
            id: "a<b>&\u{1}".into(),
            connected: true,
            protocol: "mqtt5".into(),
            receive_maximum: 32,
            maximum_packet_size: None,
            last_seen: 0,
        };
        let text = rdf(
            "sip:a@b",
            &[terminal],
            &["papcast-part-0000000002".into(), "papcast-part-papcast-part-00000000012".into()],
        );
        assert!(text.contains("<t:id>a&lt;b&gt;&amp;"), "{text}");
        assert!(!text.contains('\u{1}'), "{text}");
        assert!(text.contains("<t:receiveMaximum>32</t:receiveMaximum><t:lastSeen>1970-01-01T00:00:00Z</t:lastSeen>"));
        assert!(!text.contains("maximumPacketSize"));
        let response = CapabilitiesResponse { query_id: None, code: Code::OK, desc: None, address: "sip:a@b".into() };
        let (kind, body) =
            encode_with(&encode(&Document::CapabilitiesResponse(response), &Dialect::of(Version::V2_0)), &text);
        assert!(kind.contains("boundary=papcast-part-0000000003;"), "{kind}");
        assert_eq!(body.matches("--papcast-part-0000000003").count(), 3);
    }
}
