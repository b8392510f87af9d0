//! The push of the demo, and how its PAP request looks on a screen.

use crate::cli::push::Submission;
use crate::pap::document::{DeliveryMethod, PushMessage, QualityOfService};

pub(super) const GROUP: &str = "demo";
/// Bytes of the largest packet that the small device takes: its own answers fit, [`TEXT`] does not.
pub(super) const SMALL: u32 = 256;
pub(super) const TEXT: &str = "\
    Hello, group! One request, sent to all of you. The push initiator does not know how many you are: it named a group \
    ID, and the gateway knows who is in it. Whoever is connected has this now. Whoever is switched off gets it when he is \
    back, in order and once, and nobody has to send it again. Whoever cannot take as many bytes is named in the report, \
    with the reason, and holds up nobody else.";
/// Where the list of devices would be: one address.
const ADDRESS: &str = "WAPPUSH=demo/TYPE=GROUP@papcast.example";

/// Columns of a line of the request, so that it fits with its margin on 80.
const WIDTH: usize = 72;

pub(super) fn submission(push_id: &str) -> Submission {
    let message = PushMessage {
        push_id: push_id.to_owned(),
        addresses: vec![ADDRESS.to_owned()],
        quality_of_service: Some(QualityOfService { delivery_method: DeliveryMethod::Confirmed, ..Default::default() }),
        ..PushMessage::default()
    };
    Submission::new(message, "text/plain", TEXT.as_bytes())
}

/// The lines of the request, long ones folded, and of the text only the beginning.
pub(super) fn shown(host: &str, submission: &Submission) -> Vec<String> {
    let kind = format!("Content-Type: {}", submission.content_type);
    let body = String::from_utf8_lossy(&submission.body);
    let head = ["POST /pap HTTP/1.1".to_owned(), format!("Host: {host}"), kind, String::new()];
    let lines = head.into_iter().chain(body.lines().map(str::to_owned));
    lines.flat_map(|line| if line == TEXT { vec![beginning(TEXT)] } else { fold(&line) }).collect()
}

fn beginning(text: &str) -> String {
    let words: String = text.chars().take(46).collect();
    format!("{}… ({} bytes)", words.trim_end(), text.len())
}

/// Breaks a long line where one tag ends and the next begins, and what is still too long at blanks.
fn fold(line: &str) -> Vec<String> {
    let tags = line.replace("><", ">\u{0}<");
    let lines = fill(tags.split('\u{0}'));
    let lines = lines
        .iter()
        .flat_map(|line| if line.len() > WIDTH { fill(line.split_inclusive(' ')) } else { vec![line.clone()] });
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// As many pieces to a line as fit; the lines below the first are indented.
fn fill<'a>(pieces: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.chars().count() + piece.trim_end().chars().count() <= WIDTH => {
                line.push_str(piece);
            }
            _ => lines.push(format!("    {piece}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_fits_on_a_screen_and_nothing_but_the_text_is_left_out() {
        let submission = submission("demo-1");
        let shown = shown("127.0.0.1:65535", &submission);
        assert!(shown.iter().all(|line| line.chars().count() <= WIDTH), "{shown:#?}");
        let solid = |text: &str| text.split_whitespace().collect::<String>();
        let sent = String::from_utf8(submission.body.clone()).unwrap().replace(TEXT, &beginning(TEXT));
        assert!(solid(&shown.join("\n")).ends_with(&solid(&sent)), "{shown:#?}");
        assert!(TEXT.len() > SMALL as usize);
    }
}
