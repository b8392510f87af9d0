//! What a gateway answered: its bytes, and what they are as XML.

use super::super::client::Reply;
use crate::pap::multipart::MediaType;
use crate::pap::outline::{Node, Outline};

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: hyper::HeaderMap,
    pub(super) text: String,
    /// Or why it is no XML. Characters that XML does not have are passed over, so that one flaw does not hide all else.
    pub(super) outline: Result<Outline, String>,
    /// Why it is not well-formed.
    pub(super) flaw: Option<String>,
}

impl Answer {
    pub(super) fn of(reply: Reply) -> Self {
        let content_type = reply.headers.get(hyper::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = MediaType::parse(content_type.unwrap_or_default());
        let boundary = media_type.parameter("boundary").filter(|_| media_type.essence.starts_with("multipart/"));
        let document = boundary.map_or(Some(&reply.body[..]), |boundary| first_part(&reply.body, boundary));
        let charset = media_type.parameter("charset").filter(|_| boundary.is_none());
        let (outline, flaw) = match document.map(|document| (document, Outline::read(document, charset))) {
            None => (Err("the multipart body has no first part".into()), None),
            Some((_, Ok(outline))) => (Ok(outline), None),
            Some((document, Err(flaw))) => {
                let outline = Outline::read(legible(document).as_bytes(), None);
                (outline.map_err(|_| flaw.to_string()), Some(flaw.to_string()))
            }
        };
        Self {
            flaw,
            status: reply.status.as_u16(),
            text: String::from_utf8_lossy(&reply.body).into_owned(),
            headers: reply.headers,
            outline,
        }
    }

    /// The element inside `pap`, where there is one and no other.
    pub(super) fn document(&self) -> Option<&Node> {
        let root = &self.outline.as_ref().ok()?.root;
        match root.children.as_slice() {
            [document] if root.name == "pap" => Some(document),
            _ => None,
        }
    }

    /// Its code: that of the first result, where there are several.
    pub(super) fn code(&self) -> Option<u16> {
        let code = result(self.document()?).get("code")?;
        Some(code).filter(|code| code.len() == 4).and_then(|code| code.parse().ok())
    }

    /// What came, in a few words.
    pub(super) fn summary(&self) -> String {
        let Some(document) = self.document() else {
            let why = match &self.outline {
                Ok(outline) => format!("the XML is no <pap> with one document in it, but <{}>", outline.root.name),
                Err(why) => format!("no XML: {why}"),
            };
            return format!("HTTP {}, {why}; it begins with {:?}", self.status, beginning(&self.text));
        };
        let result = result(document);
        let code = result.get("code").map_or_else(|| "without a code".into(), |code| format!("with code {code}"));
        let desc = result.get("desc").map(|desc| format!(" ({:?})", beginning(desc))).unwrap_or_default();
        format!("HTTP {}, {} {code}{desc}", self.status, document.name)
    }
}

/// The element of a document that has its code.
fn result(document: &Node) -> &Node {
    let name = match document.name.as_str() {
        "push-response" => "response-result",
        "cancel-response" => "cancel-result",
        "statusquery-response" => "statusquery-result",
        _ => return document,
    };
    document.children.iter().find(|child| child.name == name).unwrap_or(document)
}

fn beginning(text: &str) -> String {
    text.chars().take(100).collect()
}

/// What is no UTF-8, and what is no character of XML, is replaced.
fn legible(document: &[u8]) -> String {
    let text = String::from_utf8_lossy(document);
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\r' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// The body of the first part, between its empty line and the next delimiter.
fn first_part<'a>(body: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let find = |text: &'a [u8], what: &[u8]| text.windows(what.len()).position(|window| window == what);
    let delimiter = format!("--{boundary}");
    let begin = find(body, delimiter.as_bytes())?;
    let part = &body[begin + delimiter.len()..];
    let part = &part[find(part, b"\r\n\r\n")? + 4..];
    Some(&part[..find(part, format!("\r\n{delimiter}").as_bytes())?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content_type: &str, body: &str) -> Answer {
        let content_type = hyper::header::HeaderValue::from_str(content_type).unwrap();
        Answer::of(Reply {
            status: hyper::StatusCode::ACCEPTED,
            headers: hyper::HeaderMap::from_iter([(hyper::header::CONTENT_TYPE, content_type)]),
            body: body.to_owned().into(),
        })
    }

    #[test]
    fn a_blank_before_the_equals_sign_was_taken_for_no_code_at_all() {
        for code in
            ["code =\"1001\"", "code='1001'", "desc=\"code=&quot;2000&quot;\" code=\"1001\"", "code=\"&#49;001\""]
        {
            let body = format!("<pap><push-response><response-result {code}></response-result></push-response></pap>");
            let answer = answer("application/xml", &body);
            assert_eq!(answer.document().unwrap().name, "push-response");
            assert_eq!(answer.code(), Some(1001), "{code}");
        }
    }

    #[test]
    fn the_first_part_of_a_capabilities_answer_is_the_document() {
        let body = "--x\r\nContent-Type: application/xml\r\n\r\n<pap><ccq-response code='1000'/></pap>\r\n--x\r\n\r\n<rdf/>\r\n--x--\r\n";
        assert_eq!(answer("multipart/related; boundary=x", body).code(), Some(1000));
    }

    #[test]
    fn what_was_echoed_raw_hid_the_code_of_the_answer() {
        let answer =
            answer("application/xml", "<pap><badmessage-response code='2000' bad-message-fragment='\u{1}'/></pap>");
        assert_eq!(answer.code(), Some(2000));
        assert!(answer.flaw.is_some());
    }

    #[test]
    fn what_came_is_told_in_a_few_words() {
        let told = |body: &str| answer("application/xml", body).summary();
        assert_eq!(
            told("<pap><badmessage-response code='2000' desc='why'/></pap>"),
            "HTTP 202, badmessage-response with code 2000 (\"why\")"
        );
        assert!(told("{\"title\":\"no\"}").starts_with("HTTP 202, no XML: "));
        assert!(told("<html/>").contains("no <pap> with one document in it, but <html>"));
        assert!(told("<pap><a/><b/></pap>").contains("no <pap> with one document in it"));
    }
}
