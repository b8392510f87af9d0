//! Who has which client id, and who waits for it. Pure.
//!
//! One connection has a client id and one more may wait until that one is gone. A newer claim ends the older one that
//! waits at once: whoever stands in a queue behind a storm of claims would hold a socket for nothing.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::connection_id::ConnRef;
use super::inflight_window::Resume;

#[derive(Debug, Default)]
pub(super) struct Claims {
    by_client: HashMap<String, Claim>,
}

#[derive(Debug)]
struct Claim {
    holder: ConnRef,
    /// Whose it is, where everybody has to say who he is.
    owner: Option<Box<str>>,
    next: Option<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    at: ConnRef,
    /// Told when the holder is gone, with what it had under way; dropped when a newer claim has come.
    turn: oneshot::Sender<Resume>,
}

/// What became of a claim.
#[derive(Debug)]
pub(super) enum Claimed {
    /// Nobody had it.
    Free,
    /// Another one's, who is here.
    Foreign,
    /// Somebody has it, and has to be asked to go where nobody has done so before. The turn comes, or the other end is
    /// dropped because a newer claim has come.
    Wait { turn: oneshot::Receiver<Resume>, ask: Option<ConnRef> },
}

impl Claims {
    /// `owner`: nobody else may take it away while its connection lasts.
    pub(super) fn claim(&mut self, client: &str, at: ConnRef, owner: Option<&str>) -> Claimed {
        let Some(claim) = self.by_client.get_mut(client) else {
            self.by_client.insert(client.to_owned(), Claim { holder: at, owner: owner.map(Into::into), next: None });
            return Claimed::Free;
        };
        if claim.owner.as_deref() != owner {
            return Claimed::Foreign;
        }
        let (turn, wait) = oneshot::channel();
        let ask = claim.next.is_none().then_some(claim.holder);
        claim.next = Some(Waiter { at, turn });
        Claimed::Wait { turn: wait, ask }
    }

    /// A connection gives the client id back, or its place in the queue. What it had under way goes to whoever waits, who
    /// is named in the answer; else it comes back.
    pub(super) fn release(&mut self, client: &str, at: ConnRef, resume: Resume) -> Result<ConnRef, Resume> {
        let Some(claim) = self.by_client.get_mut(client) else { return Err(resume) };
        if claim.holder != at {
            claim.next.take_if(|next| next.at == at);
            return Err(resume);
        }
        let resume = match claim.next.take() {
            Some(next) => match next.turn.send(resume) {
                Ok(()) => {
                    claim.holder = next.at;
                    return Ok(next.at);
                }
                Err(resume) => resume,
            },
            None => resume,
        };
        self.by_client.remove(client);
        Err(resume)
    }

    pub(super) fn has(&self, client: &str) -> bool {
        self.by_client.contains_key(client)
    }

    /// Client ids that a connection has or waits for; it ended without giving them back.
    pub(super) fn of(&self, at: ConnRef) -> Vec<String> {
        let mine = self
            .by_client
            .iter()
            .filter(|(_, claim)| claim.holder == at || claim.next.as_ref().is_some_and(|next| next.at == at));
        mine.map(|(client, _)| client.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: u64) -> ConnRef {
        ConnRef { worker: 0, id }
    }

    fn wait(claimed: Claimed) -> (oneshot::Receiver<Resume>, Option<ConnRef>) {
        match claimed {
            Claimed::Wait { turn, ask } => (turn, ask),
            Claimed::Free | Claimed::Foreign => panic!("somebody has it"),
        }
    }

    #[test]
    fn a_storm_on_one_client_id_stood_in_a_queue() {
        let mut claims = Claims::default();
        assert!(matches!(claims.claim("c", at(1), None), Claimed::Free));
        let (mut older, ask) = wait(claims.claim("c", at(2), None));
        assert_eq!(ask, Some(at(1)));
        let (mut newer, ask) = wait(claims.claim("c", at(3), None));
        assert_eq!(ask, None, "it is on its way already");
        assert!(older.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
        let resume = Resume { inflight: Vec::new(), received: vec![7] };
        assert_eq!(claims.release("c", at(1), resume).ok(), Some(at(3)));
        assert_eq!(newer.try_recv().unwrap().received, [7]);
        // The one that was passed over gives back nothing.
        assert!(claims.release("c", at(2), Resume::default()).is_err());
        assert!(claims.has("c"));
        assert!(claims.release("c", at(3), Resume::default()).is_err());
        assert!(!claims.has("c"));
    }

    #[test]
    fn what_was_under_way_comes_back_where_the_next_one_has_given_up() {
        let mut claims = Claims::default();
        claims.claim("c", at(1), None);
        drop(claims.claim("c", at(2), None));
        let resume = Resume { inflight: Vec::new(), received: vec![7] };
        assert_eq!(claims.release("c", at(1), resume).unwrap_err().received, [7]);
        assert!(!claims.has("c"));
    }

    #[test]
    fn a_device_took_the_client_id_of_another_one_and_ended_its_connection() {
        let mut claims = Claims::default();
        assert!(matches!(claims.claim("c", at(1), Some("alice")), Claimed::Free));
        assert!(matches!(claims.claim("c", at(2), Some("mallory")), Claimed::Foreign));
        let (_turn, ask) = wait(claims.claim("c", at(3), Some("alice")));
        assert_eq!(ask, Some(at(1)));
        assert!(matches!(claims.claim("c", at(4), Some("mallory")), Claimed::Foreign));
        assert!(claims.release("c", at(2), Resume::default()).is_err());
        assert!(claims.has("c"), "who was refused gives nothing back");
    }
}
