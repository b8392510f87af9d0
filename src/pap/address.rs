//! Client addresses: the grammar of WAP-249 (PPG Service) §6.1, and what initiators make of it.
//!
//! ```text
//! WAPPUSH=<value>[/<keyword>=<value>…]/TYPE=<type>@<ppg>
//! ```
//!
//! The value of USER and of unknown types is percent-encoded. Anything that is not of this form is left as one bare text
//! for the gateway to interpret: PAP allows logical addresses (WAP-247 §8.2.1).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::repair::Repair;

/// A client address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address<'a> {
    /// The WAPPUSH form.
    Client(Client<'a>),
    /// Anything else, without blanks around it.
    Bare(Cow<'a, str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client<'a> {
    pub kind: Kind<'a>,
    /// Decoded, with the port that may stand behind it ([`without_port`]); for PLMN `+` and digits without separators.
    pub value: Cow<'a, str>,
    /// What stands behind the last `@`; it need not be the real name of the gateway.
    pub ppg: Option<&'a str>,
}

/// The type suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    User,
    Plmn,
    /// Not in the specification, which leaves other type names open: a group ID.
    Group,
    /// IPv4, IPv6, MAN, or the name of a bearer's address type.
    Other(&'a str),
}

/// Why a WAPPUSH address cannot be read (PAP code 2002).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the address is empty")]
    Empty,
    #[error("a PLMN address needs digits, found {0:?}")]
    NotANumber(String),
    #[error("the value of the address is not UTF-8 once it is decoded")]
    NotUtf8,
    #[error("TYPE is empty")]
    NoType,
}

/// Reads an address. Keywords may have any case, `@ppg`, `/TYPE` and the leading `/` may be missing, and blanks around a
/// `/` (a line break inside the attribute) do not count.
pub fn parse(text: &str) -> Result<Address<'_>, AddressError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    let bare = text.strip_prefix('/').unwrap_or(text);
    let Some(rest) = strip_keyword(bare, "WAPPUSH=") else { return Ok(Address::Bare(text.into())) };
    let (client, ppg) = split_ppg(rest);
    let client = client.trim_end().strip_suffix('/').unwrap_or(client).trim_end();
    let (value, kind) = match find_type(client) {
        Some((value, name)) => (value, kind_of(name)?),
        None => (client, if is_number(client) { Kind::Plmn } else { Kind::User }),
    };
    // Extension qualifiers stand between value and type; nobody has defined one.
    let value = value.split_once('/').map_or(value, |(value, _)| value).trim();
    if value.is_empty() {
        return Err(AddressError::Empty);
    }
    client_of(kind, value, ppg).map(Address::Client)
}

/// What is bent in an address that [`parse`] understands all the same. Any text that is no WAPPUSH form is a logical
/// address, and not bent. Keywords have no case (WAP-249 §6.1).
#[must_use]
pub fn bent(text: &str) -> Option<Repair> {
    let trimmed = text.trim();
    let bare = trimmed.strip_prefix('/').unwrap_or(trimmed);
    let Some(rest) = strip_keyword(bare, "WAPPUSH=") else {
        let blank = trimmed.len() != text.len();
        return blank.then_some(Repair::BlankInAddress).or(bare.starts_with("%24").then_some(Repair::BentAddress));
    };
    if text.contains(char::is_whitespace) {
        return Some(Repair::BlankInAddress);
    }
    let (client, ppg) = split_ppg(rest);
    let client = client.strip_suffix('/').unwrap_or(client);
    let Some((value, kind)) = find_type(client).filter(|_| ppg.is_some()) else { return Some(Repair::BentAddress) };
    let value = value.split_once('/').map_or(value, |(value, _)| value);
    let is_bent = match kind_of(kind) {
        // What is no number at all is not understood either.
        Ok(Kind::Plmn) => !is_number(value) && plmn(value).is_some(),
        Ok(Kind::User) => !is_escaped(value) || has_port(value),
        _ => !is_escaped(value),
    };
    is_bent.then_some(Repair::BentValue)
}

/// Every `%` is followed by two hexadecimal digits.
fn is_escaped(value: &str) -> bool {
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_hexdigit).take(2).count() == 2;
    value.split('%').skip(1).all(digits)
}

/// Whether that is a port for sure which stands behind the value: behind a PIN or an e-mail address. Most values have none,
/// and decoding them all to see that would cost an allocation each.
fn has_port(value: &str) -> bool {
    let colon = value.contains(':') || value.contains("%3A") || value.contains("%3a");
    let may_have = colon && value.ends_with(|c: char| c.is_ascii_digit());
    let is_sure = |value: Cow<'_, str>| {
        without_port(&value).is_some_and(|front| {
            let is_pin = front.len() == 8 && front.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_pin || (front.contains('@') && !front.contains(':'))
        })
    };
    may_have && percent_decode_str(value).decode_utf8().is_ok_and(is_sure)
}

