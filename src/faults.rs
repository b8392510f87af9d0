//! Faults that tests inject from outside, to see who notices. In builds without debug assertions there are none.

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{Mutex, PoisonError};

    static ARMED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    /// The next one who comes by this name panics.
    pub fn arm(name: &str) {
        ARMED.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    /// Panics where the fault of this name is armed.
    #[allow(clippy::panic)]
    pub fn trip(name: &str) {
        let tripped = {
            let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
            let at = armed.iter().position(|known| known == name);
            at.map(|at| armed.swap_remove(at)).is_some()
        };
        assert!(!tripped, "the injected fault {name}");
    }

    /// Keeps its thread where the fault of this name is armed.
    pub fn hang(name: &str) {
        while is_set(name) {
            std::thread::park();
        }
    }

    /// Whether the fault of this name is armed; it stays so.
    #[must_use]
    pub fn is_set(name: &str) -> bool {
        ARMED.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known == name)
    }
}

#[cfg(debug_assertions)]
pub use armed::{arm, hang, is_set, trip};

/// Nothing, in a build without debug assertions.
#[cfg(not(debug_assertions))]
pub fn trip(_: &str) {}

/// Not at all, in a build without debug assertions.
#[cfg(not(debug_assertions))]
pub fn hang(_: &str) {}

/// Never, in a build without debug assertions.
#[cfg(not(debug_assertions))]
#[must_use]
pub const fn is_set(_: &str) -> bool {
    false
}
