//! Reads the data types of MQTT (5.0 §1.5) from a slice. What does not fit is malformed.

use super::{BadPacket, reason};

pub(super) type Read<T> = Result<T, BadPacket>;

pub(super) const MALFORMED: BadPacket = BadPacket(reason::MALFORMED);
pub(super) const PROTOCOL_ERROR: BadPacket = BadPacket(reason::PROTOCOL_ERROR);

/// What of a packet has not been read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may follow.
    pub(super) fn end(&self) -> Read<()> {
        if self.is_empty() { Ok(()) } else { Err(MALFORMED) }
    }

    pub(super) fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(taken)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn u8(&mut self) -> Read<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A packet identifier; 0 is none (MQTT 5.0 §2.2.1).
    pub(super) fn packet_id(&mut self) -> Read<u16> {
        match self.u16()? {
            0 => Err(PROTOCOL_ERROR),
            id => Ok(id),
        }
    }

    /// A variable byte integer, in its shortest form (§1.5.5).
    pub(super) fn var_int(&mut self) -> Read<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(MALFORMED) } else { Ok(value) };
            }
        }
        Err(MALFORMED)
    }

    pub(super) fn binary(&mut self) -> Read<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A UTF-8 string without NUL (§1.5.4).
    pub(super) fn text(&mut self) -> Read<&'a str> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| MALFORMED)?;
        if text.contains('\0') { Err(MALFORMED) } else { Ok(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_more_bytes_than_it_needs_is_malformed() {
        for (bytes, expected) in [
            (&[0][..], Ok(0)),
            (&[0x7F], Ok(127)),
            (&[0x80, 1], Ok(128)),
            (&[0xFF, 0xFF, 0xFF, 0x7F], Ok(268_435_455)),
            (&[0x80, 0], Err(MALFORMED)),
            (&[0x80, 0x80, 0x80, 0x80, 1], Err(MALFORMED)),
            (&[0x80], Err(MALFORMED)),
        ] {
            assert_eq!(Reader::new(bytes).var_int(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_text_is_utf_8_without_nul_and_whole() {
        assert_eq!(Reader::new(b"\0\x02\xC3\xA9").text(), Ok("\u{e9}"));
        for bad in [&b"\0\x02\xC3\x28"[..], b"\0\x03\xED\xA0\x80", b"\0\x03a\0b", b"\0\x03ab", b"\0"] {
            assert_eq!(Reader::new(bad).text(), Err(MALFORMED), "{bad:?}");
        }
    }
}
