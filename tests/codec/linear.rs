//! The work for a body grows with its length and no faster, whatever stands in it.
//!
//! Each shape is built in doubling sizes, 1, 2, 4 and 8 MiB (an eighth of that in a debug build, where every byte takes
//! some ten times as long), and its time is compared with its own time at the smallest of these: eight times the bytes may
//! take 32 times as long, where quadratic work would take 64 times. No time is asserted on its own: it is the processor
//! time of this thread, and whoever is over the bound is measured again before it counts, so that a busy machine only
//! makes the test longer. Two smaller sizes come first, so that what is quadratic fails in seconds.

use std::hint::black_box;
use std::time::Duration;

use papcast::pap::repair::Repairs;
use papcast::pap::{self, Limits, address, entity, multipart, xml};
use rustix::time::{ClockId, clock_gettime};

const KIB: usize = 1024;
const UNIT: usize = if cfg!(debug_assertions) { 128 * KIB } else { 1024 * KIB };
/// The first two are quick even if the work is quadratic; from the unit on, the sizes are compared with the unit.
const SIZES: [usize; 6] = [UNIT / 16, UNIT / 4, UNIT, 2 * UNIT, 4 * UNIT, 8 * UNIT];
/// How much longer than its share a size may take.
const SLACK: u32 = 4;
/// Below this a time says nothing.
const FLOOR: Duration = Duration::from_micros(100);
/// So often a size is measured before it is too slow.
const TRIES: usize = 8;

/// Time that this thread has had a processor.
fn used() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

/// Time of one run, at best.
fn time(run: &dyn Fn(), tries: usize, enough: Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..tries {
        let begin = used();
        run();
        best = best.min(used() - begin);
        if best <= enough {
            break;
        }
    }
    best.max(FLOOR)
}

/// Compares every size with the unit, and before that with the smallest.
fn grows_linearly<T>(name: &str, build: impl Fn(usize) -> T, read: impl Fn(&T)) {
    let mut base: Option<(usize, Duration)> = None;
    for size in SIZES {
        let input = build(size);
        let run = || read(&input);
        let Some((small, least)) = base else {
            base = Some((size, time(&run, 3, Duration::ZERO)));
            continue;
        };
        let share = u32::try_from(size / small).unwrap();
        let allowed = least * share * SLACK;
        let taken = time(&run, TRIES, allowed);
        assert!(taken <= allowed, "{name}: {taken:?} for {size} bytes, {least:?} for {small}");
        if size == UNIT {
            base = Some((size, taken.min(time(&run, 2, Duration::ZERO))));
        }
    }
}

/// A whole request; with so many addresses allowed that the limit does not cut the work short.
fn request(name: &str, build: impl Fn(usize) -> (String, Vec<u8>)) {
    for strict in [false, true] {
        grows_linearly(name, &build, |(content_type, body)| {
            let limits = Limits { addresses: usize::MAX, strict, ..Limits::default() };
            let _ = black_box(pap::parse(Some(content_type), body, limits));
        });
    }
}

fn plain(name: &str, build: impl Fn(usize) -> String) {
    request(name, |size| ("application/xml".into(), build(size).into_bytes()));
}

/// `unit`, as often as it fits.
fn fill(size: usize, unit: &str) -> String {
    unit.repeat(size / unit.len())
}

const DOCTYPE: &str =
    "<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\">";

fn cancel(addresses: &str) -> String {
    format!("{DOCTYPE}<pap><cancel-message push-id=\"1\">{addresses}</cancel-message></pap>")
}

/// A push whose content part has these headers and this body.
fn push(headers: &str, content: &str) -> (String, Vec<u8>) {
    let control =
        format!("{DOCTYPE}<pap><push-message push-id=\"1\"><address address-value=\"a\"/></push-message></pap>");
    let body =
        format!("--b\r\n\r\n{control}\r\n--b\r\nContent-Type: text/plain\r\n{headers}\r\n{content}\r\n--b--\r\n");
    ("multipart/related; boundary=b".into(), body.into_bytes())
}

