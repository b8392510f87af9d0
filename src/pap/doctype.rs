//! Everything before the root element: byte order mark, XML declaration, comments, and the DOCTYPE, which is tokenised
//! leniently, read for its version, and thrown away. Nothing external is ever loaded and no entity is ever declared.

use std::borrow::Cow;

use super::repair::{Repair, Repairs};
use super::version::{Dialect, Supported, Version, parse_supported};
use super::xml;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrologError {
    #[error("entity declarations are refused")]
    Entity,
    #[error("declarations in the DOCTYPE are refused")]
    Declaration,
    #[error("there is a second DOCTYPE")]
    Second,
    #[error("there is no root element")]
    NoRoot,
    #[error("something stands before the root element that is no XML")]
    Junk,
    #[error("the DOCTYPE does not end")]
    Unterminated,
}

/// What stands before the root element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prolog<'a> {
    pub dialect: Dialect,
    /// From the root element on.
    pub rest: &'a str,
}

/// Reads the prolog.
pub fn read<'a>(text: &'a str, repairs: &mut Repairs) -> Result<Prolog<'a>, PrologError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if rest.len() < text.len() {
        repairs.note(Repair::LeadingBlanks);
    }
    if let Some(inner) = rest.strip_prefix("<?xml").filter(|inner| !inner.starts_with(is_name)) {
        let declaration = inner.split("?>").next().unwrap_or(inner);
        rest = after(inner, "?>")?;
        if !is_declaration(declaration) {
            repairs.note(Repair::BentXml);
        }
    }
    let mut dialect = None;
    loop {
        rest = xml::skip_blanks(rest, repairs);
        if let Some(inner) = rest.strip_prefix("<?") {
            rest = after(inner, "?>")?;
            xml::check_instruction(inner, repairs);
        } else if let Some(inner) = rest.strip_prefix("<!--") {
            rest = after(inner, "-->")?;
            xml::check_comment(&inner[..inner.len() - rest.len() - 3], repairs);
        } else if rest.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!DOCTYPE")) {
            if dialect.is_some() {
                return Err(PrologError::Second);
            }
            let doctype = split_doctype(rest, repairs)?;
            dialect = Some(read_doctype(&doctype, repairs)?);
            rest = doctype.rest;
        } else if rest.starts_with('<') {
            let dialect = dialect.unwrap_or_else(|| {
                repairs.note(Repair::BentDoctype);
                Dialect::of(Version::V1_0)
            });
            return Ok(Prolog { dialect, rest });
        } else if rest.is_empty() {
            return Err(PrologError::NoRoot);
        } else {
            return Err(PrologError::Junk);
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || "_-.:".contains(c)
}

/// The inside of an XML declaration (XML 1.0 §2.8): version, encoding, standalone.
fn is_declaration(text: &str) -> bool {
    let mut rest = text;
    let mut left = &["version", "encoding", "standalone"][..];
    let mut first = true;
    loop {
        let trimmed = rest.trim_start_matches(xml::BLANKS);
        if trimmed.is_empty() {
            return !first;
        }
        let Some((name, tail)) = trimmed.split_once('=') else { return false };
        let name = name.trim_end_matches(xml::BLANKS);
        // Each once and in this order, the first one always; with blanks before it.
        let Some(at) = left.iter().position(|known| *known == name) else { return false };
        let Some((_, tail)) = literal(tail.trim_start_matches(xml::BLANKS)) else { return false };
        if trimmed.len() == rest.len() || (first && at > 0) {
            return false;
        }
        (rest, left, first) = (tail, &left[at + 1..], false);
    }
}

/// A quoted text, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].split_once(quote)
}

fn after<'a>(text: &'a str, end: &str) -> Result<&'a str, PrologError> {
    text.find(end).map(|at| &text[at + end.len()..]).ok_or(PrologError::Unterminated)
}

/// The DOCTYPE declaration, taken apart.
struct Doctype<'a> {
    /// From `<!DOCTYPE` to the internal subset or the end.
    external: &'a str,
    /// Behind its bracket; with the end of the declaration.
    subset: &'a str,
    rest: &'a str,
}

