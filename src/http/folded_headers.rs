//! Heads of HTTP requests, looked at before hyper sees them, for one thing only: header lines that go on in the next line
//! (obs-fold, RFC 9112 §5.2). The specification of PAP writes its own example so (WAP-247 §13.3), and hyper refuses them.
//!
//! What stands on two lines is what smuggles requests past proxies that read it otherwise. So a folded head is put right only
//! where nobody can be of two minds about where its body ends: one Content-Length on one line, no Transfer-Encoding, every
//! line ended by CRLF, nothing that a proxy may need folded. It is the last request of its connection. Everything else that
//! is folded is answered with why not.

/// A head that is longer is left to hyper, folded or not.
pub(super) const LONGEST: usize = 64 * 1024;

/// How far a head has been looked at; every byte is looked at once, however it drips in.
#[derive(Debug, Default)]
pub(super) struct Scan {
    looked: usize,
    line: usize,
    begun: bool,
    folded: bool,
}

/// What is to be done with a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// hyper reads it as it is. How long its body is, where that is easily said.
    Plain(Option<u64>),
    /// hyper reads this one in its place; its body has so many bytes, and nothing follows it.
    Unfolded(Vec<u8>, u64),
    /// Nobody should read it.
    Refused(&'static str),
}

impl Scan {
    /// Where the head ends that `bytes` begin with, if it does. They may only grow from one call to the next.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(length) = bytes[self.looked..].iter().position(|byte| *byte == b'\n') {
            let end = self.looked + length + 1;
            let line = bytes[self.line..end].trim_ascii_end();
            let blank_first = matches!(bytes[self.line], b' ' | b'\t');
            let empty = line.is_empty() && !blank_first;
            self.looked = end;
            self.line = end;
            if empty && self.begun {
                return Some(end);
            }
            self.folded |= blank_first && self.begun;
            // Empty lines before the request are nothing (RFC 9112 §2.2).
            self.begun |= !empty;
        }
        self.looked = bytes.len();
        None
    }

    /// Judges a head that is whole.
    pub(super) fn judge(&self, head: &[u8]) -> Head {
        if !self.folded {
            return Head::Plain(body_length(head));
        }
        match unfold(head) {
            Ok((head, body)) => Head::Unfolded(head, body),
            Err(why) => Head::Refused(why),
        }
    }
}

/// The length of the body that follows a head without folds; none where that takes more than one look.
fn body_length(head: &[u8]) -> Option<u64> {
    let mut length = None;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = line[..colon].trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") || name.eq_ignore_ascii_case(b"upgrade") {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = number(line[colon + 1..].trim_ascii())?;
            if length.replace(value).is_some() {
                return None;
            }
        }
    }
    let is_connect = head.trim_ascii_start().starts_with(b"CONNECT ");
    (!is_connect).then_some(length.unwrap_or(0))
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

