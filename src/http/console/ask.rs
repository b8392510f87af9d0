//! Asking the JSON API, in the same process and with the rights of whoever looks.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tower_service::Service as _;

use super::visitor::Visitor;
use crate::http::problem::Problem;

#[derive(Debug)]
pub(super) struct Ask {
    api: Router,
}

/// What of a problem is shown.
#[derive(Deserialize)]
struct Detail {
    detail: String,
}

impl Ask {
    pub(super) fn new(api: Router) -> Self {
        Self { api }
    }

    /// What the API answers to a GET of this path, for this visitor.
    pub(super) async fn get<T: DeserializeOwned>(&self, visitor: &Visitor, path: &str) -> Result<T, Problem> {
        let unreadable = |what: &str| {
            tracing::error!(path, what, "the console cannot read an answer of the JSON API");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the console cannot read what the gateway says; the log says more",
            )
        };
        let mut request = Request::get(path).body(Body::empty()).map_err(|error| unreadable(&error.to_string()))?;
        request.extensions_mut().insert(visitor.caller.clone());
        let response = self.api.clone().call(request).await.unwrap_or_else(|never| match never {});
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| unreadable(&error.to_string()))?;
        if !status.is_success() {
            let said = serde_json::from_slice(&body).map(|Detail { detail }| detail);
            return Err(Problem::new(status, said.unwrap_or_else(|_| format!("the gateway answered {status}"))));
        }
        serde_json::from_slice(&body).map_err(|error| unreadable(&error.to_string()))
    }

    /// The same, where there may be nothing at this path.
    pub(super) async fn find<T: DeserializeOwned>(&self, visitor: &Visitor, path: &str) -> Result<Option<T>, Problem> {
        match self.get(visitor, path).await {
            Ok(found) => Ok(Some(found)),
            Err(problem) if problem.is_not_found() => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}