/// Takes the declaration apart. Quotes and the internal subset are respected; where that leads nowhere, it is taken to end
/// before the root element (the `[[<?…?>]]>` of some initiators).
fn split_doctype<'a>(text: &'a str, repairs: &mut Repairs) -> Result<Doctype<'a>, PrologError> {
    if let Some((bracket, end)) = proper_end(text) {
        let (declaration, rest) = text.split_at(end);
        let external = &declaration[..bracket.unwrap_or(end - 1)];
        return Ok(Doctype { external, subset: bracket.map_or("", |at| &declaration[at + 1..]), rest });
    }
    let root = find_root(text).ok_or(PrologError::Unterminated)?;
    repairs.note(Repair::BentDoctype);
    let (declaration, rest) = text.split_at(root);
    let (external, subset) = declaration.split_once('[').unwrap_or((declaration, ""));
    Ok(Doctype { external, subset, rest })
}

/// Where an element begins: `<` and a letter.
fn find_root(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.windows(2).position(|pair| pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || pair[1] == b'_'))
}

/// Where the internal subset begins, and where the declaration ends. `None` where an element begins before that.
fn proper_end(text: &str) -> Option<(Option<usize>, usize)> {
    let (mut quote, mut bracket, mut subset) = (None, None, false);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match quote {
            Some(open) if byte == open => quote = None,
            Some(_) => {}
            None if subset && bytes[at..].starts_with(b"<?") => at += find_bytes(&bytes[at..], b"?>")? + 1,
            None if subset && bytes[at..].starts_with(b"<!--") => at += find_bytes(&bytes[at..], b"-->")? + 2,
            None => match byte {
                b'"' | b'\'' => quote = Some(byte),
                b'<' if bytes.get(at + 1).is_some_and(|next| next.is_ascii_alphabetic() || *next == b'_') => {
                    return None;
                }
                b'[' if bracket.is_some() => return None,
                b'[' => {
                    bracket = Some(at);
                    subset = true;
                }
                b']' => subset = false,
                b'>' if !subset => return Some((bracket, at + 1)),
                _ => {}
            },
        }
        at += 1;
    }
    None
}

fn find_bytes(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn read_doctype(doctype: &Doctype<'_>, repairs: &mut Repairs) -> Result<Dialect, PrologError> {
    let supported = read_subset(doctype.subset, repairs)?;
    let named = external_identifiers(doctype.external);
    if !is_proper(doctype.external) || named.contradict() {
        repairs.note(Repair::BentDoctype);
    }
    Ok(named.dialect(supported))
}

/// `<!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP…//EN" "…"`
fn is_proper(external: &str) -> bool {
    let word = |text: &'_ str, word: &str| -> Option<usize> {
        let rest = text.strip_prefix(word)?;
        let tail = rest.trim_start_matches(xml::BLANKS);
        (tail.len() < rest.len()).then_some(text.len() - tail.len())
    };
    let mut rest = external;
    for expected in ["<!DOCTYPE", "pap", "PUBLIC"] {
        let Some(length) = word(rest, expected) else { return false };
        rest = &rest[length..];
    }
    let Some((public, tail)) = literal(rest) else { return false };
    let spaced = tail.starts_with(xml::BLANKS);
    let Some((_, tail)) = literal(tail.trim_start_matches(xml::BLANKS)) else { return false };
    let known = public.starts_with("-//WAPFORUM//DTD PAP") && public.ends_with("//EN");
    spaced && known && tail.trim_matches(xml::BLANKS).is_empty()
}

/// What the two identifiers of a DOCTYPE say.
#[derive(Debug, Default)]
struct Named {
    oma: bool,
    /// Of the public one, which is 1.0 where it names none: `-//WAPFORUM//DTD PAP//EN`.
    public: Option<Version>,
    system: Option<Version>,
    /// The system one is a DTD, but none of PAP's, such as `wml_1.1.dtd`.
    other_language: bool,
}

impl Named {
    fn dialect(self, supported: Vec<Supported>) -> Dialect {
        let version = self.public.or(self.system).unwrap_or(Version::V1_0);
        Dialect { oma: self.oma, supported, ..Dialect::of(version) }
    }

    /// The public one names no version, or the system one another version or another language. (What it may be is left
    /// open: a copy of one's own, for example.)
    fn contradict(&self) -> bool {
        self.public.is_none() || self.other_language || self.system.is_some_and(|system| self.public != Some(system))
    }
}

