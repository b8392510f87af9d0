//! Answers that have no end: read line by line as they come.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// Longest line, in bytes.
const LINE: usize = 1 << 20;

/// The lines of an answer.
#[derive(Debug)]
pub(super) struct Lines {
    body: Incoming,
    read: Vec<u8>,
}

impl Lines {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, read: Vec::new() }
    }

    /// The next line without its end; none where the answer has ended.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(at) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=at).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()));
            }
            anyhow::ensure!(self.read.len() <= LINE, "the gateway sends lines that are too long");
            match self.body.frame().await {
                // A gateway that stops, or is killed, is asked again.
                None | Some(Err(_)) => return Ok(None),
                Some(Ok(frame)) => self.read.extend(frame.into_data().unwrap_or_default()),
            }
        }
    }
}
