//! The Push Access Protocol on the wire: WAP-247 (PAP 2.0), its 1.0 and 2.1 relatives, and what initiators make of them.
//!
//! Pure: bytes in, values out. Imports nothing of papcast's and can be used without it. [`parse`] reads what an initiator
//! posts, [`encode()`] writes a document; the rest are the pieces they are made of.
//!
//! ```
//! use papcast::pap::{self, Document, Limits};
//!
//! let body = br#"<!DOCTYPE pap PUBLIC "-//WAPFORUM//DTD PAP 2.0//EN" "http://www.wapforum.org/DTD/pap_2.0.dtd">
//! <pap><cancel-message push-id="17@pi.example"/></pap>"#;
//! let request = pap::parse(Some("application/xml"), body, Limits::default()).unwrap();
//! let Document::CancelMessage(cancel) = &request.document else { panic!("not a cancel-message") };
//! assert_eq!(cancel.push_id, "17@pi.example");
//! assert!(pap::encode(&request.document, &request.dialect).ends_with(r#"<cancel-message push-id="17@pi.example"></cancel-message></pap>"#));
//! ```
//!
//! | file | job |
//! | --- | --- |
//! | [`message`] | a whole request body: multipart or plain |
//! | [`multipart`], [`entity`], [`charset`] | parts, their headers and encodings |
//! | [`version`], [`doctype`] | versions and the DOCTYPE they stand in |
//! | [`xml`] | a bounded reader of elements and attributes |
//! | [`document`], [`decode`], `choices`, [`mod@encode`] | the eleven documents, in and out |
//! | [`address`], [`time`], [`code`] | what stands in their attributes |
//! | [`capabilities`] | the RDF part that tells of a user's terminals |
//! | [`fragment`] | what is shown of a request that could not be read |
//! | [`outline`] | any answer as plain elements, for those who check a gateway |
//! | `schema_error` | what is wrong with a document, and where |
//! | `strange` | what such a request is, in words for its sender |
//! | [`limits`] | how much of everything a request may have |
//! | [`repair`] | what was bent and has been straightened |

pub mod address;
pub mod capabilities;
pub mod charset;
mod choices;
pub mod code;
pub mod decode;
pub mod doctype;
pub mod document;
pub mod encode;
pub mod entity;
pub mod fragment;
pub mod limits;
pub mod message;
pub mod multipart;
pub mod outline;
pub mod repair;
mod schema_error;
mod strange;
pub mod time;
pub mod version;
pub mod xml;

pub use document::Document;
pub use encode::encode;
pub use limits::Limits;
pub use message::{Failure, Request, parse};
pub use repair::Repair;
pub use version::{Dialect, Version};
