//! What interrupted sessions had under way, until they come back or end: by client, and by dispatch for those who ask to
//! whom one is under way. Pure.

use std::collections::HashMap;

use super::inflight_window::Resume;
use crate::parcel::{BindingId, DispatchId};

#[derive(Debug, Default)]
pub(super) struct Parked {
    by_client: HashMap<String, Resume>,
    by_dispatch: HashMap<DispatchId, Vec<BindingId>>,
}

impl Parked {
    pub(super) fn insert(&mut self, client: &str, resume: Resume) {
        self.remove(client);
        if resume.is_empty() {
            return;
        }
        for (binding, id) in resume.pushes() {
            self.by_dispatch.entry(id).or_default().push(binding);
        }
        self.by_client.insert(client.to_owned(), resume);
    }

    pub(super) fn remove(&mut self, client: &str) -> Option<Resume> {
        let resume = self.by_client.remove(client)?;
        for (binding, id) in resume.pushes() {
            let Some(bindings) = self.by_dispatch.get_mut(&id) else { continue };
            if let Some(at) = bindings.iter().position(|known| *known == binding) {
                bindings.swap_remove(at);
            }
            if bindings.is_empty() {
                self.by_dispatch.remove(&id);
            }
        }
        Some(resume)
    }

    /// The bindings to which a dispatch is under way.
    pub(super) fn holders(&self, id: DispatchId) -> impl Iterator<Item = BindingId> {
        self.by_dispatch.get(&id).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::inflight_window::{Load, Sent};
    use crate::parcel::Seq;

    fn id(seq: i64) -> DispatchId {
        DispatchId { flow: 1, seq: Seq(seq) }
    }

    fn resume(pushes: &[(BindingId, i64)]) -> Resume {
        let load = |&(binding, seq)| {
            Load::Push(Sent { binding, id: id(seq), push: seq, shared: false, size: 1, since: 0, times: 1 })
        };
        Resume { inflight: (1..).zip(pushes.iter().map(load)).collect(), received: Vec::new() }
    }

    /// Every replacement walked through all sessions that were away.
    #[test]
    fn who_has_a_dispatch_under_way_is_found_without_a_walk_through_all() {
        let mut parked = Parked::default();
        parked.insert("a", resume(&[(1, 10), (1, 11)]));
        parked.insert("b", resume(&[(2, 10)]));
        parked.insert("nothing", Resume::default());
        assert_eq!(parked.holders(id(10)).collect::<Vec<_>>(), [1, 2]);
        parked.insert("a", resume(&[(1, 12)]));
        assert_eq!(parked.holders(id(10)).collect::<Vec<_>>(), [2]);
        assert_eq!(parked.holders(id(11)).count(), 0);
        assert!(parked.remove("b").is_some() && parked.remove("b").is_none());
        assert!(parked.remove("a").is_some() && parked.remove("nothing").is_none());
        assert!(parked.by_dispatch.is_empty() && parked.by_client.is_empty());
    }
}
