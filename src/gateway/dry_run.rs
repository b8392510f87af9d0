//! A push that is only asked about: whom it would reach. Nothing is sent, and nothing is stored.

use std::collections::HashSet;

use serde::Serialize;

use super::{Gateway, PushRequest, Refused};
use crate::clock;
use crate::ids::{Target, UserId};
use crate::parcel::FlowId;
use crate::store::{Address, Error, Reached};

/// Whom it would reach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reach {
    pub recipients: u64,
    pub connected: u64,
    pub away: u64,
    /// Those of them whose terminal, as it was seen last, takes no packet as large as this one would be, about.
    pub too_large: u64,
    /// Addresses that name nothing known. Without `unknown_addresses = "skip"` one of them refuses the whole push.
    pub unknown: Vec<String>,
}

/// Members that one look at the store finds.
const LOOK: usize = 10_000;
/// What a packet has besides texts and content, about.
const OVERHEAD: usize = 64;

impl Gateway {
    /// What would become of this push now. Refused like a push in earnest where that would be.
    pub async fn dry_run(&self, mut request: PushRequest) -> Result<Reach, Refused> {
        self.check_rate(&request.caller)?;
        if request.replace.is_some() {
            return Err(Refused::BadRequest("a dry run replaces nothing: ask without replace_push_id".into()));
        }
        self.check_size(&request)?;
        // Every address counts for itself here.
        request.skip_unknown = true;
        let (_, addresses) = self.check(&mut request, clock::now())?;
        let content = &request.content;
        let headers: usize = content.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let size = content.body.len() + content.content_type.len() + request.push_id.len() + headers + OVERHEAD;
        let mut counted = Counted { reach: Reach::default(), seen: HashSet::new(), many: addresses.len() > 1 };
        for address in addresses {
            let size = size + address.raw.len();
            if !self.reach(&address, size, &mut counted).await.map_err(|error| Refused::from(&error))? {
                counted.reach.unknown.push(address.raw);
            }
        }
        Ok(counted.reach)
    }

    /// Counts those whom an address reaches; `false`: it names nothing known.
    async fn reach(&self, address: &Address, size: usize, counted: &mut Counted) -> Result<bool, Error> {
        for meaning in &address.meanings {
            let topic = match &meaning.target {
                Target::Group(group) => group.topic(),
                user @ Target::User(_) => user.topic(),
            };
            let (mut after, size) = (0, size + topic.len());
            let mut is_known = false;
            loop {
                let found = self.store.reach(meaning.target.clone(), meaning.connected, after, LOOK).await?;
                let Some(found) = found else { break };
                is_known = true;
                found.iter().for_each(|one| self.count(one, size, counted));
                match found.last() {
                    Some(last) if found.len() >= LOOK => after = last.id,
                    _ => break,
                }
            }
            if is_known {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn count(&self, one: &Reached, size: usize, counted: &mut Counted) {
        // Who has no row yet is in no group, and named once.
        if counted.many && one.id != 0 && !counted.seen.insert(one.id) {
            return; // By another address.
        }
        let is_here = UserId::parse(&one.user).is_ok_and(|user| self.is_here(&user));
        let reach = &mut counted.reach;
        reach.recipients += 1;
        reach.connected += u64::from(is_here);
        reach.away += u64::from(!is_here);
        reach.too_large += u64::from(one.maximum_packet.is_some_and(|most| size > most as usize));
    }
}

/// Those who have been counted. Whom two addresses reach counts once.
struct Counted {
    reach: Reach,
    seen: HashSet<FlowId>,
    /// There is more than one address.
    many: bool,
}
