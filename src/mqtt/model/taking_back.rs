//! Replacing and cancelling, and who is expected to keep the old push.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{World, user, user_of};
use super::{TERMINALS, To, USERS};
use crate::ids::Target;
use crate::parcel::{BindingId, DispatchId, FlowId};
use crate::store::{Asked, Replacing};

impl World {
    pub(super) async fn replace(&mut self, back: usize, pending_only: bool) {
        let Some(old) = self.pushes.len().checked_sub(back + 1) else { return };
        let in_progress = self.store().to_be_held_back("i".into(), old.to_string(), pending_only).await.unwrap();
        let holders: Vec<(BindingId, DispatchId)> = in_progress
            .iter()
            .flat_map(|id| {
                let held = self.terminals.iter().flatten().filter_map(|terminal| terminal.session.holds(*id));
                held.map(|binding| (binding, *id))
            })
            .collect();
        let mut holding: BTreeMap<To, BTreeSet<usize>> = BTreeMap::new();
        for id in &in_progress {
            let to = self.named(id.flow).await;
            let held = (0..TERMINALS).filter(|number| {
                self.terminals[*number].as_ref().is_some_and(|terminal| terminal.session.holds(*id).is_some())
            });
            holding.entry(to).or_default().extend(held.map(user_of));
        }
        self.settle().await;
        let before = self.pushes.len();
        let was_final: BTreeSet<To> = self.finals(old).await;
        let to = self.pushes[old].to.clone();
        let replacing = Replacing { push_id: old.to_string(), pending_only, held_back: in_progress, holders };
        self.push(&to, self.pushes[old].confirmed, false, Some(replacing)).await;
        if self.pushes.len() == before {
            return;
        }
        let now_final = self.finals(old).await;
        for one in now_final.difference(&was_final) {
            let keep = holding.get(one).filter(|_| pending_only).cloned().unwrap_or_default();
            self.pushes[old].taken_back.insert(*one, keep);
        }
        if !pending_only {
            return;
        }
        let shown = self.listed(before).await;
        for (to, owed) in &mut self.pushes[before].owed {
            owed.retain(|who| shown.contains(&(*to, *who)));
        }
        for to in now_final.difference(&was_final) {
            self.check_left_out(before, old, *to, holding.get(to));
            let To::Group(group) = *to else { continue };
            // Whoever had it and has left since is left out as well, should he come back and this one be replaced again.
            let mut out = self.reached(old, *to, holding.get(to));
            out.extend(self.members[group].difference(&self.pushes[before].owed[to]));
            self.pushes[before].left_out.insert(*to, out);
        }
    }

    /// Whose flow it is.
    async fn named(&self, flow: FlowId) -> To {
        if let Some((group, _)) = self.flows.iter().find(|(_, known)| **known == flow) {
            return To::Group(*group);
        }
        for number in 0..USERS {
            let memberships = self.store().memberships(user(number)).await.unwrap();
            if memberships.iter().any(|one| one.flow == flow && one.target == Target::User(user(number))) {
                return To::User(number);
            }
        }
        panic!("the flow {flow} is nobody's")
    }

    pub(super) async fn cancel(&mut self, back: usize, first: bool) {
        let Some(number) = self.pushes.len().checked_sub(back + 1) else { return };
        self.settle().await;
        let was_final = self.finals(number).await;
        let addresses = self.pushes[number].to.iter().map(|to| Asked { raw: format!("{to:?}"), meanings: Vec::new() });
        let addresses = if first { addresses.take(1).collect() } else { Vec::new() };
        self.store().cancel("i".into(), number.to_string(), addresses, self.now).await.unwrap();
        self.hear_of_cancellations();
        for one in self.finals(number).await.difference(&was_final) {
            self.pushes[number].taken_back.insert(*one, BTreeSet::new());
        }
    }
}
