//! Which PAP code an error gets (WAP-247 §9.13): of a push that is refused, and of HTTP's own errors on the paths of PAP.

use axum::http::StatusCode;

use crate::gateway::{Accepted, Refused};
use crate::pap::code::Code;

/// What a submission is answered with; an error: nobody knows what became of it.
pub(in crate::http) fn of_submission<E>(submitted: &Result<Result<Accepted, Refused>, E>) -> Code {
    match submitted {
        Ok(Ok(_)) => Code::ACCEPTED,
        Ok(Err(refused)) => of_refusal(refused),
        Err(_) => Code::INTERNAL_ERROR,
    }
}

fn of_refusal(refused: &Refused) -> Code {
    match refused {
        Refused::BadRequest(_) => Code::BAD_REQUEST,
        Refused::Expired { .. } | Refused::Notify(_) | Refused::NotAllowed(_) => Code::FORBIDDEN,
        Refused::Unknown(_) => Code::ADDRESS_ERROR,
        Refused::Duplicate(_) => Code::DUPLICATE_PUSH_ID,
        Refused::UnknownOld(_) => Code::PUSH_ID_NOT_FOUND,
        Refused::NothingPending(_) | Refused::LongChain(_) => Code::CANCELLATION_NOT_POSSIBLE,
        Refused::Unavailable | Refused::TooMany { .. } => Code::UNAVAILABLE,
    }
}

pub(super) fn of_status(status: StatusCode) -> Code {
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Code::UNAVAILABLE,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Code::FORBIDDEN,
        status if status.is_server_error() => Code::INTERNAL_ERROR,
        _ => Code::BAD_REQUEST,
    }
}