/// Headers that say where a request ends, whose it is, or how it goes from hop to hop.
const ON_ONE_LINE: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The head with every header on one line and the connection closed after it, and the length of its body.
fn unfold(head: &[u8]) -> Result<(Vec<u8>, u64), &'static str> {
    let mut out = Vec::with_capacity(head.len() + 24);
    let mut lines = lines(head)?.into_iter();
    out.extend_from_slice(lines.next().ok_or("a request without a request line")?);
    out.extend_from_slice(b"\r\n");
    let mut headers: Vec<(String, Vec<u8>, bool)> = Vec::new();
    for line in lines {
        if matches!(line[0], b' ' | b'\t') {
            let text = line.trim_ascii();
            let (_, value, folded) = headers.last_mut().ok_or("the request line goes on in the next line")?;
            if text.is_empty() {
                return Err("a line of a folded header is empty");
            }
            value.push(b' ');
            value.extend_from_slice(text);
            *folded = true;
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or("a line that is no header")?;
        let name = std::str::from_utf8(&line[..colon]).unwrap_or_default();
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        {
            return Err("the name of a header is not as it should be");
        }
        headers.push((name.to_ascii_lowercase(), line.to_vec(), false));
    }
    let mut length = None;
    for (name, line, folded) in headers {
        if folded && ON_ONE_LINE.contains(&name.as_str()) {
            return Err("a header that has to be on one line is folded (Content-Length, Host or such)");
        }
        match name.as_str() {
            "transfer-encoding" => return Err("a folded header and a Transfer-Encoding"),
            "upgrade" => return Err("a folded header and an Upgrade"),
            // This one is the last.
            "connection" | "keep-alive" | "proxy-connection" => continue,
            "content-length" => {
                let value = number(line[name.len() + 1..].trim_ascii()).ok_or("a Content-Length that is no number")?;
                if length.replace(value).is_some() {
                    return Err("a folded header and more than one Content-Length");
                }
            }
            _ => {}
        }
        out.extend_from_slice(&line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    Ok((out, length.ok_or("a folded header and no Content-Length")?))
}

/// The lines of a head, none of them empty.
fn lines(head: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    let mut lines = Vec::new();
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").ok_or("a folded header, and a line that does not end in CRLF")?;
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err("a folded header, and a control character");
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// A request without a body to the same target, to be answered with why the real one is not read.
pub(super) fn stand_in(head: &[u8]) -> Vec<u8> {
    let line = head.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let target = std::str::from_utf8(target).ok().filter(|target| {
        target.starts_with('/')
            && target.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte))
    });
    let target = target.unwrap_or("/");
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(head: &str) -> Head {
        let mut scan = Scan::default();
        // A byte at a time, as it may come.
        for length in 0..head.len() {
            assert_eq!(scan.end(&head.as_bytes()[..length]), None, "{head:?} at {length}");
        }
        assert_eq!(scan.end(head.as_bytes()), Some(head.len()), "{head:?}");
        scan.judge(head.as_bytes())
    }

    #[test]
    fn what_is_not_folded_is_left_as_it_is() {
        for (head, body) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", Some(0)),
            ("\r\n\nGET / HTTP/1.1\nHost: x\n\n", Some(0)),
            ("POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 12\r\n\r\n", Some(12)),
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", None),
            ("POST / HTTP/1.1\r\nContent-Length: 1 2\r\n\r\n", None),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", None),
            ("CONNECT x HTTP/1.1\r\n\r\n", None),
        ] {
            assert_eq!(judge(head), Head::Plain(body), "{head:?}");
        }
    }

    #[test]
    fn a_folded_header_is_put_on_one_line() {
        let head = "POST /pap HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Type: multipart/related; boundary=b;\r\n        type=\"application/xml\"\r\nContent-Length: 191\r\n\r\n";
        let put_right = "POST /pap HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/related; boundary=b; type=\"application/xml\"\r\nContent-Length: 191\r\nConnection: close\r\n\r\n";
        assert_eq!(judge(head), Head::Unfolded(put_right.into(), 191));
    }

    #[test]
    fn what_two_readers_may_take_for_two_requests_is_refused() {
        let with = |headers: &str| format!("POST /pap HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n{headers}\r\n");
        assert!(matches!(judge(&with("Content-Length: 3\r\n")), Head::Unfolded(_, 3)));
        for headers in [
            "",
            "Content-Length:\r\n 3\r\n",
            "Content-Length: 3\r\n 4\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 3\r\nTransfer-Encoding:\r\n chunked\r\n",
            "Content-Length: 3\r\nX: y\r\n \r\n",
            "Content-Length: 3\r\nX: y\n z\r\n",
            "Content-Length: 3\r\nX: y\r z\r\n",
            "Content-Length : 3\r\n",
            "Content-Length: 3\r\nno header\r\n",
            "Content-Length: 3\r\nExpect:\r\n 100-continue\r\n",
        ] {
            assert!(matches!(judge(&with(headers)), Head::Refused(_)), "{headers:?}");
        }
        assert!(matches!(judge("POST /pap\r\n HTTP/1.1\r\nContent-Length: 3\r\n\r\n"), Head::Refused(_)));
    }

    #[test]
    fn the_stand_in_has_the_target_and_nothing_else() {
        let target =
            |head: &str| String::from_utf8(stand_in(head.as_bytes())).unwrap().split(' ').nth(1).unwrap().to_owned();
        assert_eq!(target("POST /mss/PD_pushRequest HTTP/1.1\r\nX: y\r\n z\r\n\r\n"), "/mss/PD_pushRequest");
        for other in ["POST\r\n /a HTTP/1.1", "POST http://x/ HTTP/1.1", "POST /a\u{e9} HTTP/1.1", "POST", ""] {
            assert_eq!(target(other), "/", "{other}");
        }
    }
}
