//! Comparing an answer with what a step expects. Answers are read as XML; their text is looked at only where a case is
//! about initiators that do not read XML.

use hyper::HeaderMap;
use hyper::header::HeaderValue;

use super::answer::Answer;
use super::case::{Pattern, Step, Value};
use super::options::Profile;
use super::placeholders::Placeholders;
use crate::pap::outline::Node;

/// An expectation that was not met.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) expected: String,
    pub(super) came: String,
}

fn unless(met: bool, expected: impl FnOnce() -> String, came: impl FnOnce() -> String) -> Result<(), Mismatch> {
    if met { Ok(()) } else { Err(Mismatch { expected: expected(), came: came() }) }
}

pub(super) fn check(
    step: &Step,
    placeholders: &Placeholders,
    profile: Profile,
    answer: &Answer,
) -> Result<(), Mismatch> {
    let came = || answer.summary();
    match step.http.map(|status| profile.status(status)) {
        Some(status) => unless(answer.status == status, || format!("HTTP status {status}"), came)?,
        None => unless((200..300).contains(&answer.status), || "HTTP status 2xx".into(), came)?,
    }
    let is_refusal = refusal(step, profile, answer)?;
    if !is_refusal {
        check_elements(step, placeholders, answer)?;
        check_text(step, placeholders, &answer.text)?;
    }
    let flaw = answer.flaw.as_deref().filter(|_| step.well_formed);
    unless(flaw.is_none(), || "well-formed XML".into(), || flaw.unwrap_or_default().to_owned())?;
    check_doctype(step, placeholders, answer)?;
    check_head(step, &answer.headers)
}

