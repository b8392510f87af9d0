//! What tells a submission that is repeated from another one under the same push-id. The digest is stored, so it has to be
//! the same in every release: XXH3 (64 bits) is specified and never changes, and nobody gains by a collision, which could
//! only be with a push of one's own.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use twox_hash::XxHash3_64;

use crate::store::Digest;

/// A hash over named fields.
pub(super) struct Stable(XxHash3_64);

impl Stable {
    /// `form` is what the submission is written in.
    pub(super) fn new(form: &str) -> Self {
        let mut stable = Self(XxHash3_64::with_seed(0));
        stable.bytes(form.as_bytes());
        stable
    }

    pub(super) fn field(&mut self, name: &str, value: &str) {
        self.bytes(name.as_bytes());
        self.bytes(value.as_bytes());
    }

    /// With its length: where one ends and the next begins makes a difference.
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.write(&(bytes.len() as u64).to_le_bytes());
        self.0.write(bytes);
    }

    pub(super) fn finish(&self) -> i64 {
        self.0.finish().cast_signed()
    }
}

/// Of a PAP request, byte for byte.
pub(super) fn pap(content_type: Option<&str>, body: &[u8]) -> Digest {
    let mut stable = Stable::new("pap");
    stable.field("content-type", content_type.unwrap_or_default());
    stable.bytes(body);
    let mut former = DefaultHasher::new();
    content_type.hash(&mut former);
    body.hash(&mut former);
    Digest { stable: stable.finish(), former: former.finish().cast_signed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of the reference implementation: a digest that is stored must not depend on the release.
    #[test]
    fn the_digest_was_whatever_the_standard_library_of_the_day_made_of_it() {
        let mut stable = Stable(XxHash3_64::with_seed(0));
        assert_eq!(stable.finish().cast_unsigned(), 0x2D06_8005_38D3_94C2, "of nothing");
        stable.field("to", "group:news");
        assert_eq!(stable.finish().cast_unsigned(), 0xC65E_1199_6118_D654, "of one field");
        for _ in 1..40 {
            stable.field("to", "group:news");
        }
        assert_eq!(stable.finish().cast_unsigned(), 0xB23B_502A_4907_4FBD, "of more than it keeps at a time");
    }

    #[test]
    fn where_a_field_ends_makes_a_difference() {
        let of = |fields: &[(&str, &str)]| {
            let mut stable = Stable::new("json");
            fields.iter().for_each(|(name, value)| stable.field(name, value));
            stable.finish()
        };
        assert_ne!(of(&[("to", "ab")]), of(&[("to", "a"), ("to", "b")]));
        assert_ne!(of(&[("to", "ab")]), of(&[("toa", "b")]));
        assert_ne!(pap(None, b"x").stable, pap(Some("x"), b"").stable);
    }
}