/// What stands before a port: `:digits`, its colon perhaps still encoded. BlackBerry initiators put the port of an
/// application behind any value; whether it is one, only whoever knows the names can say. A URI keeps its scheme.
#[must_use]
pub fn without_port(value: &str) -> Option<&str> {
    let front = value.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_port = value[front.len()..].parse::<u16>().is_ok();
    let front = front.strip_suffix(':').or_else(|| front.strip_suffix("%3A")).or_else(|| front.strip_suffix("%3a"))?;
    let is_scheme = ["sip", "sips", "tel", "urn"].iter().any(|scheme| front.eq_ignore_ascii_case(scheme));
    (is_port && !front.is_empty() && !is_scheme).then_some(front)
}

fn client_of<'a>(kind: Kind<'a>, value: &'a str, ppg: Option<&'a str>) -> Result<Client<'a>, AddressError> {
    match kind {
        Kind::Plmn => {
            let value = plmn(value).ok_or_else(|| AddressError::NotANumber(value.to_owned()))?;
            Ok(Client { kind, value: value.into(), ppg })
        }
        Kind::User | Kind::Group | Kind::Other(_) => {
            let value = percent_decode_str(value).decode_utf8().map_err(|_| AddressError::NotUtf8)?;
            Ok(Client { kind, value, ppg })
        }
    }
}

fn strip_keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let head = text.get(..keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| &text[keyword.len()..])
}

/// The gateway's name stands behind the last `@`, unless that is before the type.
fn split_ppg(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once('@') {
        Some((client, ppg)) if !ppg.contains('/') => (client, Some(ppg.trim()).filter(|ppg| !ppg.is_empty())),
        _ => (text, None),
    }
}

/// The last `/TYPE=`, with or without blanks around its `/`.
fn find_type(text: &str) -> Option<(&str, &str)> {
    let (value, tail) = text.rsplit_once('/')?;
    let name = strip_keyword(tail.trim_start(), "TYPE=")?;
    Some((value.trim_end(), name.trim()))
}

fn kind_of(name: &str) -> Result<Kind<'_>, AddressError> {
    Ok(match name {
        "" => return Err(AddressError::NoType),
        name if name.eq_ignore_ascii_case("USER") => Kind::User,
        name if name.eq_ignore_ascii_case("PLMN") => Kind::Plmn,
        name if name.eq_ignore_ascii_case("GROUP") => Kind::Group,
        other => Kind::Other(other),
    })
}

fn is_number(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b"-.".contains(&b)))
}

/// `+` and digits; the separators of the grammar (and blanks) are dropped, a missing `+` is supplied. A port stays.
fn plmn(value: &str) -> Option<String> {
    let value = percent_decode_str(value).decode_utf8().ok()?;
    if let Some(front) = without_port(&value) {
        return Some(digits_of(front)? + &value[front.len()..]);
    }
    digits_of(&value)
}

