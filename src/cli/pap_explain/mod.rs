//! `papcast pap-explain`

mod words;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::pap::repair::Repair;
use crate::pap::{self, Limits};

/// Say in words what a PAP document means, and what is wrong with it.
///
/// The file holds the body of an HTTP request: a multipart submission, or an XML document alone. A request head may stand
/// before it. Nothing is sent anywhere.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    file: PathBuf,
    /// The Content-Type it is posted with; found out where it is missing.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// As many addresses as anybody may want to have explained.
const ADDRESSES: usize = 1_000_000;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.file.display().to_string();
    let bytes = std::fs::read(&args.file).with_context(|| format!("{name}: cannot be read"))?;
    let (head_type, body) = without_head(&bytes);
    let content_type = args.content_type.clone().or(head_type).or_else(|| guess(body));
    let read = |strict| {
        pap::parse(content_type.as_deref(), body, Limits { addresses: ADDRESSES, strict, ..Limits::default() })
    };
    let request = match read(false) {
        Ok(request) => request,
        Err(failure) => {
            let code = if failure.version { 3002 } else { 2000 };
            if args.json {
                let repairs: Vec<_> = failure.repairs.as_slice().iter().map(shown).collect();
                println!("{}", serde_json::json!({ "code": code, "desc": failure.desc, "repairs": repairs }));
            }
            anyhow::bail!("{name}: a gateway would answer with a badmessage-response {code}: {}", failure.desc);
        }
    };
    let strict = read(true).err().map(|failure| failure.desc);
    let facts = words::facts(&request);
    if args.json {
        let facts: serde_json::Map<_, _> =
            facts.into_iter().map(|(what, text)| (what.to_owned(), text.into())).collect();
        let repairs: Vec<_> = request.repairs.as_slice().iter().map(shown).collect();
        let unknown = request.repairs.unknown();
        println!("{}", serde_json::json!({ "facts": facts, "repairs": repairs, "unknown": unknown, "strict": strict }));
        return Ok(());
    }
    for (what, text) in facts {
        for (number, line) in text.lines().enumerate() {
            println!("{:<22} {line}", if number == 0 { what } else { "" });
        }
    }
    for repair in request.repairs.as_slice() {
        println!("{:<22} {repair} (row {} of docs/pap.md)", "straightened", repair.row());
    }
    if !request.repairs.unknown().is_empty() {
        println!("{:<22} {}", "unknown, and ignored", request.repairs.unknown().join(", "));
    }
    match strict {
        Some(reason) => println!("{:<22} refused: {reason}", "by a strict endpoint"),
        None => println!("{:<22} taken as it is", "by a strict endpoint"),
    }
    Ok(())
}

fn shown(repair: &Repair) -> serde_json::Value {
    serde_json::json!({ "row": repair.row(), "what": repair.to_string() })
}

/// Takes a request head away, if there is one: its Content-Type, and the body.
fn without_head(bytes: &[u8]) -> (Option<String>, &[u8]) {
    let is_head = bytes.starts_with(b"POST ") || bytes.to_ascii_lowercase().starts_with(b"content-type:");
    let ends = [&b"\r\n\r\n"[..], b"\n\n"];
    let end = ends.iter().filter_map(|end| Some((find(bytes, end)?, end.len()))).min();
    let (true, Some((at, length))) = (is_head, end) else { return (None, bytes) };
    let head = String::from_utf8_lossy(&bytes[..at]).replace("\r\n ", " ").replace("\r\n\t", " ");
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    (value, &bytes[at + length..])
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A body that begins with a delimiter names its own boundary; one that begins with markup is XML.
fn guess(body: &[u8]) -> Option<String> {
    let first = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty())?;
    if first.starts_with(b"<") {
        return Some("application/xml".into());
    }
    let boundary = std::str::from_utf8(first.strip_prefix(b"--")?).ok()?;
    Some(format!("multipart/related; boundary=\"{boundary}\"; type=\"application/xml\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_told_from_a_body() {
        let (kind, body) = without_head(
            b"POST /pap HTTP/1.1\r\nHost: x\r\ncontent-TYPE: multipart/related;\r\n boundary=b\r\n\r\n--b\r\n",
        );
        assert_eq!((kind.as_deref(), body), (Some("multipart/related; boundary=b"), &b"--b\r\n"[..]));
        assert_eq!(without_head(b"<pap/>\n\n"), (None, &b"<pap/>\n\n"[..]));
        assert_eq!(without_head(b"Content-Type: a/b"), (None, &b"Content-Type: a/b"[..]));
        assert_eq!(
            guess(b"\r\n--x=1 \r\n").as_deref(),
            Some("multipart/related; boundary=\"x=1\"; type=\"application/xml\"")
        );
        assert_eq!(guess(b"\n<pap/>").as_deref(), Some("application/xml"));
        assert_eq!(guess(b"hello"), None);
    }
}
