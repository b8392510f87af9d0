//! Numbers of kinds of rows in `exceptions`; schema.sql says what they mean.

/// Acknowledged although something before it is not.
pub(super) const GOT: i64 = 1;
pub(super) const REFUSED: i64 = 2;
/// A range that never reached the terminal.
pub(super) const SKIPPED: i64 = 3;
/// Acknowledged after the dispatch was final.
pub(super) const LATE: i64 = 4;
/// Replaced while it was under way to this member.
pub(super) const HELD: i64 = 5;
/// A terminal could not take it so far; the cursor may have passed it.
pub(super) const ASIDE: i64 = 6;
