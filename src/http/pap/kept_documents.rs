//! The newest PAP documents as they came, for whoever wants to see what an initiator really sends. In memory only, so that a
//! submission costs no more on disk; `history.pap_documents` bounds it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;

use crate::pap::fragment::mask_user_info;
use crate::pap::repair::{Repair, Repairs};

/// Bytes of one document that are kept; the rest of a larger one is left out.
const OF_ONE: usize = 16 * 1_024;
/// What an entry takes besides texts, about.
const OVERHEAD: usize = 256;

/// A document as it came.
#[derive(Debug, Clone)]
pub(in crate::http) struct KeptDocument {
    pub(in crate::http) endpoint: String,
    pub(in crate::http) content_type: String,
    bytes: Bytes,
    /// Bytes that it had.
    pub(in crate::http) size: usize,
    pub(in crate::http) repairs: Vec<Repair>,
}

impl KeptDocument {
    pub(super) fn new(endpoint: &str, content_type: Option<&str>, body: &Bytes, repairs: &Repairs) -> Self {
        // A part of a large body would keep all of it in memory.
        let bytes = if body.len() > OF_ONE { Bytes::copy_from_slice(&body[..OF_ONE]) } else { body.clone() };
        Self {
            endpoint: endpoint.to_owned(),
            content_type: content_type.unwrap_or_default().to_owned(),
            bytes,
            size: body.len(),
            repairs: repairs.as_slice().to_vec(),
        }
    }

    /// As text, without passwords in addresses.
    pub(in crate::http) fn text(&self) -> String {
        mask_user_info(&String::from_utf8_lossy(&self.bytes))
    }

    pub(in crate::http) fn is_whole(&self) -> bool {
        self.bytes.len() == self.size
    }

    fn weight(&self) -> usize {
        OVERHEAD + self.bytes.len() + self.endpoint.len() + self.content_type.len()
    }
}

/// Initiator and push-id.
type Key = (String, String);

#[derive(Debug, Default)]
pub(in crate::http) struct KeptDocuments {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// With the number of its place in `order`: a push-id may come twice.
    known: HashMap<Key, (u64, KeptDocument)>,
    order: VecDeque<(u64, Key)>,
    next: u64,
    weight: usize,
    most: usize,
}

impl KeptDocuments {
    /// Bytes of all together, from now on.
    pub(in crate::http) fn set_most(&self, most: usize) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.most = most;
        inner.shrink();
    }

    /// `document` is made only where something is kept.
    pub(super) fn keep(&self, initiator: &str, push_id: &str, document: impl FnOnce() -> KeptDocument) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.most == 0 {
            return;
        }
        let (key, document) = ((initiator.to_owned(), push_id.to_owned()), document());
        let place = inner.next;
        inner.next += 1;
        inner.weight += document.weight();
        if let Some((_, former)) = inner.known.insert(key.clone(), (place, document)) {
            inner.weight -= former.weight();
        }
        inner.order.push_back((place, key));
        inner.shrink();
    }

    pub(in crate::http) fn find(&self, initiator: &str, push_id: &str) -> Option<KeptDocument> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.known.get(&(initiator.to_owned(), push_id.to_owned())).map(|(_, document)| document.clone())
    }
}

impl Inner {
    fn shrink(&mut self) {
        // One that came again has two places, of which the first counts no more.
        while self.weight > self.most || self.order.len() > 2 * self.known.len() + 16 {
            let Some((place, key)) = self.order.pop_front() else { return };
            if self.known.get(&key).is_some_and(|(at, _)| *at == place)
                && let Some((_, document)) = self.known.remove(&key)
            {
                self.weight -= document.weight();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(body: &'static [u8]) -> KeptDocument {
        KeptDocument::new("/pap", Some("text/xml"), &Bytes::from_static(body), &Repairs::default())
    }

    #[test]
    fn the_oldest_documents_go_where_there_are_too_many() {
        let kept = KeptDocuments::default();
        kept.keep("a", "1", || panic!("nothing is made where nothing is kept"));
        assert!(kept.find("a", "1").is_none());
        kept.set_most(10 * document(&[b'x'; 100]).weight());
        for number in 0..50 {
            kept.keep("a", &number.to_string(), || document(&[b'x'; 100]));
            kept.keep("a", &number.to_string(), || document(&[b'x'; 100]));
        }
        assert!(kept.find("a", "39").is_none() && kept.find("a", "40").is_some() && kept.find("a", "49").is_some());
        assert!(kept.find("b", "49").is_none(), "another one's");
        let inner = kept.inner.lock().unwrap();
        assert!(inner.weight <= inner.most && inner.order.len() <= 2 * inner.known.len() + 16);
    }

    #[test]
    fn a_large_document_is_cut_and_passwords_are_not_shown() {
        let large = document(&[b'x'; OF_ONE + 1]);
        assert_eq!((large.text().len(), large.size, large.is_whole()), (OF_ONE, OF_ONE + 1, false));
        let secret = document(b"<push-message ppg-notify-requested-to='http://ann:sesame@host/x'/>");
        assert!(!secret.text().contains("sesame"), "{}", secret.text());
    }
}
