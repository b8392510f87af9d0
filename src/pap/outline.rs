//! A document as plain elements and attributes, read strictly as XML 1.0: for those who check what a gateway answers.
//! Nothing is repaired, and neither [`decode`](super::decode) nor [`xml`](super::xml) takes part, so that it can judge
//! what this gateway writes as well.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::charset;
use super::repair::Repairs;

/// Why a text is no XML document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotXml(String);

/// A document: what its DOCTYPE says, and its elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The public identifier.
    pub public_id: Option<String>,
    /// What a `wap-pap-ver` instruction in the DOCTYPE lists (§9.1).
    pub supported_versions: Option<String>,
    pub root: Node,
}

/// An element with its attributes, their references resolved, and the elements inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
}

impl Node {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The element itself and all elements inside it, in the order of the document.
    #[must_use]
    pub fn all(&self) -> Vec<&Node> {
        let mut found = Vec::new();
        let mut open = vec![self];
        while let Some(node) = open.pop() {
            found.push(node);
            open.extend(node.children.iter().rev());
        }
        found
    }
}

/// Elements inside each other.
const DEPTH: usize = 32;
/// Elements of one document; an answer may list some for each of its addresses.
const ELEMENTS: usize = 100_000;
/// Attributes of one element: each is compared with all before it.
const ATTRIBUTES: usize = 64;

fn fault<T>(text: impl Into<String>) -> Result<T, NotXml> {
    Err(NotXml(text.into()))
}

impl Outline {
    /// Reads a document in any encoding; `charset` is that of its Content-Type.
    pub fn read(bytes: &[u8], charset: Option<&str>) -> Result<Self, NotXml> {
        let text = charset::decode(bytes, charset, &mut Repairs::default())
            .map_err(|error| NotXml(error.desc.replace("control document", "document")))?;
        let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text));
        reader.config_mut().check_comments = true;
        let mut tree = Tree::default();
        let (mut begun, mut doctype) = (false, None);
        loop {
            let at = reader.buffer_position();
            let event = reader.read_event().map_err(|error| NotXml(format!("at byte {at}: {error}")))?;
            match event {
                Event::Eof => break,
                Event::Decl(_) if begun => return fault("an XML declaration that is not at the beginning"),
                Event::DocType(_) if doctype.is_some() || tree.begun() => return fault("a DOCTYPE out of place"),
                Event::DocType(text) => doctype = Some(read_doctype(&text)?),
                Event::Start(start) => tree.open(node(&start)?)?,
                Event::Empty(start) => {
                    tree.open(node(&start)?)?;
                    tree.close()?;
                }
                Event::End(_) => tree.close()?,
                Event::Text(text) if tree.open.is_empty() && !text.trim().is_empty() => {
                    return fault("text outside the root element");
                }
                Event::CData(_) | Event::GeneralRef(_) if tree.open.is_empty() => {
                    return fault("text outside the root element");
                }
                Event::GeneralRef(name) if !is_reference(&name) => {
                    return fault(format!("the entity &{}; is not declared", &*name));
                }
                Event::Decl(_)
                | Event::Text(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::PI(_)
                | Event::GeneralRef(_) => {}
            }
            begun = true;
        }
        let (public_id, supported_versions) = doctype.unwrap_or_default();
        Ok(Self { public_id, supported_versions, root: tree.end()? })
    }
}

/// The elements read so far.
#[derive(Default)]
struct Tree {
    open: Vec<Node>,
    root: Option<Node>,
    count: usize,
}

impl Tree {
    fn begun(&self) -> bool {
        self.root.is_some() || !self.open.is_empty()
    }

    fn open(&mut self, node: Node) -> Result<(), NotXml> {
        self.count += 1;
        if self.root.is_some() {
            return fault(format!("a second root element, {}", node.name));
        }
        if self.open.len() >= DEPTH || self.count > ELEMENTS {
            return fault(format!("more than {DEPTH} elements inside each other, or more than {ELEMENTS} in all"));
        }
        self.open.push(node);
        Ok(())
    }

    fn close(&mut self) -> Result<(), NotXml> {
        let Some(node) = self.open.pop() else { return fault("an end tag without its start tag") };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }

    fn end(self) -> Result<Node, NotXml> {
        if let Some(node) = self.open.last() {
            return fault(format!("the element {} does not end", node.name));
        }
        self.root.ok_or_else(|| NotXml("there is no element".into()))
    }
}

