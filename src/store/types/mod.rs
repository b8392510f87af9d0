//! What goes in and out of the store.
//!
//! | file | types of |
//! | --- | --- |
//! | [`credential`] | who signs in with which token |
//! | [`delivery`] | what is owed to a binding, and how far its terminal has got |
//! | [`device`] | users as their devices show them |
//! | [`history`] | what is kept of what happened |
//! | [`membership`] | who belongs to which group, and what is asked and answered about that |
//! | [`outcome`] | what became of a push, as its initiator and operators see it |
//! | [`session`] | MQTT sessions and devices as they are remembered |
//! | [`standing`] | how a push to one address stands after a change |
//! | [`state`] | the states of one push to one address |
//! | [`submission`] | a push as it is handed in, and what becomes of handing it in, replacing and cancelling |

mod credential;
mod delivery;
mod device;
mod history;
mod membership;
mod outcome;
mod session;
mod standing;
mod state;
mod submission;

pub use credential::*;
pub use delivery::*;
pub use device::*;
pub use history::*;
pub use membership::*;
pub use outcome::*;
pub use session::*;
pub use standing::*;
pub use state::*;
pub use submission::*;