#[test]
fn elements_and_attributes() {
    plain("a huge attribute", |size| cancel(&format!("<address address-value=\"{}\"/>", fill(size, "x"))));
    plain("a huge name", |size| cancel(&format!("<{} a=\"\"/>", fill(size, "x"))));
    plain("a huge name of an attribute", |size| cancel(&format!("<address {}=\"\"/>", fill(size, "x"))));
    plain("a tag of blanks", |size| cancel(&format!("<address {}/>", fill(size, " \n"))));
    plain("a value that does not close", |size| cancel(&format!("<address a=\"{}", fill(size, "x> "))));
    // More than 100,000 of them in 8 MiB.
    plain("addresses", |size| cancel(&fill(size, "<address address-value=\"WAPPUSH=a/TYPE=USER@b\"/>")));
    plain("escaped addresses", |size| cancel(&fill(size, "<address address-value=\"a&amp;b\"></address>")));
    plain("results", |size| {
        let results = fill(size, "<cancel-result code=\"1000\"><address address-value=\"a\"/></cancel-result>");
        format!("{DOCTYPE}<pap><cancel-response push-id=\"1\">{results}</cancel-response></pap>")
    });
    plain("unknown elements", |size| cancel(&fill(size, "<x/><y a='b'></y>")));
    plain("attributes", |size| cancel(&format!("<address {}/>", numbered(size, |n| format!("a{n}='' ")))));
    plain("elements full of attributes", |size| {
        let attributes = numbered(300, |n| format!(" a{n}='{n}'"));
        cancel(&fill(size, &format!("<address{attributes}/>")))
    });
    plain("the same attribute again", |size| cancel(&format!("<address {}/>", fill(size, "a='' "))));
    plain("nesting", |size| cancel(&fill(size, "<a>")));
    plain("nesting with a long name", |size| cancel(&fill(size, &format!("<{}>", "a".repeat(4_000)))));
    plain("end tags", |size| cancel(&fill(size, "</a>")));
    plain("a document without end", |size| format!("{DOCTYPE}<pap>{}", fill(size, "<a></a>")));
}

fn numbered(size: usize, unit: impl Fn(usize) -> String) -> String {
    let mut out = String::new();
    for n in 0.. {
        if out.len() >= size {
            break;
        }
        out.push_str(&unit(n));
    }
    out
}

#[test]
fn references_text_and_comments() {
    for (name, unit) in [
        ("references between elements", "&amp;"),
        ("lone ampersands between elements", "&"),
        ("line ends between elements", "\r\n"),
        ("comments", "<!---->"),
        ("comments that nearly end", "<!-- - -- > -->"),
        ("instructions", "<?a?>"),
        ("instructions that nearly end", "<?a ? > ??>"),
        ("character data", "<![CDATA[]]>"),
        ("brackets", "<![CDATA[ ]] > ]]>"),
        ("less-than signs", "< "),
        ("greater-than signs", ">"),
        ("quotes", "\"'"),
    ] {
        plain(name, |size| cancel(&fill(size, unit)));
    }
    for (name, unit) in [("a comment", "<!-"), ("an instruction", "<? ?"), ("character data", "]]"), ("text", "x")] {
        for open in ["<!--", "<?", "<![CDATA[", ""] {
            plain(&format!("{name} after {open}"), |size| cancel(&format!("{open}{}", fill(size, unit))));
        }
    }
    for (name, unit) in [
        ("references in values", "&amp;"),
        ("lone ampersands in values", "&"),
        ("names after ampersands in values", "&abc"),
        ("line ends in values", "\r\n"),
        ("less-than signs in values", "<"),
    ] {
        // As many values as long as they may be.
        let value = format!("<address address-value='{}'/>", fill(4_000, unit));
        plain(name, |size| cancel(&fill(size, &value)));
        grows_linearly(
            name,
            |size| fill(size, unit),
            |text| {
                let _ = black_box(xml::unescape(text, &mut Repairs::default()));
            },
        );
    }
}

#[test]
fn what_stands_before_the_root() {
    let rest = cancel("");
    for (name, unit) in [
        ("DOCTYPEs", "<!DOCTYPE pap>"),
        ("DOCTYPEs with a subset", "<!DOCTYPE pap [<?a <pap ?>]>"),
        ("DOCTYPEs that do not end", "<!DOCTYPE "),
        ("DOCTYPEs that open a quote", "<!DOCTYPE pap \">"),
        ("DOCTYPEs before what is no root", "<!DOCTYPE pap><!-- <pap -->"),
        ("comments before the root", "<!-- <pap -->"),
        ("instructions before the root", "<?pap <pap ?>\n"),
        ("roots", "<pap"),
        ("roots in another case", "<PAP "),
        ("byte order marks", "\u{feff}"),
        ("line ends before the root", "\r\n"),
        ("declarations", "<?xml version='1.0' encoding='utf-8'?>"),
    ] {
        plain(name, |size| fill(size, unit) + &rest);
        plain(&format!("{name} and no root"), |size| fill(size, unit));
    }
    for (name, unit) in [
        ("a subset of blanks", " "),
        ("a subset of instructions", "<?a?>"),
        ("a subset of version instructions", "<?wap-pap-ver ?>"),
        ("a subset of open instructions", "<?a"),
        ("a subset of comments", "<!-- -->"),
        ("a subset of open comments", "<!--"),
        ("a subset of brackets", "]"),
        ("a subset of quotes", "'\""),
        ("a subset of declarations", "<!ELEMENT a EMPTY>"),
        ("a subset of text", "x"),
        ("a subset of open brackets", "<"),
        ("a subset of text and instructions", "x <?a?>"),
        ("a list of versions", "2.0,"),
    ] {
        let prolog = "<!DOCTYPE pap PUBLIC '-//WAPFORUM//DTD PAP 2.0//EN' 'x' [<?wap-pap-ver supported-versions='";
        plain(name, |size| format!("{prolog}2.0'?>{}]>{rest}", fill(size, unit)));
        plain(&format!("{name}, quoted"), |size| format!("{prolog}{}'?>]>{rest}", fill(size, unit)));
        plain(&format!("{name}, open"), |size| format!("{prolog}2.0'?>{}", fill(size, unit)));
        plain(&format!("{name}, in an identifier"), |size| {
            format!("<!DOCTYPE pap PUBLIC \"{}\" \"x\">{rest}", fill(size, unit).replace('"', "'"))
        });
    }
}

