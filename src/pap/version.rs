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

    /// Whether documents of this version can be read. A newer minor version of 2 can: what it adds is ignored (§9).
    #[must_use]
    pub fn is_supported(self) -> bool {
        Self::SUPPORTED.contains(&self) || (self.major == 2 && self.minor > 1)
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
    /// The public identifier had no version in it: `-//WAPFORUM//DTD PAP//EN`.
    pub unversioned: bool,
    /// The initiator said what it supports (`wap-pap-ver`), most preferred first.
    pub supported: Vec<Supported>,
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
        Self { version, unversioned: false, supported: Vec::new() }
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
        let nearest = if self.version.is_supported() { Version::V2_1 } else { Version::V1_0 };
        let version = self.common().unwrap_or(nearest);
        if self.supported.is_empty() {
            // It knows its own version, so that it has to be told of ours.
            self.supported.push(Supported { major, minor: Some(minor) });
        }
        Self { version, unversioned: false, supported: self.supported }
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
        assert!(Version { major: 2, minor: 7 }.is_supported());
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
    }

    #[test]
    fn only_those_who_know_more_than_1_0_are_told_versions() {
        assert!(!Dialect::of(Version::V1_0).announces());
        assert!(Dialect::of(Version::V2_0).announces());
        assert!(Dialect { supported: parse_supported("2.0,1.0"), ..Dialect::of(Version::V1_0) }.announces());
        assert!(!Dialect { supported: parse_supported("1.0"), ..Dialect::of(Version::V1_0) }.announces());
    }
}