/// Which documents and codes a step takes, in words.
pub(super) fn wanted(step: &Step) -> String {
    let names = step.answer.as_slice().join(" or ");
    match step.code.as_slice() {
        [] => names,
        codes => format!("{names} with code {}", codes.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")),
    }
}

/// Whether a push was refused as the profile has it: with a bad message in place of the push-response.
fn refusal(step: &Step, profile: Profile, answer: &Answer) -> Result<bool, Mismatch> {
    let pushes = step.answer.as_slice().iter().any(|name| name == "push-response");
    let refused = answer.code().is_some_and(|code| !(1000..2000).contains(&code));
    if profile != Profile::Blackberry || !pushes || !refused {
        return Ok(false);
    }
    let name = answer.document().map_or("", |document| document.name.as_str());
    let expected = || format!("a badmessage-response for a refused push ({})", wanted(step));
    unless(name == "badmessage-response", expected, || answer.summary())?;
    let taken = step.code.is_empty() || answer.code().is_some_and(|code| step.code.contains(&code));
    unless(taken, expected, || answer.summary()).map(|()| true)
}

fn check_elements(step: &Step, placeholders: &Placeholders, answer: &Answer) -> Result<(), Mismatch> {
    let name = answer.document().map_or("", |document| document.name.as_str());
    let named = step.answer.as_slice().iter().any(|wanted| wanted == name);
    let coded = step.code.is_empty() || answer.code().is_some_and(|code| step.code.contains(&code));
    unless(named && coded, || wanted(step), || answer.summary())?;
    let all = answer.document().map(Node::all).unwrap_or_default();
    for pattern in &step.has {
        let found = all.iter().any(|node| matches(pattern, node, placeholders));
        unless(found, || format!("an element {}", show(pattern, placeholders)), || seen(&pattern.element, &all))?;
    }
    for pattern in &step.lacks {
        let found = all.iter().any(|node| matches(pattern, node, placeholders));
        unless(!found, || format!("no element {}", show(pattern, placeholders)), || seen(&pattern.element, &all))?;
    }
    let mut children: Vec<&str> = answer.document().iter().flat_map(|d| &d.children).map(|c| c.name.as_str()).collect();
    children.dedup();
    unless(
        step.children.is_empty() || step.children == children,
        || format!("in the {name}: {}", step.children.join(", then ")),
        || children.join(", then "),
    )
}

fn matches(pattern: &Pattern, node: &Node, placeholders: &Placeholders) -> bool {
    node.name == pattern.element
        && pattern.attributes.iter().all(|(name, value)| match (node.get(name), value) {
            (Some(found), Value::Is(wanted)) => found == placeholders.fill(wanted),
            (found, Value::Any(any)) => found.is_some() == *any,
            (None, Value::Is(_)) => false,
        })
}

fn show(pattern: &Pattern, placeholders: &Placeholders) -> String {
    let attributes = pattern.attributes.iter().map(|(name, value)| match value {
        Value::Is(value) => format!(" {name}={:?}", placeholders.fill(value)),
        Value::Any(true) => format!(" {name}=…"),
        Value::Any(false) => format!(" without {name}"),
    });
    format!("<{}{}>", pattern.element, attributes.collect::<String>())
}

/// The elements of a name, with their attributes.
fn seen(name: &str, all: &[&Node]) -> String {
    let shown = all.iter().filter(|node| node.name == name).take(4).map(|node| {
        let short = |value: &str| value.chars().take(100).collect::<String>();
        let attributes = node.attributes.iter().map(|(name, value)| format!(" {name}={:?}", short(value)));
        format!("<{name}{}>", attributes.collect::<String>())
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() { format!("no element <{name}>") } else { shown.join(", ") }
}

fn check_doctype(step: &Step, placeholders: &Placeholders, answer: &Answer) -> Result<(), Mismatch> {
    let outline = answer.outline.as_ref().ok();
    let public_id = outline.and_then(|outline| outline.public_id.as_deref()).unwrap_or("none");
    let versions: Vec<String> = step.doctype.iter().map(|version| placeholders.fill(version)).collect();
    let named = versions.iter().any(|version| public_id == format!("-//WAPFORUM//DTD PAP {version}//EN"));
    unless(
        named || versions.is_empty(),
        || format!("the DOCTYPE of PAP {}", versions.join(" or ")),
        || format!("the public identifier {public_id:?}"),
    )?;
    let told = outline.and_then(|outline| outline.supported_versions.as_deref());
    let expected = || if told.is_some() { "no instruction wap-pap-ver" } else { "the instruction wap-pap-ver" }.into();
    let came = || told.map_or_else(|| "no such instruction".into(), |list| format!("supported-versions={list:?}"));
    unless(step.tells_versions.is_none_or(|wanted| wanted == told.is_some()), expected, came)
}

fn check_text(step: &Step, placeholders: &Placeholders, answer: &str) -> Result<(), Mismatch> {
    let came = || format!("{:?}", answer.chars().take(600).collect::<String>());
    for text in step.text.iter().map(|text| placeholders.fill(text)) {
        unless(answer.contains(&text), || format!("the text {text:?}"), came)?;
    }
    for text in step.text_lacks.iter().map(|text| placeholders.fill(text)) {
        unless(!answer.contains(&text), || format!("not the text {text:?}"), came)?;
    }
    Ok(())
}

fn check_head(step: &Step, headers: &HeaderMap) -> Result<(), Mismatch> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
    let has = |begin: &String| lines.iter().any(|line| line.starts_with(begin.as_str()));
    let came = || format!("{lines:?}");
    if let Some(missing) = step.head.iter().find(|begin| !has(begin)) {
        return unless(false, || format!("a header that begins with {missing:?}"), came);
    }
    match step.head_lacks.iter().find(|begin| has(begin)) {
        Some(unwanted) => unless(false, || format!("no header that begins with {unwanted:?}"), came),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::Reply;
    use crate::cli::pap_check::options::Pap;

    const REFUSED: &str = "<pap><push-response push-id='p'><response-result code ='2002'/></push-response></pap>";
    const BAD: &str = "<pap><badmessage-response code='2002'/></pap>";

    fn looked_at(step: &str, profile: Profile, status: u16, body: &str) -> Result<(), Mismatch> {
        let step = toml::from_str::<Step>(&format!("body = ''\n{step}")).unwrap();
        let reply = Reply {
            status: hyper::StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter([(hyper::header::CONTENT_TYPE, HeaderValue::from_static("Application/XML"))]),
            body: body.to_owned().into(),
        };
        check(&step, &Placeholders::new("1", None, Pap::V2_0), profile, &Answer::of(reply))
    }

    fn spec(step: &str, body: &str) -> Result<(), Mismatch> {
        looked_at(step, Profile::Spec, 202, body)
    }

    #[test]
    fn a_head_is_looked_at_by_its_lines() {
        let step = |text: &str| format!("answer = 'push-response'\n{text}");
        assert_eq!(spec(&step("head = ['content-type: application/xml']"), REFUSED), Ok(()));
        assert!(spec(&step("head = ['content-length: ']"), REFUSED).is_err());
        assert!(spec(&step("head_lacks = ['content-type: ']"), REFUSED).is_err());
    }

    #[test]
    fn an_attribute_in_single_quotes_was_not_found() {
        let step = |text: &str| format!("answer = 'push-response'\n{text}");
        assert_eq!(spec(&step("has = [{ element = 'push-response', push-id = 'p' }]"), REFUSED), Ok(()));
        assert_eq!(spec(&step("lacks = [{ element = 'push-response', desc = true }]"), REFUSED), Ok(()));
        assert_eq!(spec(&step("children = ['response-result']"), REFUSED), Ok(()));
        let missing = spec(&step("has = [{ element = 'push-response', push-id = 'q' }]"), REFUSED).unwrap_err();
        assert_eq!(missing.expected, "an element <push-response push-id=\"q\">");
        assert_eq!(missing.came, "<push-response push-id=\"p\">");
        assert!(spec(&step("lacks = [{ element = 'push-response', push-id = true }]"), REFUSED).is_err());
        assert!(spec(&step("children = ['progress-note', 'response-result']"), REFUSED).is_err());
    }

    #[test]
    fn doctypes_are_compared_by_their_public_identifier() {
        let with = |subset: &str| format!("<!DOCTYPE pap PUBLIC '-//WAPFORUM//DTD PAP 2.0//EN' 'x'{subset}>{REFUSED}");
        let step = |text: &str| format!("answer = 'push-response'\n{text}");
        assert_eq!(spec(&step("doctype = ['1.0', '{pap}']"), &with("")), Ok(()));
        assert!(spec(&step("doctype = ['1.0']"), &with("")).is_err());
        assert!(spec(&step("doctype = ['2.0']"), REFUSED).is_err());
        let told = with("[<?wap-pap-ver supported-versions='2.0'?>]");
        for (body, wanted) in [(&told, true), (&with(""), false)] {
            assert_eq!(spec(&step(&format!("tells_versions = {wanted}")), body), Ok(()));
            assert!(spec(&step(&format!("tells_versions = {}", !wanted)), body).is_err());
        }
    }

    #[test]
    fn there_was_no_word_for_a_gateway_that_refuses_with_a_bad_message_and_200() {
        let step = "answer = 'push-response'\ncode = [1001, 2002]\nhttp = 202\nhas = [{ element = 'push-response' }]";
        assert_eq!(looked_at(step, Profile::Spec, 202, REFUSED), Ok(()));
        assert_eq!(looked_at(step, Profile::Blackberry, 200, BAD), Ok(()));
        for (profile, status, body) in [
            (Profile::Spec, 202, BAD),
            (Profile::Spec, 200, REFUSED),
            (Profile::Blackberry, 200, REFUSED),
            (Profile::Blackberry, 202, BAD),
            (Profile::Blackberry, 200, &BAD.replace("2002", "2000")),
        ] {
            assert!(looked_at(step, profile, status, body).is_err(), "{profile:?} {status} {body}");
        }
    }

    #[test]
    fn what_was_expected_and_what_came_is_told() {
        let mismatch = spec("answer = ['push-response', 'cancel-response']\ncode = [1001, 3005]", REFUSED).unwrap_err();
        assert_eq!(mismatch.expected, "push-response or cancel-response with code 1001 or 3005");
        assert_eq!(mismatch.came, "HTTP 202, push-response with code 2002");
    }
}