fn digits_of(value: &str) -> Option<String> {
    let digits = value.trim_start();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let mut number = String::with_capacity(digits.len() + 1);
    number.push('+');
    for c in digits.chars() {
        match c {
            '0'..='9' => number.push(c),
            '-' | '.' | ' ' | '(' | ')' => {}
            _ => return None,
        }
    }
    (number.len() > 1).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> (Kind<'_>, String, Option<&str>) {
        match parse(text).unwrap() {
            Address::Client(client) => (client.kind, client.value.into_owned(), client.ppg),
            Address::Bare(bare) => panic!("{bare} is bare"),
        }
    }

    #[test]
    fn the_grammar() {
        assert_eq!(
            client("WAPPUSH=+155519990730/TYPE=PLMN@ppg.carrier.com"),
            (Kind::Plmn, "+155519990730".into(), Some("ppg.carrier.com"))
        );
        assert_eq!(client("WAPPUSH=+1-555.1999/TYPE=PLMN@p"), (Kind::Plmn, "+15551999".into(), Some("p")));
        assert_eq!(
            client("WAPPUSH=john.doe%40wapforum.org/TYPE=USER@p"),
            (Kind::User, "john.doe@wapforum.org".into(), Some("p"))
        );
        assert_eq!(client("WAPPUSH=a+b/TYPE=USER@p").1, "a+b", "a plus is a plus");
        assert_eq!(client("WAPPUSH=195.153.199.30/TYPE=IPv4@p").0, Kind::Other("IPv4"));
        assert_eq!(client("WAPPUSH=news/TYPE=GROUP@p").0, Kind::Group);
        assert_eq!(client("WAPPUSH=x/key=v/TYPE=USER@p").1, "x");
    }

    #[test]
    fn the_wild() {
        assert_eq!(client("wappush=a/type=user").0, Kind::User);
        assert_eq!(client("/WAPPUSH=a/TYPE=USER/@p").1, "a");
        assert_eq!(client("WAPPUSH=4915112/TYPE=PLMN").1, "+4915112");
        assert_eq!(client("WAPPUSH=+4915112@p").0, Kind::Plmn);
        assert_eq!(
            client("WAPPUSH=a%40b.c%3A7874/TYPE=USER@rim.net"),
            (Kind::User, "a@b.c:7874".into(), Some("rim.net"))
        );
        assert_eq!(client("WAPPUSH=%2b15550100%3A100/TYPE=PLMN@rim.net").1, "+15550100:100");
        assert_eq!(client("WAPPUSH=sip%3Aa%40b%3A5060/TYPE=USER@p").1, "sip:a@b:5060");
        assert_eq!(client("WAPPUSH=tel%3A123/TYPE=USER@p").1, "tel:123");
        assert_eq!(client("WAPPUSH=%9/TYPE=USER@p").1, "%9");
        assert_eq!(client("WAPPUSH=a /\n TYPE=USER@p").1, "a");
        assert_eq!(client("WAPPUSH=%24IT/TYPE=USER@rim.net").1, "$IT");
        assert_eq!(parse("2100000A"), Ok(Address::Bare("2100000A".into())));
        assert_eq!(parse(" group:news "), Ok(Address::Bare("group:news".into())));
    }

    #[test]
    fn a_port_stands_behind_anything_but_a_scheme() {
        for (value, front) in [
            ("kit:100", "kit"),
            ("$kit:7874", "$kit"),
            ("2100000A%3A100", "2100000A"),
            ("a@b.c%3a7874", "a@b.c"),
            ("sip:a@b:5060", "sip:a@b"),
            ("tel:+1555:100", "tel:+1555"),
            ("a:b:1", "a:b"),
        ] {
            assert_eq!(without_port(value), Some(front), "{value}");
        }
        for whole in ["kit", "kit:", "kit:70000", ":100", "tel:123", "SIP:5060", "kit:1a", "100", ""] {
            assert_eq!(without_port(whole), None, "{whole}");
        }
    }

    #[test]
    fn what_is_bent_has_a_row() {
        for proper in [
            "WAPPUSH=+155519990730/TYPE=PLMN@ppg.carrier.com",
            "/wappush=+1-555.1999/type=plmn@p",
            "WAPPUSH=john.doe%40wapforum.org/TYPE=USER@p",
            "WAPPUSH=sip%3Aa%40b%3A5060/TYPE=USER@p",
            "WAPPUSH=195.153.199.30/TYPE=IPv4@p",
            "WAPPUSH=news/TYPE=GROUP@p",
            "/WAPPUSH=+1/x=2/TYPE=PLMN/@p",
            "WAPPUSH=abc/TYPE=PLMN@p",
            "group:news",
            "sip:alice@example.com",
            "2100000A",
        ] {
            assert_eq!(bent(proper), None, "{proper}");
        }
        for (row, text) in [
            ("A1", "WAPPUSH=a/TYPE=USER"),
            ("A1", "WAPPUSH=+4915112@p"),
            ("A1", "%24IT"),
            ("A2", "WAPPUSH=4915112/TYPE=PLMN@p"),
            ("A2", "WAPPUSH=+49(151)/TYPE=PLMN@p"),
            ("A2", "WAPPUSH=a%40b.c%3A7874/TYPE=USER@p"),
            ("A2", "WAPPUSH=2100000A:100/TYPE=USER@p"),
            ("A2", "WAPPUSH=+15550100%3A100/TYPE=PLMN@p"),
            ("A2", "WAPPUSH=%9/TYPE=USER@p"),
            ("A2", "WAPPUSH=a%/TYPE=GROUP@p"),
            ("A3", "WAPPUSH=a /  TYPE=USER@p"),
            ("A3", " WAPPUSH=a/TYPE=USER@p"),
            ("A3", "alice "),
        ] {
            assert_eq!(bent(text).map(Repair::row), Some(row), "{text}");
        }
    }

    #[test]
    fn the_impossible() {
        assert_eq!(parse("  "), Err(AddressError::Empty));
        assert_eq!(parse("WAPPUSH=/TYPE=USER@p"), Err(AddressError::Empty));
        assert_eq!(parse("WAPPUSH=abc/TYPE=PLMN@p"), Err(AddressError::NotANumber("abc".into())));
        assert_eq!(parse("WAPPUSH=+/TYPE=PLMN@p"), Err(AddressError::NotANumber("+".into())));
        assert_eq!(parse("WAPPUSH=%ff/TYPE=USER@p"), Err(AddressError::NotUtf8));
        assert_eq!(parse("WAPPUSH=a/TYPE=@p"), Err(AddressError::NoType));
    }
}
