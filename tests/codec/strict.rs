//! Every row of the table of repairs: straightened and noted, or refused by a strict endpoint, which says the row.

use std::collections::BTreeSet;

use papcast::pap::{self, Limits};

const PLAIN: &str = "application/xml";
const RELATED: &str = "multipart/related; boundary=b; type=\"application/xml\"";

const DOCTYPE: &str = "<?xml version=\"1.0\"?>\r\n<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\">\r\n";

fn cancel(push_id: &str, inside: &str) -> String {
    format!("{DOCTYPE}<pap><cancel-message push-id=\"{push_id}\">{inside}</cancel-message></pap>")
}

fn push(attributes: &str, children: &str) -> String {
    let control = format!("{DOCTYPE}<pap><push-message push-id=\"1\"{attributes}>{children}</push-message></pap>");
    multipart(&control)
}

fn multipart(control: &str) -> String {
    format!(
        "--b\r\nContent-Type: application/xml\r\n\r\n{control}\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
    )
}

const ADDRESS: &str = "<address address-value=\"WAPPUSH=a/TYPE=USER@p\"/>";

fn addressed(value: &str) -> String {
    cancel("1", &format!("<address address-value=\"{value}\"/>"))
}

/// Row, Content-Type, body.
fn bent() -> Vec<(&'static str, &'static str, String)> {
    let proper = push("", ADDRESS);
    let bend = |from: &str, to: &str| {
        assert!(proper.contains(from), "{from:?}");
        proper.replacen(from, to, 1)
    };
    let bend_last = |from: &str, to: &str| {
        let at = proper.rfind(from).unwrap();
        format!("{}{to}{}", &proper[..at], &proper[at + from.len()..])
    };
    vec![
        ("M1", RELATED, proper.replace("\r\n", "\n")),
        ("M1", RELATED, bend("Content-Type: application/xml\r\n\r\n", "Content-Type: application/xml\n\n")),
        ("M1", RELATED, bend_last("hello\r\n", "hello\n")),
        ("M2", "multipart/related; type=\"application/xml\"", proper.clone()),
        ("M3", RELATED, bend("--b--\r\n", "")),
        ("M3", RELATED, bend("--b--", "--b")),
        ("M4", RELATED, proper.replace("--b", "  --b")),
        ("M3", RELATED, bend_last("--b--", "  --b--")),
        ("M6", "multipart/related; boundary=b; type=application/xml", proper.clone()),
        ("M6", "multipart/related; type=\"application/xml\"; boundary=\"b", proper.clone()),
        ("M6", "multipart/related; boundary=b; type=\"application/xml\";", proper.clone()),
        ("M7", "multipart/mixed; boundary=b", proper.clone()),
        (
            "M7",
            RELATED,
            bend_last("--b--", "--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--"),
        ),
        ("M8", RELATED, bend("Content-Type: application/xml\r\n\r\n", "Content-Type: application/xml\r\n")),
        ("M8", RELATED, bend_last("\r\n\r\nhello", "\r\nAlert: server down")),
        ("M10", RELATED, bend("Content-Type: application/xml", " Content-Type: application/xml")),
        ("M10", RELATED, bend("Content-Type: application/xml", "\"Content-Type: application/xml")),
        ("M10", RELATED, bend("Content-Type:", "Content-Type :")),
        ("M10", RELATED, bend("xml\r\n\r\n", "xml\r\n \r\n")),
        ("M11", RELATED, bend("Content-Type: application/xml", "\r\nContent-Type: application/xml")),
        ("M13", RELATED, bend_last("Content-Type: text/plain\r\n", "X-Wap-Application-Id: 4\r\n")),
        ("M15", RELATED, bend_last("text/plain", "text/plain\r\nContent-Encoding: binary")),
        ("M16", RELATED, cancel("1", "")),
        ("M16", RELATED, bend("Content-Type: application/xml", "Content-Type: text/plain")),
        ("M16", RELATED, bend("Content-Type: application/xml\r\n", "")),
        ("M16", "text/plain", cancel("1", "")),
        ("X1", PLAIN, cancel("1", "").replace(DOCTYPE, "")),
        ("X1", PLAIN, cancel("1", "").replace("-//WAPFORUM", "//WAPFORUM")),
        ("X1", PLAIN, cancel("1", "").replace(" \"http://www.wapforum.org/DTD/pap_2.0.dtd\"", "")),
        ("X1", PLAIN, cancel("1", "").replace("dtd\">", "dtd\" [[<?wap-pap-ver supported-versions=\"2.0\"?>]]>")),
        ("X1", PLAIN, cancel("1", "").replace("pap_2.0", "pap_2.1")),
        ("X1", PLAIN, cancel("1", "").replace("pap_2.0", "wml_1.1")),
        ("X1", PLAIN, cancel("1", "").replace("DTD PAP", "dtd pap")),
        ("X3", PLAIN, format!("\r\n {}", cancel("1", ""))),
        ("X4", PLAIN, cancel("1\" color=\"red", "")),
        ("X4", PLAIN, cancel("1", "<colour/>")),
        ("X4", PLAIN, cancel("1", "words")),
        ("X4", PLAIN, cancel("1", "&amp;")),
        ("X4", PLAIN, cancel("1", "<![CDATA[words]]>")),
        ("X4", RELATED, push(" ppg-notifiy-requested-to=\"http://a/\"", ADDRESS)),
        (
            "X4",
            RELATED,
            push(" replace-push-id=\"0\"", ADDRESS).replace("PAP 2.0", "PAP 1.0").replace("pap_2.0", "pap_1.0"),
        ),
        ("X4", PLAIN, cancel("1", "").replace("<pap>", "<pap colour=\"red\">")),
        ("X5", PLAIN, cancel("a&b", "")),
        ("X5", PLAIN, cancel("a", "") + "<!-- -- -->"),
        ("X5", PLAIN, cancel("a", "") + "\0"),
        ("X5", PLAIN, cancel("a&#+65;", "")),
        ("X5", PLAIN, cancel("a", "<!-- -- -->")),
        ("X5", PLAIN, cancel("a", "<? ?>")),
        ("X5", PLAIN, cancel("a", "").replace("<pap>", "<pap \u{a0}product-name=\"2\">")),
        (
            "X5",
            RELATED,
            push("", &format!("{ADDRESS}<quality-of-service priority=\"low\"delivery-method=\"confirmed\"/>")),
        ),
        ("X5", PLAIN, cancel("a", "").replace("version=\"1.0\"", "version=\"1.0\" encoding=\"UTF-16\"")),
        ("X6", RELATED, push("", &format!("{ADDRESS}<quality-of-service delivery-method=\"CONFIRMED\"/>"))),
        ("X8", RELATED, push("", &format!("{ADDRESS}<quality-of-service delivery-method=\"application-level\"/>"))),
        ("X7", RELATED, push("", &format!("<quality-of-service/>{ADDRESS}"))),
        ("A1", PLAIN, addressed("WAPPUSH=a/TYPE=USER")),
        ("A2", PLAIN, addressed("WAPPUSH=4915112/TYPE=PLMN@p")),
        ("A3", PLAIN, addressed("WAPPUSH=a/\nTYPE=USER@p")),
        ("X6", RELATED, push(" progress-notes-requested=\"\"", ADDRESS)),
        ("T1", RELATED, push(" deliver-before-timestamp=\"\"", ADDRESS)),
        ("T1", RELATED, push(" deliver-before-timestamp=\" 2036-09-30T10:00:00Z\"", ADDRESS)),
        ("T1", RELATED, push(" deliver-before-timestamp=\"2036-09-30T10:00+02\"", ADDRESS)),
        ("T1", RELATED, push(" deliver-before-timestamp=\"2036-09-30T10:00:00,5Z\"", ADDRESS)),
        ("T1", RELATED, push(" deliver-before-timestamp=\"2036-09-31T10:00:00z\"", ADDRESS)),
    ]
}