fn external_identifiers(external: &str) -> Named {
    let mut quoted = quoted(external);
    let (public, system) = (quoted.next(), quoted.next());
    let public_id = public.map(normal).unwrap_or_default();
    let version = system.or(public).and_then(system_version);
    Named {
        oma: public_id.starts_with("-//OMA//"),
        public: public_version(&public_id),
        system: version,
        other_language: version.is_none() && system.is_some_and(is_other_language),
    }
}

/// Blanks in a public identifier are one space each (XML 1.0 §4.2.2); its case means nothing to those who bend it.
fn normal(id: &str) -> Cow<'_, str> {
    let bent = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'\t' | b'\r' | b'\n');
    if !id.bytes().any(bent) && !id.contains("  ") && id.trim_ascii().len() == id.len() {
        return Cow::Borrowed(id);
    }
    Cow::Owned(id.split_ascii_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase())
}

fn is_other_language(system: &str) -> bool {
    let file = system.to_ascii_lowercase();
    file.ends_with(".dtd") && !file.contains("pap")
}

/// The internal subset: instructions, comments and blanks, and the versions that a `wap-pap-ver` instruction names.
/// Declarations have no business here: entities could be bombs, the others change what a document means.
fn read_subset(subset: &str, repairs: &mut Repairs) -> Result<Vec<Supported>, PrologError> {
    let mut supported = None;
    let mut rest = subset.trim_start();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix("<!--") {
            rest = after(inner, "-->")?;
            xml::check_comment(&inner[..inner.len() - rest.len() - 3], repairs);
        } else if let Some(inner) = rest.strip_prefix("<?") {
            let instruction = inner.split("?>").next().unwrap_or(inner);
            rest = after(inner, "?>")?;
            xml::check_instruction(inner, repairs);
            if let Some(data) = instruction.strip_prefix("wap-pap-ver") {
                supported = supported.or_else(|| supported_versions(data));
            }
        } else if rest.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("<!ENTITY")) || rest.starts_with('%') {
            return Err(PrologError::Entity);
        } else if rest.starts_with("<!") {
            return Err(PrologError::Declaration);
        } else {
            // The end of the declaration, and whatever else stands there: not one of them begins a declaration.
            let end = rest.find(['<', '%']).unwrap_or(rest.len());
            let (passed, tail) = rest.split_at(end.max(1));
            if passed.chars().filter(|c| !c.is_whitespace()).ne("]>".chars()) {
                repairs.note(Repair::BentDoctype);
            }
            rest = tail;
        }
        rest = rest.trim_start();
    }
    Ok(supported.unwrap_or_default())
}

fn supported_versions(instruction: &str) -> Option<Vec<Supported>> {
    let list = &instruction[instruction.find("supported-versions")?..];
    quoted(list).next().map(parse_supported)
}

/// The dialect of a document that cannot be read: what its DOCTYPE says, if one is found near the beginning.
#[must_use]
pub fn guess(body: &[u8]) -> Dialect {
    const LOOK: usize = 16 * 1024;
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOK)]);
    let doctype = text
        .match_indices("<!")
        .map(|(at, _)| &text[at..])
        .find(|rest| rest.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!DOCTYPE")));
    let Some(doctype) = doctype else { return Dialect::of(Version::V1_0) };
    let doctype = &doctype[..find_root(doctype).unwrap_or(doctype.len())];
    let (external, subset) = doctype.split_once('[').unwrap_or((doctype, ""));
    let supported = subset.find("wap-pap-ver").and_then(|at| supported_versions(&subset[at..])).unwrap_or_default();
    external_identifiers(external.split('>').next().unwrap_or(external)).dialect(supported)
}

/// The quoted texts of a declaration, in order.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let open = rest.find(['"', '\''])?;
        let quote = char::from(rest.as_bytes()[open]);
        let inner = &rest[open + 1..];
        let close = inner.find(quote)?;
        rest = &inner[close + 1..];
        Some(&inner[..close])
    })
}

