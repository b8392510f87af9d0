//! What the commands print. `println!`, `print!` and `eprintln!` mean the ones of this file everywhere in this folder: the
//! standard ones panic where nobody reads any more, as in `papcast member list news | head`.

use std::fmt::Arguments;
use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

/// The exit code of a Unix program that writes to a closed pipe (128 + SIGPIPE).
pub(super) const NOBODY_READS: u8 = 141;

macro_rules! print {
    ($($text:tt)*) => { $crate::cli::out::write(format_args!($($text)*), "") };
}

macro_rules! println {
    () => { $crate::cli::out::write(format_args!(""), "\n") };
    ($($text:tt)*) => { $crate::cli::out::write(format_args!($($text)*), "\n") };
}

/// What cannot be told to anybody is not told.
macro_rules! eprintln {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// Writes to stdout. Ends the process where nobody reads any more, quietly, and where it cannot be written, with a word.
pub(super) fn write(text: Arguments<'_>, end: &str) {
    let written = {
        let mut out = io::stdout().lock();
        out.write_fmt(text).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush())
    };
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => end_at_once(NOBODY_READS),
        Err(error) => {
            eprintln!("papcast: stdout cannot be written: {error}");
            end_at_once(1)
        }
    }
}

#[allow(clippy::exit)]
fn end_at_once(code: u8) -> ! {
    std::process::exit(i32::from(code))
}

/// One JSON object on one line, where the command is about one thing; [`list`] is for several.
pub(super) fn json(value: &Value) {
    println!("{value}");
}

/// What every command prints that lists something: all there is, so that nothing is next.
pub(super) fn list(items: &[Value]) {
    page(items, &Value::Null);
}

/// A list that goes on behind `next`.
pub(super) fn page(items: &[Value], next: &Value) {
    json(&serde_json::json!({ "items": items, "next": next }));
}

/// Rows for eyes where stdout is a terminal (aligned, with headers), for programs elsewhere (a tab between two cells).
pub(super) fn table(headers: &[&str], rows: &[Vec<String>]) {
    print!("{}", format_table(io::stdout().is_terminal(), headers, rows));
}

fn format_table(for_eyes: bool, headers: &[&str], rows: &[Vec<String>]) -> String {
    let rows = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect::<Vec<String>>());
    if !for_eyes {
        return rows.map(|row| row.join("\t") + "\n").collect();
    }
    let mut all = vec![headers.iter().map(|header| header.to_uppercase()).collect::<Vec<String>>()];
    all.extend(rows);
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..headers.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<String>>().join("  ").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}

/// A cell without what would move the cursor: names come from the network.
fn plain(cell: &str) -> String {
    cell.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_were_neither_for_eyes_nor_for_programs() {
        let rows =
            [vec!["news".into(), "3".into(), "open".into()], vec!["a long\u{1b}name".into(), "12".into(), "x".into()]];
        assert_eq!(format_table(false, &["id", "members", "policy"], &rows), "news\t3\topen\na long name\t12\tx\n");
        assert_eq!(
            format_table(true, &["id", "members", "policy"], &rows),
            "ID           MEMBERS  POLICY\nnews         3        open\na long name  12       x\n"
        );
    }
}
