//! Everything before the root element: byte order mark, XML declaration, comments, and the DOCTYPE, which is tokenised
//! leniently, read for its version, and thrown away. Nothing external is ever loaded and no entity is ever declared.

use super::repair::{Repair, Repairs};
use super::version::{Dialect, Version, parse_supported};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrologError {
    #[error("entity declarations are refused")]
    Entity,
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
    let mut rest = text.trim_start_matches('\u{feff}');
    if rest.starts_with(|c: char| c.is_whitespace()) {
        repairs.note(Repair::LeadingBlanks);
    }
    let mut dialect = None;
    loop {
        rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix("<?") {
            rest = after(inner, "?>")?;
        } else if let Some(inner) = rest.strip_prefix("<!--") {
            rest = after(inner, "-->")?;
        } else if rest.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!DOCTYPE")) {
            let (doctype, tail) = split_doctype(rest, repairs)?;
            dialect = Some(read_doctype(doctype, repairs)?);
            rest = tail;
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

fn after<'a>(text: &'a str, end: &str) -> Result<&'a str, PrologError> {
    text.find(end).map(|at| &text[at + end.len()..]).ok_or(PrologError::Unterminated)
}

/// The DOCTYPE declaration and what follows. Quotes and the internal subset are respected; where that leads nowhere, it
/// is taken to end before the root element (the `[[<?…?>]]>` of some initiators).
fn split_doctype<'a>(text: &'a str, repairs: &mut Repairs) -> Result<(&'a str, &'a str), PrologError> {
    // The root is looked for inside the declaration only, or many declarations would mean many searches of the whole.
    let proper = proper_end(text).filter(|end| find_root(&text[..*end]).is_none());
    if let Some(end) = proper.filter(|end| text[*end..].trim_start().starts_with('<')) {
        return Ok((&text[..end], &text[end..]));
    }
    let root = find_root(text).ok_or(PrologError::Unterminated)?;
    repairs.note(Repair::BentDoctype);
    Ok((&text[..root], &text[root..]))
}

/// Where an element begins: `<` and a letter.
fn find_root(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.windows(2).position(|pair| pair[0] == b'<' && (pair[1].is_ascii_alphabetic() || pair[1] == b'_'))
}

fn proper_end(text: &str) -> Option<usize> {
    let (mut quote, mut subset) = (None, false);
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
                b'[' if subset => return None,
                b'[' => subset = true,
                b']' => subset = false,
                b'>' if !subset => return Some(at + 1),
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

fn read_doctype(doctype: &str, repairs: &mut Repairs) -> Result<Dialect, PrologError> {
    // Declarations of any kind have no business here: entities could be bombs, the others change what a document means.
    let subset = doctype.split_once('[').map_or("", |(_, subset)| subset);
    let declares =
        subset.contains("<!ENTITY") || subset.contains("<!entity") || without_instructions(subset).contains('%');
    if declares {
        return Err(PrologError::Entity);
    }
    let external = doctype.split('[').next().unwrap_or(doctype);
    let mut quoted = quoted(external);
    let (public, system) = (quoted.next(), quoted.next());
    let version = public.and_then(public_version);
    let unversioned = version.is_none() && public.is_some_and(|id| id.contains("DTD PAP//"));
    let version =
        version.or_else(|| if unversioned { Some(Version::V1_0) } else { system.or(public).and_then(system_version) });
    let canonical = public.is_some_and(|id| id.starts_with("-//WAPFORUM//DTD PAP") && id.ends_with("//EN"));
    if !canonical || version.is_none() {
        repairs.note(Repair::BentDoctype);
    }
    let supported = instruction(subset).map(parse_supported).unwrap_or_default();
    Ok(Dialect { version: version.unwrap_or(Version::V1_0), unversioned, supported })
}

fn without_instructions(subset: &str) -> String {
    let mut kept = String::new();
    let mut rest = subset;
    while let Some(at) = rest.find("<?") {
        kept.push_str(&rest[..at]);
        rest = rest[at..].find("?>").map_or("", |end| &rest[at + end + 2..]);
    }
    kept.push_str(rest);
    kept
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

/// `DTD PAP 2.0//`, whatever stands around it.
fn public_version(id: &str) -> Option<Version> {
    let rest = &id[id.find("DTD PAP")? + "DTD PAP".len()..];
    Version::parse(rest.split("//").next()?)
}

/// `pap_2.1.dtd`
fn system_version(id: &str) -> Option<Version> {
    let rest = &id[id.rfind("pap_")? + "pap_".len()..];
    Version::parse(rest.strip_suffix(".dtd").unwrap_or(rest))
}

/// The `supported-versions` of a `wap-pap-ver` instruction.
fn instruction(subset: &str) -> Option<&str> {
    let start = subset.find("<?wap-pap-ver")?;
    let inner = &subset[start..start + subset[start..].find("?>")?];
    let list = &inner[inner.find("supported-versions")?..];
    quoted_first(list)
}

fn quoted_first(text: &str) -> Option<&str> {
    quoted(text).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(doctype: &str) -> (Version, bool, bool) {
        let text = format!("<?xml version=\"1.0\"?>\n{doctype}\n<pap/>");
        let mut repairs = Repairs::default();
        let prolog = read(&text, &mut repairs).unwrap();
        assert_eq!(prolog.rest, "<pap/>");
        (prolog.dialect.version, prolog.dialect.unversioned, repairs.as_slice().contains(&Repair::BentDoctype))
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
            (Version::V1_0, true, false)
        );
        assert_eq!(d(r#"<!DOCTYPE pap PUBLIC '-//OMA//DTD PAP 2.1//EN' 'x'>"#), (Version::V2_1, false, true));
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
    fn junk_is_no_prolog() {
        let read = |text: &str| read(text, &mut Repairs::default()).unwrap_err();
        assert_eq!(read("hello <pap/>"), PrologError::Junk);
        assert_eq!(read("<?xml version=\"1.0\"?>"), PrologError::NoRoot);
        assert_eq!(read("<!DOCTYPE pap "), PrologError::Unterminated);
    }
}
