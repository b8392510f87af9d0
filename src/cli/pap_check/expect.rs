//! Looking at an answer as simple initiators do: by its text. Nothing of papcast's own decoder takes part.

use hyper::HeaderMap;
use hyper::header::HeaderValue;

use super::case::Step;
use super::placeholders::Placeholders;

/// Why the answer is not the one expected.
pub(super) fn check(step: &Step, placeholders: &Placeholders, status: u16, answer: &str) -> Result<(), String> {
    match step.http {
        Some(expected) if expected != status => return Err(format!("HTTP status {status}, expected {expected}")),
        None if !(200..300).contains(&status) => return Err(format!("HTTP status {status}, expected 2xx")),
        _ => {}
    }
    let element = first_element(answer).unwrap_or("nothing");
    if element != step.answer {
        return Err(format!("answered with {element} ({}), expected {}", code(answer).unwrap_or(0), step.answer));
    }
    match code(answer) {
        Some(found) if !step.code.is_empty() && !step.code.contains(&found) => {
            return Err(format!("code {found}, expected {:?}", step.code));
        }
        None if !step.code.is_empty() => return Err("no code=\"NNNN\" in the answer".into()),
        _ => {}
    }
    for text in step.contains.iter().map(|text| placeholders.fill(text)) {
        if !answer.contains(&text) {
            return Err(format!("the answer has no {text:?}"));
        }
    }
    for text in step.lacks.iter().map(|text| placeholders.fill(text)) {
        if answer.contains(&text) {
            return Err(format!("the answer has {text:?}"));
        }
    }
    Ok(())
}

/// Why the head of the answer is not the one expected.
pub(super) fn check_head(step: &Step, headers: &HeaderMap) -> Result<(), String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
    let has = |begin: &String| lines.iter().any(|line| line.starts_with(begin.as_str()));
    if let Some(missing) = step.head.iter().find(|begin| !has(begin)) {
        return Err(format!("the head of the answer has no {missing:?}"));
    }
    if let Some(unwanted) = step.head_lacks.iter().find(|begin| has(begin)) {
        return Err(format!("the head of the answer has {unwanted:?}"));
    }
    Ok(())
}

/// The element inside `<pap>`.
fn first_element(answer: &str) -> Option<&str> {
    let pap = answer.split_once("<pap")?.1;
    let inside = pap.split_once('>')?.1;
    let element = inside.split_once('<')?.1;
    element.split(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/').next()
}

/// The four digits after the first `code="`.
fn code(answer: &str) -> Option<u16> {
    answer.split_once("code=\"")?.1.get(..4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_looked_at_by_its_lines() {
        let step = |text: &str| toml::from_str::<Step>(&format!("body = ''\nanswer = 'x'\n{text}")).unwrap();
        let head = HeaderMap::from_iter([(hyper::header::CONTENT_TYPE, HeaderValue::from_static("Application/XML"))]);
        assert_eq!(check_head(&step("head = ['content-type: application/xml']"), &head), Ok(()));
        assert!(check_head(&step("head = ['content-length: ']"), &head).is_err());
        assert!(check_head(&step("head_lacks = ['content-type: ']"), &head).is_err());
    }

    #[test]
    fn answers_are_read_by_their_text() {
        let answer = "<?xml version=\"1.0\"?><!DOCTYPE pap>\n<pap product-name=\"x\"><cancel-response push-id=\"p\"><cancel-result code=\"1000\"/>";
        assert_eq!((first_element(answer), code(answer)), (Some("cancel-response"), Some(1000)));
        assert_eq!((first_element("<html>"), code("code=\"99")), (None, None));
    }
}
