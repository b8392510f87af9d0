//! What is a number in the store: [`Seq`], priorities and delivery methods.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::{DeliveryMethod, Priority};
use crate::parcel::Seq;

impl ToSql for Seq {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0))
    }
}

impl FromSql for Seq {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

pub(super) fn priority_number(priority: Priority) -> i64 {
    match priority {
        Priority::High => 0,
        Priority::Medium => 1,
        Priority::Low => 2,
    }
}

/// As it is stored.
pub(super) fn priority(number: i64) -> Priority {
    match number {
        0 => Priority::High,
        2 => Priority::Low,
        _ => Priority::Medium,
    }
}

pub(super) fn delivery_number(delivery: DeliveryMethod) -> i64 {
    match delivery {
        DeliveryMethod::NotSpecified => 0,
        DeliveryMethod::PreferConfirmed => 1,
        DeliveryMethod::Confirmed => 2,
        DeliveryMethod::Unconfirmed => UNCONFIRMED,
    }
}

/// The only delivery method that is not confirmed, as it is stored.
pub(super) const UNCONFIRMED: i64 = 3;