fn read(kind: &str, body: &str, strict: bool) -> Result<pap::Request, pap::Failure> {
    pap::parse(Some(kind), body.as_bytes(), Limits { strict, ..Limits::default() })
}

#[test]
fn what_is_proper_is_taken_by_a_strict_endpoint() {
    for (kind, body) in [(RELATED, push("", ADDRESS)), (PLAIN, cancel("1", ADDRESS)), (PLAIN, addressed("group:news"))]
    {
        let request = read(kind, &body, true).unwrap();
        assert_eq!(request.repairs.as_slice(), [], "{body}");
    }
}

/// Between bare line ends the text of a delimiter is content.
#[test]
fn a_strict_endpoint_reads_content_to_the_letter() {
    for text in ["he\n--b\nllo", "\r\nContent-Type: text/html\r\n\r\nhello"] {
        let body = push("", ADDRESS).replace("hello", text);
        assert_eq!(&read(RELATED, &body, true).unwrap().content.unwrap().body[..], text.as_bytes());
    }
}

#[test]
fn every_repair_is_noted_and_a_strict_endpoint_makes_none() {
    let mut rows = BTreeSet::new();
    for (row, kind, body) in bent() {
        let request = read(kind, &body, false).unwrap_or_else(|failure| panic!("{row}: {}: {body}", failure.desc));
        let noted: Vec<&str> = request.repairs.as_slice().iter().map(|repair| repair.row()).collect();
        assert_eq!(noted, [row], "{body}");
        let failure = read(kind, &body, true).err().unwrap_or_else(|| panic!("{row} was straightened: {body}"));
        assert!(failure.desc.contains(&format!("(row {row} of docs/pap.md)")), "{}: {body}", failure.desc);
        rows.insert(row);
    }
    let all = [
        "A1", "A2", "A3", "M1", "M10", "M11", "M13", "M15", "M16", "M2", "M3", "M4", "M6", "M7", "M8", "T1", "X1",
        "X3", "X4", "X5", "X6", "X7", "X8",
    ];
    assert_eq!(rows.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn what_no_reader_of_xml_may_take_is_refused_by_all() {
    let doctype = DOCTYPE.trim_start_matches("<?xml version=\"1.0\"?>\r\n");
    for (body, why) in [
        (cancel("1", "&foo;"), "\"&foo;\" refers to an entity that PAP does not have"),
        (cancel("a&foo;", ""), "\"&foo;\" refers to an entity that PAP does not have"),
        (format!("{} words", cancel("1", "")), "something follows the root element"),
        (format!("{DOCTYPE}{doctype}<pap/>"), "there is a second DOCTYPE"),
        (format!("{DOCTYPE}words\r\n<pap/>"), "something stands before the root element that is no XML"),
        (cancel("a\u{1}", ""), "is none that XML has"),
        (cancel("a&#1;", ""), "\"&#1;\" refers to an entity that PAP does not have"),
        (cancel("a&#xFFFE;", ""), "refers to an entity"),
        (cancel("a", "<?xml version=\"1.0\"?>"), "an XML declaration inside the document"),
        (
            cancel("1", "").replace("dtd\">", "dtd\" [<!ATTLIST pap a CDATA \"b\">]>"),
            "declarations in the DOCTYPE are refused",
        ),
        (cancel("1", "").replace("dtd\">", "dtd\" [<!ENTITY a \"b\">]>"), "entity declarations are refused"),
    ] {
        for strict in [false, true] {
            let failure = read(PLAIN, &body, strict).err().unwrap_or_else(|| panic!("taken: {body}"));
            assert!(failure.desc.contains(why), "{}: {body}", failure.desc);
            assert_eq!(failure.dialect.version, pap::Version::V2_0, "{body}");
        }
    }
}

#[test]
fn a_failure_is_answered_in_the_version_that_could_be_read() {
    let version = |kind: &str, body: &str| read(kind, body, false).unwrap_err().dialect.version.to_string();
    let two_one = push("", ADDRESS).replace("PAP 2.0", "PAP 2.1");
    // The fault is in the content part, in the transfer encoding, in the charset, in the multipart body itself.
    let many = "X: y\r\n".repeat(100);
    assert_eq!(version(RELATED, &two_one.replace("Content-Type: text/plain", &format!("{many}A: b"))), "2.1");
    assert_eq!(version(RELATED, &two_one.replace("text/plain", "text/plain\r\nContent-Transfer-Encoding: x")), "2.1");
    assert_eq!(version(RELATED, &two_one.replacen("application/xml", "application/xml; charset=klingon", 1)), "2.1");
    assert_eq!(version(RELATED, &two_one.replace("--b", "+b")), "2.1");
    assert_eq!(version(PLAIN, "<pap"), "1.0");
    // In another encoding, and where that cannot be read.
    let utf_16 =
        |text: &str| -> Vec<u8> { format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect() };
    for control in [cancel("", ""), cancel("\u{1}", ""), format!("{DOCTYPE}words<pap/>")] {
        let failure = pap::parse(Some(PLAIN), &utf_16(&control), Limits::default()).unwrap_err();
        assert_eq!(failure.dialect.version, pap::Version::V2_0, "{}", failure.desc);
        assert!(failure.fragment.starts_with("<?xml version"), "{:?}", failure.fragment);
    }
    // Of a version that we do not have, in one that we do.
    assert_eq!(version(PLAIN, &cancel("", "").replace("PAP 2.0", "PAP 2.4")), "2.1");
    assert_eq!(version(PLAIN, &cancel("", "").replace("PAP 2.0", "PAP 3.0")), "1.0");
}

fn newer(body: &str) -> String {
    body.replace("PAP 2.0", "PAP 2.4").replace("pap_2.0", "pap_2.4")
}

#[test]
fn a_newer_minor_version_is_answered_in_one_that_exists() {
    let newer = newer(&cancel("1\" color=\"red", "<colour/>"));
    for strict in [false, true] {
        let request = read(PLAIN, &newer, strict).unwrap();
        assert_eq!((request.version.to_string(), request.dialect.version), ("2.4".into(), pap::Version::V2_1));
        assert_eq!(request.repairs.as_slice(), [], "what it adds is not bent");
        let answer = pap::encode(&request.document, &request.dialect);
        assert!(
            answer.contains(
                "DTD PAP 2.1//EN\" \"http://www.openmobilealliance.org/tech/DTD/pap_2.1.dtd\" [<?wap-pap-ver"
            )
        );
    }
}

/// What the second look of a review brought: taken for something else, or refused, by a tolerant endpoint.
#[test]
fn what_real_initiators_send_was_taken_for_something_else() {
    let proper = push("", ADDRESS);
    let content = |kind: &str, body: &str| {
        let request = read(kind, body, false).unwrap_or_else(|failure| panic!("{}: {body}", failure.desc));
        let content = request.content.unwrap();
        (content.content_type, String::from_utf8(content.body.to_vec()).unwrap(), content.headers.len())
    };
    let hello = ("text/plain".to_owned(), "hello".to_owned(), 0);
    for end in ["\r\n--b--\0", "\r\n--b--x", "\r\n--b---", "--b--\r\n", "\r\n--b--\n\r"] {
        assert_eq!(content(RELATED, &proper.replace("\r\n--b--\r\n", end)), hello, "{end:?}");
    }
    for head in ["\r\nContent-Length: 5\r\nContent-Type: text/plain", "\r\n \r\nContent-Type: text/plain"] {
        assert_eq!(content(RELATED, &proper.replace("Content-Type: text/plain", head)), hello, "{head:?}");
    }
    for boundary in ["\"--b\"", "'b'", "b, type=x", "b type=\"x\"", "another"] {
        assert_eq!(content(&format!("multipart/related; boundary={boundary}"), &proper), hello, "{boundary}");
    }
    assert_eq!(content(PLAIN, &proper), hello);
    let headed = format!("Content-Type: multipart/related; boundary=b\r\n\r\n{proper}");
    assert_eq!(content(PLAIN, &headed), hello, "under the Content-Type of the control part");
    // Fields of a form: what stands before the control part is no content if anything follows it.
    let field = |name: &str, text: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n{text}\r\n")
    };
    let form = format!("{}{}{proper}", field("username", "bob"), field("password", "s3cret"));
    assert_eq!(content("multipart/form-data; boundary=b", &form), hello);
    let only_fields = form.replace("--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n", "");
    let refused = read("multipart/form-data; boundary=b", &only_fields, false).unwrap_err();
    assert_eq!(refused.desc, "a push-message needs a content part", "its fields were pushed");
    // The content is XML as well, and comes first; or nothing does.
    let at = (proper.find("--b\r\nContent-Type: text").unwrap(), proper.rfind("--b--").unwrap());
    let turned = format!("{}{}--b--\r\n", &proper[at.0..at.1], &proper[..at.0]).replace("hello", "<si/>");
    assert_eq!(content(RELATED, &turned), ("text/plain".into(), "<si/>".into(), 0));
    let empty = format!("--b\r\n{proper}");
    assert_eq!(read(RELATED, &empty, false).unwrap().document.name(), "push-message");
}

#[test]
fn what_is_unknown_beside_a_document_is_ignored() {
    let body = cancel("1", "").replace("<pap>", "<pap><colour/>");
    for (body, rows) in [(body.clone(), &["X4"][..]), (newer(&body), &[])] {
        let request = read(PLAIN, &body, false).unwrap();
        let noted: Vec<&str> = request.repairs.as_slice().iter().map(|repair| repair.row()).collect();
        assert_eq!((request.document.name(), &noted[..]), ("cancel-message", rows));
    }
    let two = cancel("1", "").replace("</pap>", "<cancel-message push-id=\"2\"/></pap>");
    assert!(read(PLAIN, &two, false).unwrap_err().desc.contains("exactly one document, found 2"));
}
