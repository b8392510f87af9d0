//! The newest seq of every group that got a push since this process began, and of all direct pushes. A worker compares
//! it with what it has seen (docs/ledger.md, rule 11).

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::ids::Target;
use crate::parcel::{FlowId, Parcel, Seq};

#[derive(Debug, Default)]
pub struct Heads {
    groups: Mutex<HashMap<FlowId, Seq>>,
    direct: AtomicI64,
}

impl Heads {
    /// Notes a dispatch. Called in order of seq.
    pub fn advance(&self, parcel: &Parcel) {
        match parcel.target {
            Target::Group(_) => {
                self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(parcel.flow, parcel.seq);
            }
            Target::User(_) => self.direct.store(parcel.seq, Ordering::Release),
        }
    }

    /// These groups are no more.
    pub fn forget(&self, flows: &[FlowId]) {
        if !flows.is_empty() {
            let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
            for flow in flows {
                groups.remove(flow);
            }
        }
    }

    /// The newest dispatch to a group; 0 where there was none since the start.
    #[must_use]
    pub fn group(&self, flow: FlowId) -> Seq {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).get(&flow).copied().unwrap_or(0)
    }

    /// The newest dispatch to any user; 0 where there was none since the start.
    #[must_use]
    pub fn direct(&self) -> Seq {
        self.direct.load(Ordering::Acquire)
    }
}