fn node(start: &BytesStart<'_>) -> Result<Node, NotXml> {
    let name = start.name().0.to_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| NotXml(format!("the element {name}: {error}")))?;
        let key = attribute.key.0.to_owned();
        if attributes.len() >= ATTRIBUTES {
            return fault(format!("the element {name} has more than {ATTRIBUTES} attributes"));
        }
        if attribute.value.contains('<') {
            return fault(format!("the attribute {key} of {name} has a < that is not escaped"));
        }
        let value = attribute.normalized_value(XmlVersion::Explicit1_0);
        let value = value.map_err(|error| NotXml(format!("the attribute {key} of {name}: {error}")))?;
        attributes.push((key, value.into_owned()));
    }
    Ok(Node { name, attributes, children: Vec::new() })
}

/// What may stand between `&` and `;` in a document without declarations.
fn is_reference(name: &str) -> bool {
    name.starts_with('#') || matches!(name, "amp" | "lt" | "gt" | "quot" | "apos")
}

/// The public identifier of a DOCTYPE, and the versions that are listed in it.
fn read_doctype(text: &str) -> Result<(Option<String>, Option<String>), NotXml> {
    let (head, subset) = text.split_once('[').unwrap_or((text, ""));
    let bent = || NotXml(format!("the DOCTYPE {:?} is none", text.trim()));
    let rest = head.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    let public_id = match rest.strip_prefix("PUBLIC") {
        Some(rest) => {
            let (public, rest) = literal(rest.trim_start()).ok_or_else(bent)?;
            literal(rest.trim_start()).ok_or_else(bent)?;
            Some(public.to_owned())
        }
        None if rest.is_empty() || rest.starts_with("SYSTEM") => None,
        None => return Err(bent()),
    };
    let listed = subset.split_once("<?wap-pap-ver").and_then(|(_, rest)| rest.split_once("?>"));
    let versions = listed.and_then(|(data, _)| {
        let value = data.split_once("supported-versions")?.1.trim_start().strip_prefix('=')?;
        Some(literal(value.trim_start())?.0.to_owned())
    });
    Ok((public_id, versions))
}

/// A quoted text, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Outline, NotXml> {
        Outline::read(text.as_bytes(), None)
    }

    #[test]
    fn blanks_around_the_equals_sign_and_single_quotes_are_xml() {
        let outline = read(concat!(
            "<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC '-//WAPFORUM//DTD PAP 1.0//EN' \"x\" ",
            "[<?wap-pap-ver supported-versions = '2.0,1.*'?>]>\n",
            "<pap ><push-response\tpush-id = 'a&lt;b&#x41;'\n><response-result code =\"1001\"></response-result></push-response></pap>\n"
        ))
        .unwrap();
        assert_eq!(outline.public_id.as_deref(), Some("-//WAPFORUM//DTD PAP 1.0//EN"));
        assert_eq!(outline.supported_versions.as_deref(), Some("2.0,1.*"));
        let all = outline.root.all();
        let names: Vec<&str> = all.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["pap", "push-response", "response-result"]);
        assert_eq!((all[1].get("push-id"), all[2].get("code")), (Some("a<bA"), Some("1001")));
    }

    #[test]
    fn what_is_not_well_formed_is_not_read() {
        for text in [
            "",
            "hello",
            "<pap>",
            "<pap></pip>",
            "<pap/><pap/>",
            "<pap/>x",
            "x<pap/>",
            "<pap a=1/>",
            "<pap a/>",
            "<pap a='1' a='2'/>",
            "<pap a='<'/>",
            "<pap a='&'/>",
            "<pap a='&nbsp;'/>",
            "<pap>&nbsp;</pap>",
            "<pap><!-- -- --></pap>",
            "<pap a='\u{1}'/>",
            "<pap/><!DOCTYPE pap>",
            "<!DOCTYPE pap PUBLIC \"a\"><pap/>",
            " <?xml version='1.0'?><pap/>",
            "{\"title\":\"not found\"}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"<a>".repeat(40)).is_err());
        let many: String = (0..65).map(|n| format!(" a{n}='1'")).collect();
        assert!(read(&format!("<pap{many}/>")).unwrap_err().to_string().contains("more than 64 attributes"));
        assert!(Outline::read(b"<pap a='\xff'/>", None).is_err());
    }

    #[test]
    fn other_encodings_than_utf_8_are_read() {
        let utf_16: Vec<u8> = "\u{feff}<pap a='é'/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(Outline::read(&utf_16, None).unwrap().root.get("a"), Some("é"));
        assert_eq!(Outline::read(b"<pap a='\xe9'/>", Some("iso-8859-1")).unwrap().root.get("a"), Some("é"));
    }
}
