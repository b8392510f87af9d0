//! What a request may have at most.

/// Beyond a limit a request is answered with 2000. The defaults are several times what PAP itself can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `address` elements of one document.
    pub addresses: usize,
    /// Elements inside each other; PAP needs 4.
    pub depth: usize,
    /// Attributes of one element; the richest of PAP has 8.
    pub attributes: usize,
    /// Parts of one multipart body; PAP has three.
    pub parts: usize,
    /// Bytes of one attribute value.
    pub value: usize,
    /// Header lines of one part.
    pub header_lines: usize,
    /// Bytes of one header line.
    pub header_line: usize,
    /// Nothing is repaired.
    pub strict: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            addresses: 10_000,
            depth: 8,
            attributes: 32,
            parts: 16,
            value: 16 * 1024,
            header_lines: 64,
            header_line: 8 * 1024,
            strict: false,
        }
    }
}