/// `DTD PAP 2.0//`, whatever stands around it; `DTD PAP//` is 1.0.
fn public_version(id: &str) -> Option<Version> {
    let rest = &id[id.find("DTD PAP")? + "DTD PAP".len()..];
    if rest.starts_with("//") { Some(Version::V1_0) } else { Version::parse(rest.split("//").next()?) }
}

/// `pap_2.1.dtd`
fn system_version(id: &str) -> Option<Version> {
    let at = id.rfind("pap_").or_else(|| id.rfind("PAP_"))?;
    let rest = &id[at + "pap_".len()..];
    Version::parse(rest.strip_suffix(".dtd").or_else(|| rest.strip_suffix(".DTD")).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The version, whether it is OMA's, and whether the DOCTYPE is bent.
    fn version(doctype: &str) -> (Version, bool, bool) {
        let text = format!("<?xml version=\"1.0\"?>\n{doctype}\n<pap/>");
        let mut repairs = Repairs::default();
        let prolog = read(&text, &mut repairs).unwrap();
        assert_eq!(prolog.rest, "<pap/>");
        (prolog.dialect.version, prolog.dialect.oma, repairs.as_slice().contains(&Repair::BentDoctype))
    }

    #[test]
    fn the_version_stands_in_the_public_identifier() {
        let d = |text: &str| version(text);
        assert_eq!(
            d(r#"<!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP 2.0//EN" "http://www.wapforum.org/DTD/pap_2.0.dtd">"#),
            (Version::V2_0, false, false)
        );
        assert_eq!(
            d(r#"<!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP//EN" "http://www.wapforum.org/DTD/pap_1.0.dtd">"#),
            (Version::V1_0, false, false)
        );
        assert_eq!(d(r#"<!DOCTYPE pap PUBLIC '-//OMA//DTD PAP 2.1//EN' 'x'>"#), (Version::V2_1, true, true));
        for bent in [
            "<!DOCTYPE pap PUBLIC \"-//wapforum//dtd pap 2.0//en\" \"x\">",
            "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD\r\n  PAP 2.0//EN\" \"x\">",
            "<!DOCTYPE pap SYSTEM \"HTTP://WWW.WAPFORUM.ORG/DTD/PAP_2.0.DTD\">",
            "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.1.dtd\">",
            "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/wml_1.1.dtd\">",
        ] {
            assert_eq!(d(bent), (Version::V2_0, false, true), "{bent}");
        }
        assert_eq!(d(r#"<!DOCTYPE pap PUBLIC "//WAPFORUM//DTD PAP 2.0//EN" "x">"#).0, Version::V2_0);
        assert_eq!(d(r#"<!DOCTYPE pap SYSTEM "http://www.wapforum.org/DTD/pap_2.1.dtd">"#).0, Version::V2_1);
        assert_eq!(d(""), (Version::V1_0, false, true));
    }

    #[test]
    fn the_internal_subset_says_what_the_initiator_supports() {
        let text = r#"<!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP 2.0//EN" "x" [<?wap-pap-ver supported-versions="2.0,1.*"?>]><pap/>"#;
        let prolog = read(text, &mut Repairs::default()).unwrap();
        assert_eq!(prolog.dialect.supported, parse_supported("2.0,1.*"));
        let bent = r#"<!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP 2.0//EN" "x" [[<?wap-pap-ver supported-versions="2.0"?>]]><pap/>"#;
        let mut repairs = Repairs::default();
        let prolog = read(bent, &mut repairs).unwrap();
        assert_eq!(prolog.rest, "<pap/>");
        assert_eq!(repairs.as_slice(), [Repair::BentDoctype]);
    }

    #[test]
    fn entities_are_refused() {
        for subset in ["<!ENTITY a \"b\">", "<!ENTITY % a SYSTEM \"file:///etc/passwd\"> %a;", "%other;"] {
            let text = format!("<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"x\" [{subset}]><pap/>");
            assert_eq!(read(&text, &mut Repairs::default()), Err(PrologError::Entity), "{subset}");
        }
    }

    #[test]
    fn comments_in_the_subset_may_say_anything_and_declarations_are_refused() {
        let subset = |subset: &str| {
            let text = format!("<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"x\" [{subset}]><pap/>");
            let mut repairs = Repairs::default();
            read(&text, &mut repairs).map(|prolog| (prolog.dialect.supported.len(), repairs.as_slice().to_vec()))
        };
        assert_eq!(
            subset("<!-- 100 % <!ENTITY a \"b\"> -->\n<?wap-pap-ver supported-versions='2.0'?>"),
            Ok((1, vec![]))
        );
        assert_eq!(subset("<?other % ?>"), Ok((0, vec![])));
        assert_eq!(subset("<!ATTLIST pap x CDATA \"y\">"), Err(PrologError::Declaration));
        assert_eq!(subset("<!ELEMENT pap ANY>"), Err(PrologError::Declaration));
        assert_eq!(subset("junk"), Ok((0, vec![Repair::BentDoctype])));
        assert_eq!(subset("<!-- for <pap> --><?other <pap> ?>"), Ok((0, vec![])));
        assert_eq!(subset("<!-- a -- b -->"), Ok((0, vec![Repair::BentXml])));
        assert_eq!(subset("<!entity a 'b'>"), Err(PrologError::Entity));
    }

    #[test]
    fn what_is_not_quite_xml_is_noted() {
        let noted = |text: &str| {
            let mut repairs = Repairs::default();
            read(text, &mut repairs).map(|_| repairs.as_slice().to_vec())
        };
        let d = "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://x/<pap_[2.0.dtd\">";
        for proper in [
            "",
            "<?xml version='1.0'?>",
            "<?xml version=\"1.0\" encoding = 'utf-8' standalone=\"yes\" ?>",
            "\u{feff}<!-- - -->",
        ] {
            assert_eq!(noted(format!("{proper}\n{d}\r\n<pap/>").trim_start()), Ok(vec![]), "{proper}");
        }
        let xml = vec![Repair::BentXml];
        for bent in [
            "<?xml?>",
            "<?xml encoding='a'?>",
            "<?xml version='1.0' foo='1'?>",
            "<!-- --><?xml version='1.0'?>",
            "<? ?>",
            "<!-- -- -->",
            "<!-- --->",
        ] {
            assert_eq!(noted(&format!("{bent}{d}<pap/>")), Ok(xml.clone()), "{bent}");
        }
        assert_eq!(noted(&format!("{d}\u{a0}<pap/>")), Ok(xml));
        assert_eq!(noted(&format!("\u{feff}\u{feff}{d}<pap/>")), Ok(vec![Repair::LeadingBlanks]));
        for bent in [
            d.replace("DOCTYPE", "doctype"),
            d.replace("PUBLIC", "SYSTEM"),
            d.replace("PUBLIC ", ""),
            d.replace("\" \"", "\"\""),
            d.replace("\">", "\" junk>"),
            d.replace("\">", "\" ]>"),
            d.replace("pap PUBLIC", "foo PUBLIC"),
        ] {
            assert_eq!(noted(&format!("{bent}<pap/>")), Ok(vec![Repair::BentDoctype]), "{bent}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_still_say_its_version() {
        let doctype = "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.1//EN\" \"x\" [<!ENTITY a \"b\"> <?wap-pap-ver supported-versions=\"2.1,2.0\"?>]><pap>";
        let dialect = guess(format!("--b\r\n\r\n<?xml?>{doctype}").as_bytes());
        assert_eq!((dialect.version, dialect.supported.len()), (Version::V2_1, 2));
        assert_eq!(guess(&[b'x'; 40_000]), Dialect::of(Version::V1_0));
        assert_eq!(guess(b"<!DOCTYPE"), Dialect::of(Version::V1_0));
    }

    #[test]
    fn junk_is_no_prolog() {
        let read = |text: &str| read(text, &mut Repairs::default()).unwrap_err();
        assert_eq!(read("hello <pap/>"), PrologError::Junk);
        assert_eq!(read("<?xml version=\"1.0\"?>"), PrologError::NoRoot);
        assert_eq!(read("<!DOCTYPE pap "), PrologError::Unterminated);
        assert_eq!(read("<!DOCTYPE pap SYSTEM 'a'>\nhello\n<pap/>"), PrologError::Junk);
        assert_eq!(read("<!DOCTYPE pap SYSTEM 'a'><!DOCTYPE pap SYSTEM 'a'><pap/>"), PrologError::Second);
    }
}