#[test]
fn what_stands_in_the_declaration() {
    let rest = cancel("");
    for (name, unit) in [
        ("a declaration of versions", " version='1.0'"),
        ("a declaration of names", " version"),
        ("a declaration of equal signs", "="),
        ("a declaration of quotes", "'"),
    ] {
        plain(name, |size| format!("<?xml{}?>{rest}", fill(size, unit)));
        plain(&format!("{name} before blanks"), |size| {
            format!("<?xml{}{}?>{rest}", fill(size / 2, unit), " ".repeat(size / 2))
        });
    }
}

#[test]
fn parts_and_delimiters() {
    for (name, unit) in [
        ("no delimiter", "x"),
        ("no delimiter, in lines", "some text\r\n"),
        ("line ends", "\n"),
        ("line ends with CR", "\r\n"),
        ("carriage returns", "\r"),
        ("dashes", "-"),
        ("near delimiters in one line", "--"),
        ("near delimiters", "--\r\n"),
        ("nearly the delimiter", "--a\r\n"),
        ("delimiters with something behind", "--bx\r\n"),
        ("indented delimiters", " \t--bx\r\n"),
        ("lines of blanks", "                \n"),
        ("delimiters", "--b\r\n"),
        ("closing delimiters", "--b--\r\n"),
        ("header lines", "a: b\r\n"),
        ("headers of the body", "Content-Type: multipart/related; boundary=c\r\n"),
        ("header names", "a:"),
        ("folded lines", " b\r\n"),
        ("parameters", "boundary=a; "),
    ] {
        for content_type in ["multipart/related; boundary=b", "multipart/mixed", "text/plain"] {
            request(name, |size| (content_type.into(), fill(size, unit).into_bytes()));
        }
        request(name, |size| push("", &fill(size, unit)));
        request(name, |size| push(&fill(size, unit), ""));
        request(name, |size| (format!("multipart/related; boundary=b; {}", fill(size, unit)), b"--b\r\n".to_vec()));
        grows_linearly(
            name,
            |size| fill(size, unit),
            |text| {
                let _ = black_box(entity::read(text.as_bytes(), &Limits::default(), &mut Repairs::default()));
            },
        );
    }
    request("a long boundary", |size| {
        let boundary = fill(size / 2, "b");
        (format!("multipart/related; boundary={boundary}"), format!("--{boundary}\r\n").into_bytes())
    });
    request("a long boundary and what is nearly it", |size| {
        let (boundary, lines) = (fill(size / 2, "b"), fill(size / 2, "--bbbbbbbbbb\r\n"));
        (format!("multipart/related; boundary={boundary}"), lines.into_bytes())
    });
    grows_linearly(
        "a media type",
        |size| fill(size, "a=\"\\\"b\";"),
        |text| drop(black_box(multipart::MediaType::parse(text))),
    );
}

#[test]
fn encodings_and_addresses() {
    let base64 = "Content-Transfer-Encoding: base64\r\n";
    let quoted = "Content-Transfer-Encoding: quoted-printable\r\n";
    for (name, header, unit) in [
        ("base64", base64, "aGVsbG8h"),
        ("base64 in short lines", base64, "aGVs\r\n"),
        ("no base64", base64, "="),
        ("quoted-printable", quoted, "=3D"),
        ("quoted-printable that is none", quoted, "=="),
        ("soft line ends", quoted, "=\r\n"),
    ] {
        request(name, |size| push(header, &fill(size, unit)));
    }
    for charset in ["iso-8859-1", "us-ascii", "utf-8", "x"] {
        let name = format!("text in {charset}");
        request(&name, |size| {
            (format!("application/xml; charset={charset}"), cancel(&fill(size, "\u{e9} \u{ff}")).into_bytes())
        });
    }
    for unit in ["/", "@", ":", "%", "%41", "/TYPE=USER", "WAPPUSH=", " ", "+", "1", "-", "a@b:1", "\u{e9}"] {
        let build = |front: &str, size| format!("{front}{}", fill(size, unit));
        for front in ["", "WAPPUSH=", "WAPPUSH=+1", "WAPPUSH=a/TYPE="] {
            let name = format!("{front}, then {unit:?}");
            grows_linearly(&name, |size| build(front, size), |text| drop(black_box(address::parse(text))));
        }
        let name = format!("{unit:?} and a type");
        grows_linearly(
            &name,
            |size| build("WAPPUSH=", size) + "/TYPE=PLMN@p",
            |text| {
                drop(black_box(address::parse(text)));
            },
        );
    }
}
