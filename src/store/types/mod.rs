//! What goes in and out of the store.
//!
//! | file | types of |
//! | --- | --- |
//! | [`credential`] | who signs in with which token |
//! | [`delivery`] | what is owed to a binding, and how far its terminal has got |
//! | [`membership`] | who belongs to which group, and what is asked and answered about that |
//! | [`outcome`] | what became of a push, as its initiator and operators see it |
//! | [`session`] | MQTT sessions and devices as they are remembered |
//! | [`state`] | the states of one push to one address |
//! | [`submission`] | a push as it is handed in, and what becomes of handing it in, replacing and cancelling |

mod credential;
mod delivery;
mod membership;
mod outcome;
mod session;
mod state;
mod submission;

pub use credential::*;
pub use delivery::*;
pub use membership::*;
pub use outcome::*;
pub use session::*;
pub use state::*;
pub use submission::*;
