//! PAP versions (WAP-247 §9). The version of a document stands in the public identifier of its DOCTYPE and nowhere else.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
}

impl Version {
    pub const V1_0: Self = Self { major: 1, minor: 0 };
    pub const V2_0: Self = Self { major: 2, minor: 0 };
    pub const V2_1: Self = Self { major: 2, minor: 1 };

    /// What this codec reads and writes, most preferred first.
    pub const SUPPORTED: [Self; 3] = [Self::V2_1, Self::V2_0, Self::V1_0];

    /// `2.0`; the parts are numbers, so 2.10 is newer than 2.4.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self { major: number(major)?, minor: number(minor)? })
    }

    /// Whether documents of this version can be read. Any minor version of 1 and 2 can: what it adds is ignored (§9).
    #[must_use]
    pub fn is_supported(self) -> bool {
        matches!(self.major, 1 | 2)
    }
}

/// Digits; a number that is too large is as unsupported as the largest.
fn number(digits: &str) -> Option<u16> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u16::MAX))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How a document says its version, so that the answer can say it the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    pub version: Version,
    /// The public identifier is that of OMA, `-//OMA//DTD PAP 2.1//EN`, and not of the WAP Forum.
    pub oma: bool,
    /// Documents have a DOCTYPE. There are parsers that would load the DTD from where it was twenty years ago.
    pub doctype: bool,
    /// The initiator said what it supports (`wap-pap-ver`), most preferred first.
    pub supported: Vec<Supported>,
}

const OMA: &str = "oma";
const BARE: &str = "bare";
const ANNOUNCES: &str = "announces";

/// As much as a later document to the same initiator needs; [`Dialect::parse`] reads it.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version)?;
        let words = [(self.oma, OMA), (!self.doctype, BARE), (self.announces(), ANNOUNCES)];
        words.iter().filter(|(said, _)| *said).try_for_each(|(_, word)| write!(f, " {word}"))
    }
}

/// One entry of `supported-versions`; the minor version may be `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supported {
    pub major: u16,
    pub minor: Option<u16>,
}

impl Dialect {
    #[must_use]
    pub fn of(version: Version) -> Self {
        Self { version, oma: false, doctype: true, supported: Vec::new() }
    }

    /// How an answer to a document of this dialect is written: in its version, where we write that one; else in the
    /// initiator's most preferred one that we do; else in our nearest, which for a version that cannot be read at all is
    /// 1.0 (§9.3).
    #[must_use]
    pub fn for_answer(mut self) -> Self {
        if Version::SUPPORTED.contains(&self.version) {
            return self;
        }
        let Version { major, minor } = self.version;
        let nearest = if major == 2 { Version::V2_1 } else { Version::V1_0 };
        let version = self.common().unwrap_or(nearest);
        if self.supported.is_empty() {
            // It knows its own version, so that it has to be told of ours.
            self.supported.push(Supported { major, minor: Some(minor) });
        }
        Self { version, ..self }
    }

    /// Reads what [`Dialect`] is displayed as: a version and a few words.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut dialect = Self::of(Version::parse(words.next()?)?);
        for word in words {
            match word {
                OMA => dialect.oma = true,
                BARE => dialect.doctype = false,
                ANNOUNCES => dialect.supported.push(Supported { major: 2, minor: None }),
                _ => return None,
            }
        }
        Some(dialect)
    }

    /// Whether answers carry a `wap-pap-ver` instruction: they must where the initiator knows something above 1.0, and
    /// must not otherwise (§9.2).
    #[must_use]
    pub fn announces(&self) -> bool {
        self.version > Version::V1_0
            || self.supported.iter().any(|entry| entry.major > 1 || entry.minor.unwrap_or(1) > 0)
    }

    /// The version of the answer to a document of a version we do not support: the initiator's most preferred common
    /// one, else 1.0 (§9.3).
    #[must_use]
    pub fn common(&self) -> Option<Version> {
        self.supported.iter().find_map(|entry| {
            let fits = |version: &&Version| {
                version.major == entry.major && entry.minor.is_none_or(|minor| minor == version.minor)
            };
            Version::SUPPORTED.iter().find(fits).copied()
        })
    }
}

/// Reads the list of a `supported-versions` attribute; what is no version is left out.
#[must_use]
pub fn parse_supported(list: &str) -> Vec<Supported> {
    let entry = |text: &str| {
        let (major, minor) = text.trim().split_once('.')?;
        let minor = if minor == "*" { None } else { Some(minor.parse().ok()?) };
        Some(Supported { major: major.parse().ok()?, minor })
    };
    list.split(',').take(32).filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(Version::parse("2.4") < Version::parse("2.10"));
        assert_eq!(Version::parse("2"), None);
        assert!(!Version::parse("99999999999.0").unwrap().is_supported());
        assert!(Version { major: 2, minor: 7 }.is_supported() && Version { major: 1, minor: 1 }.is_supported());
        assert!(!Version { major: 3, minor: 0 }.is_supported());
    }

    #[test]
    fn the_common_version_is_the_initiators_choice() {
        let common = |list: &str| {
            Dialect { supported: parse_supported(list), ..Dialect::of(Version { major: 3, minor: 0 }) }.common()
        };
        assert_eq!(common("3.0,2.0,1.0"), Some(Version::V2_0));
        assert_eq!(common("3.*, 2.*"), Some(Version::V2_1));
        assert_eq!(common("4.0"), None);
        assert_eq!(common("junk"), None);
    }

    #[test]
    fn an_answer_is_in_a_version_that_exists() {
        let answer = |major, minor, list: &str| {
            let asked = Dialect { supported: parse_supported(list), ..Dialect::of(Version { major, minor }) };
            let answer = asked.for_answer();
            (answer.version, answer.announces())
        };
        assert_eq!(answer(2, 0, ""), (Version::V2_0, true));
        assert_eq!(answer(2, 4, ""), (Version::V2_1, true));
        assert_eq!(answer(2, 4, "2.4,2.0"), (Version::V2_0, true));
        assert_eq!(answer(3, 0, ""), (Version::V1_0, true));
        assert_eq!(answer(3, 0, "3.0,2.0"), (Version::V2_0, true));
        assert_eq!(answer(1, 0, ""), (Version::V1_0, false));
        assert_eq!(answer(1, 1, ""), (Version::V1_0, true));
    }

    #[test]
    fn what_a_later_document_needs_is_read_back() {
        for (text, announces) in
            [("1.0", false), ("2.0 announces", true), ("2.1 oma bare announces", true), ("1.0 announces", true)]
        {
            let dialect = Dialect::parse(text).unwrap();
            assert_eq!((dialect.to_string(), dialect.announces()), (text.to_owned(), announces));
        }
        assert_eq!(Dialect::parse("2.0").unwrap().to_string(), "2.0 announces");
        assert_eq!(Dialect::parse("json"), None);
        assert_eq!(Dialect::parse("2.0 new"), None);
    }

    #[test]
    fn only_those_who_know_more_than_1_0_are_told_versions() {
        assert!(!Dialect::of(Version::V1_0).announces());
        assert!(Dialect::of(Version::V2_0).announces());
        assert!(Dialect { supported: parse_supported("2.0,1.0"), ..Dialect::of(Version::V1_0) }.announces());
        assert!(!Dialect { supported: parse_supported("1.0"), ..Dialect::of(Version::V1_0) }.announces());
    }
}
