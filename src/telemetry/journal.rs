//! Lines for the journal of systemd: a priority in front, no time and no colours (sd-daemon(3)).

use std::fmt::{self, Write};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The journal cuts a line after 48 KiB, and what follows would be a line without a priority.
const LONGEST: usize = 40 * 1024;

/// Whether stderr is the journal: systemd says which file that is, and a service may have sent stderr elsewhere.
pub(super) fn is_stderr() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    stderr.and_then(|stderr| stderr.metadata()).is_ok_and(|stderr| names(&named, stderr.dev(), stderr.ino()))
}

/// `device:inode`
fn names(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(of, at)| of.parse() == Ok(device) && at.parse() == Ok(inode))
}

/// What an error message looks like there.
pub(super) fn error(text: &str) -> String {
    let mut line = format!("<{}>", priority(Level::ERROR));
    let _ = OneLine { out: &mut line, room: LONGEST }.write_str(text);
    line
}

/// What syslog(3) calls it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// One event as one line.
#[derive(Debug)]
pub(super) struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(out, "<{}>", priority(*event.metadata().level()))?;
        let mut line = OneLine { out: &mut out, room: LONGEST };
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            line.write_str(span.name())?;
            match span.extensions().get::<FormattedFields<N>>() {
                Some(fields) if !fields.is_empty() => write!(line, "{{{fields}}}: ")?,
                _ => line.write_str(": ")?,
            }
        }
        write!(line, "{}: ", event.metadata().target())?;
        context.format_fields(Writer::new(&mut line), event)?;
        out.write_char('\n')
    }
}

/// Escapes what would end the line, and ends it where it is too long.
struct OneLine<'a, W> {
    out: &'a mut W,
    /// Bytes that still fit.
    room: usize,
}

impl<W: Write> Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(char::is_control) {
            let (plain, control) = match piece.char_indices().next_back() {
                Some((at, last)) if last.is_control() => (&piece[..at], Some(last)),
                _ => (piece, None),
            };
            self.put(plain)?;
            match control {
                Some('\t') => self.put("\t")?,
                Some(control) => self.put(&control.escape_default().to_string())?,
                None => {}
            }
        }
        Ok(())
    }
}

impl<W: Write> OneLine<'_, W> {
    fn put(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.room {
            self.room -= text.len();
            return self.out.write_str(text);
        }
        let fits = &text[..text.floor_char_boundary(self.room)];
        let was_cut = std::mem::take(&mut self.room) == 0;
        self.out.write_str(fits)?;
        if was_cut { Ok(()) } else { self.out.write_str("…") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        assert!(names("8:1234", 8, 1234));
        for other in ["", "8", "8:", ":1234", "9:1234", "8:1235", "8:1234:1", "a:b"] {
            assert!(!names(other, 8, 1234), "{other}");
        }
    }

    fn line(texts: &[&str]) -> String {
        let mut out = String::new();
        let mut line = OneLine { out: &mut out, room: LONGEST };
        texts.iter().for_each(|text| line.write_str(text).unwrap());
        out
    }

    #[test]
    fn nothing_ends_a_line_but_its_end() {
        assert_eq!(line(&["a\nb\r\n", "\0c\td", "\n"]), "a\\nb\\r\\n\\u{0}c\td\\n");
        assert_eq!(line(&["plain", " é"]), "plain é");
        assert_eq!(error("a\nb"), "<3>a\\nb");
    }

    #[test]
    fn a_line_that_the_journal_would_cut_is_cut_before() {
        let long = line(&[&"é".repeat(LONGEST), "more", "\n"]);
        assert!(long.ends_with("é…") && long.len() <= LONGEST + "…".len(), "{}", long.len());
        let full = line(&[&"x".repeat(LONGEST)]);
        assert_eq!(full.len(), LONGEST);
    }
}
