//! Every document in every version: what is written is read again as it was, by the strict reader and with nothing to
//! repair.

use papcast::pap::code::{Code, State};
use papcast::pap::document::{
    BadMessage, CancelMessage, CancelResponse, CancelResult, CapabilitiesQuery, CapabilitiesResponse, DeliveryMethod,
    Priority, ProgressNote, PushMessage, PushResponse, QualityOfService, Replace, ReplaceMethod, ResultNotification,
    ResultNotificationResponse, StatusQuery, StatusQueryResponse, StatusQueryResult,
};
use papcast::pap::{self, Dialect, Document, Limits, Version};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What an attribute can hold. Not empty, because that counts as missing; without the characters that XML 1.0 cannot
/// carry even as references (U+FFFD is written for them); short enough that its references stay within the limit of a
/// value.
fn text() -> impl Strategy<Value = String> {
    let marked = prop::sample::select(vec!['"', '\'', '<', '>', '&', ';', '#', ' ', '\t', '\n', '\r', ']', '=', '/']);
    let far =
        prop::sample::select(vec!['é', 'ß', '☃', '𝄞', '👩', '\u{200d}', '\u{85}', '\u{2028}', '\u{feff}', '\u{7f}']);
    let plain = prop::char::range(' ', '~');
    let any = any::<char>().prop_filter("XML cannot carry it", |c| {
        matches!(c, '\t' | '\n' | '\r') || (*c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
    });
    let words = prop::sample::select(vec!["&amp;", "&#10;", "]]>", "-->", "?>", "</pap>", "\r\n", "code=\"2000\""]);
    let piece = prop_oneof![
        4 => plain.prop_map(String::from),
        3 => marked.prop_map(String::from),
        2 => far.prop_map(String::from),
        2 => any.prop_map(String::from),
        1 => words.prop_map(String::from),
    ];
    vec(piece, 1..24).prop_map(|pieces| pieces.concat())
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    option::of(text())
}

/// All seconds that have four digits for the year; others are written as the nearest of these.
fn time() -> impl Strategy<Value = Option<i64>> {
    option::of(prop_oneof![0..=253_402_300_799_i64, Just(0), Just(253_402_300_799)])
}

/// All codes that have four digits.
fn code() -> impl Strategy<Value = Code> {
    prop_oneof![0..=9_999_u16, 1_000..=1_001_u16, 2_000..=2_008_u16].prop_map(Code)
}

/// Always there: where it is missing, the meaning of the code is written.
fn desc() -> impl Strategy<Value = Option<String>> {
    text().prop_map(Some)
}

fn state() -> impl Strategy<Value = State> {
    prop::sample::select(vec![
        State::Rejected,
        State::Pending,
        State::Delivered,
        State::Undeliverable,
        State::Expired,
        State::Aborted,
        State::Timeout,
        State::Cancelled,
        State::Unknown,
    ])
}

fn quality() -> impl Strategy<Value = Option<QualityOfService>> {
    let priority = prop::sample::select(vec![Priority::High, Priority::Medium, Priority::Low]);
    let method = prop::sample::select(vec![
        DeliveryMethod::Confirmed,
        DeliveryMethod::PreferConfirmed,
        DeliveryMethod::Unconfirmed,
        DeliveryMethod::NotSpecified,
    ]);
    let all = (priority, method, maybe(), any::<bool>(), maybe(), any::<bool>());
    option::of(all.prop_map(|(priority, delivery_method, network, network_required, bearer, bearer_required)| {
        QualityOfService { priority, delivery_method, network, network_required, bearer, bearer_required }
    }))
}

fn replace() -> impl Strategy<Value = Option<Replace>> {
    let method = prop::sample::select(vec![ReplaceMethod::All, ReplaceMethod::PendingOnly]);
    option::of((text(), method).prop_map(|(push_id, method)| Replace { push_id, method }))
}

fn push_message() -> impl Strategy<Value = Document> {
    let head = (text(), time(), time(), maybe(), maybe(), any::<bool>());
    (head, replace(), vec(text(), 1..6), quality()).prop_map(|(head, replace, addresses, quality_of_service)| {
        let (push_id, deliver_before, deliver_after, source_reference, notify_requested_to, progress_notes_requested) =
            head;
        Document::PushMessage(Box::new(PushMessage {
            push_id,
            deliver_before,
            deliver_after,
            source_reference,
            notify_requested_to,
            progress_notes_requested,
            replace,
            addresses,
            quality_of_service,
        }))
    })
}

fn push_response() -> impl Strategy<Value = Document> {
    let note = (text(), maybe(), time()).prop_map(|(stage, note, time)| ProgressNote { stage, note, time });
    (text(), maybe(), maybe(), time(), vec(note, 0..4), code(), desc()).prop_map(
        |(push_id, sender_address, sender_name, reply_time, progress_notes, code, desc)| {
            Document::PushResponse(PushResponse {
                push_id,
                sender_address,
                sender_name,
                reply_time,
                progress_notes,
                code,
                desc,
            })
        },
    )
}

fn cancel() -> impl Strategy<Value = Document> {
    let result = (code(), desc(), vec(text(), 0..4));
    let result = result.prop_map(|(code, desc, addresses)| CancelResult { code, desc, addresses });
    prop_oneof![
        (text(), vec(text(), 0..4))
            .prop_map(|(push_id, addresses)| Document::CancelMessage(CancelMessage { push_id, addresses })),
        (text(), vec(result, 1..4))
            .prop_map(|(push_id, results)| Document::CancelResponse(CancelResponse { push_id, results })),
    ]
}

fn notification() -> impl Strategy<Value = Document> {
    let head = (text(), maybe(), maybe(), time(), time());
    let whole = (head, state(), code(), desc(), text(), quality());
    whole.prop_map(|(head, state, code, desc, address, quality_of_service)| {
        let (push_id, sender_address, sender_name, received_time, event_time) = head;
        Document::ResultNotification(Box::new(ResultNotification {
            push_id,
            sender_address,
            sender_name,
            received_time,
            event_time,
            state,
            code,
            desc,
            address,
            quality_of_service,
        }))
    })
}

fn notification_response() -> impl Strategy<Value = Document> {
    (text(), code(), desc(), text()).prop_map(|(push_id, code, desc, address)| {
        Document::ResultNotificationResponse(ResultNotificationResponse { push_id, code, desc, address })
    })
}

fn status() -> impl Strategy<Value = Document> {
    let result = (time(), state(), code(), desc(), vec(text(), 0..4), quality());
    let result = result.prop_map(|(event_time, state, code, desc, addresses, quality_of_service)| StatusQueryResult {
        event_time,
        state,
        code,
        desc,
        addresses,
        quality_of_service,
    });
    prop_oneof![
        (text(), vec(text(), 0..4))
            .prop_map(|(push_id, addresses)| Document::StatusQuery(StatusQuery { push_id, addresses })),
        (text(), vec(result, 1..4))
            .prop_map(|(push_id, results)| Document::StatusQueryResponse(StatusQueryResponse { push_id, results })),
    ]
}

fn capabilities() -> impl Strategy<Value = Document> {
    prop_oneof![
        (maybe(), maybe(), text()).prop_map(|(query_id, app_id, address)| {
            Document::CapabilitiesQuery(CapabilitiesQuery { query_id, app_id, address })
        }),
        (maybe(), code(), desc(), text()).prop_map(|(query_id, code, desc, address)| {
            Document::CapabilitiesResponse(CapabilitiesResponse { query_id, code, desc, address })
        }),
    ]
}

/// No fragment here has more than the 256 characters that are written of one.
fn bad_message() -> impl Strategy<Value = Document> {
    (code(), desc(), maybe())
        .prop_map(|(code, desc, fragment)| Document::BadMessage(BadMessage { code, desc, fragment }))
}

/// The eleven documents.
pub(crate) fn document() -> impl Strategy<Value = Document> {
    prop_oneof![
        3 => push_message(),
        2 => push_response(),
        2 => cancel(),
        2 => notification(),
        1 => notification_response(),
        2 => status(),
        2 => capabilities(),
        1 => bad_message(),
    ]
}

/// The body of a request and its Content-Type: a push-message has content with it, the others come alone.
pub(crate) fn request(document: &Document, dialect: &Dialect) -> (&'static str, String) {
    let control = pap::encode(document, dialect);
    if !matches!(document, Document::PushMessage(_)) {
        return ("application/xml", control);
    }
    let body = format!(
        "--next\r\nContent-Type: application/xml\r\n\r\n{control}\r\n--next\r\nContent-Type: text/plain\r\n\r\nhello\r\n--next--\r\n"
    );
    ("multipart/related; boundary=next", body)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(document in document()) {
        for version in Version::SUPPORTED {
            let mut document = document.clone();
            if let (Document::PushMessage(message), Version::V1_0) = (&mut document, version) {
                // 1.0 has no attributes for it, so it is not written.
                message.replace = None;
            }
            let (content_type, body) = request(&document, &Dialect::of(version));
            let limits = Limits { addresses: 100, ..Limits::default() };
            let read = pap::parse(Some(content_type), body.as_bytes(), limits);
            let read = read.map_err(|failure| TestCaseError::fail(format!("{}: {body}", failure.desc)))?;
            prop_assert_eq!(&read.document, &document, "{}", body);
            prop_assert_eq!(read.dialect.version, version);
            // Addresses are any text here, and all else is as we write it.
            let bent = read.repairs.as_slice().iter().filter(|repair| !repair.row().starts_with('A'));
            prop_assert_eq!(bent.count(), 0, "{:?}: {}", read.repairs, body);
            let strict = pap::parse(Some(content_type), body.as_bytes(), Limits { strict: true, ..limits });
            prop_assert_eq!(strict.is_ok(), read.repairs.as_slice().is_empty());
        }
    }
}

#[test]
fn a_version_that_has_no_replace_does_not_write_one() {
    let replace = Some(Replace { push_id: "old".into(), method: ReplaceMethod::PendingOnly });
    let message = PushMessage { push_id: "new".into(), replace, addresses: vec!["a".into()], ..PushMessage::default() };
    let written = pap::encode(&Document::PushMessage(Box::new(message)), &Dialect::of(Version::V1_0));
    assert!(!written.contains("replace"), "{written}");
}

#[test]
fn a_plus_sign_was_taken_for_a_digit_of_a_code() {
    for (code, good) in [("1000", true), ("+100", false), ("-100", false), ("100", false), ("10000", false)] {
        let body = format!("<pap><badmessage-response code=\"{code}\"/></pap>");
        let read = pap::parse(Some("application/xml"), body.as_bytes(), Limits { addresses: 1, ..Limits::default() });
        assert_eq!(read.is_ok(), good, "{code}");
    }
}

#[test]
fn an_empty_fragment_was_written_though_empty_means_missing() {
    let message = BadMessage { code: Code::BAD_REQUEST, desc: None, fragment: Some(String::new()) };
    let written = pap::encode(&Document::BadMessage(message), &Dialect::of(Version::V2_0));
    assert!(written.ends_with("<badmessage-response code=\"2000\" desc=\"bad request\"/></pap>"), "{written}");
}
