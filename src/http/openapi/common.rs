//! What every endpoint has in common, added to what each of them says of itself: parameters of the path, the answers that come
//! before a handler is asked, and who may ask.

use axum::http::{Method, StatusCode};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, Header, OpenApi, Ref, RefOr, Required, Response};

use super::super::access::{Need, need_of};
use crate::ids::{GROUP_MAX, USER_MAX};
use crate::policy::Action;

const PROBLEM: &str = "application/problem+json";

/// What IDs look like. Their lengths are bytes, which a schema cannot say.
const NO_CONTROL: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";

const ABOUT: &str = "\
With `auth.mode = \"required\"` a request needs a token, as `Authorization: Bearer`, or as Basic with the name as user and the \
token as password. With `auth.mode = \"open\"` it needs none.

Request bodies are JSON objects, whatever their Content-Type. Errors are `application/problem+json` (RFC 9457). 404 answers a \
path that there is not, 405 a method that a path does not have. A query parameter that an endpoint does not know, or that is \
there twice, is refused with 400. An address that is too long is answered with 414 and a head that is too large with 431, \
both without a body. Every other answer has an `X-Request-Id`: the one of the request, or a new one. HEAD works where GET \
does.

Lists take `limit` and `after`, and answer `next`, which is null at the end. Times are RFC 3339 in UTC.";

/// Answers of endpoints that do not speak of them.
struct Common {
    status: StatusCode,
    name: &'static str,
    text: &'static str,
    /// Whether an endpoint can answer it that needs no token, and one outside of `/api/v1`.
    everybody: bool,
    everywhere: bool,
}

const COMMON: &[Common] = &[
    Common {
        status: StatusCode::BAD_REQUEST,
        name: "BadRequest",
        text: "Something about the request is not as it should be.",
        everybody: true,
        everywhere: true,
    },
    Common {
        status: StatusCode::UNAUTHORIZED,
        name: "Unauthorized",
        text: "A token is needed, or it is not right.",
        everybody: false,
        everywhere: true,
    },
    Common {
        status: StatusCode::FORBIDDEN,
        name: "Forbidden",
        text: "That is not allowed with this token.",
        everybody: false,
        everywhere: true,
    },
    Common {
        status: StatusCode::REQUEST_TIMEOUT,
        name: "RequestTimeout",
        text: "The body did not come in time (`http.body_timeout`).",
        everybody: true,
        everywhere: true,
    },
    Common {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        name: "PayloadTooLarge",
        text: "The body is larger than `http.max_body`.",
        everybody: true,
        everywhere: true,
    },
    Common {
        status: StatusCode::TOO_MANY_REQUESTS,
        name: "TooManyRequests",
        text: "So much at a time is too much.",
        everybody: false,
        everywhere: true,
    },
    Common {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        name: "InternalServerError",
        text: "The request failed; the log says more.",
        everybody: true,
        everywhere: false,
    },
    Common {
        status: StatusCode::SERVICE_UNAVAILABLE,
        name: "ServiceUnavailable",
        text: "The gateway is stopping, has too much to do, or cannot store anything now.",
        everybody: true,
        everywhere: true,
    },
];

pub(super) fn complete(document: &mut OpenApi) {
    document.info.description = Some(ABOUT.to_owned());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let need = need_of(&method, path);
            name(operation, &method, path, need);
            add_parameters(operation, path);
            operation.request_body.iter_mut().for_each(may_be_missing);
            complete_answers(operation);
            add_answers(operation, path, need);
            if !need.is_empty() {
                let schemes = ["bearer", "basic"];
                operation.security = Some(schemes.map(|name| SecurityRequirement::new(name, [""; 0])).into());
            }
        }
    }
    let components = document.components.get_or_insert_with(Components::new);
    for common in COMMON {
        let mut response = Response::new(common.text);
        complete_answer(&mut response, common.status);
        components.responses.insert(common.name.to_owned(), response.into());
    }
    for (name, scheme) in [("bearer", HttpAuthScheme::Bearer), ("basic", HttpAuthScheme::Basic)] {
        components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
    }
}

/// The methods that a path has.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, .. } = item;
    let all = [(Method::GET, get), (Method::PUT, put), (Method::POST, post), (Method::DELETE, delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name that no other endpoint has, the chapter it belongs to, and who may ask.
fn name(operation: &mut Operation, method: &Method, path: &str, need: Need) {
    let parts = path.trim_start_matches("/api/v1").split('/').filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.map(|part| part.trim_matches(|c| c == '{' || c == '}')).collect();
    operation.operation_id = Some(format!("{}_{}", method.as_str().to_lowercase(), parts.join("_").replace('-', "_")));
    let chapter = if path.starts_with("/api/") { parts[0] } else { "health" };
    operation.tags = Some(vec![chapter.to_owned()]);
    for text in [&mut operation.summary, &mut operation.description].into_iter().flatten() {
        *text = text.replace('\n', " ").trim().to_owned();
    }
    if !need.is_empty() {
        let names: Vec<&str> = need.iter().map(|action: &Action| action.name()).collect();
        let text = operation.description.take().filter(|text| !text.is_empty());
        let text = text.map_or_else(String::new, |text| text + "\n\n");
        operation.description = Some(format!("{text}For whoever may do this: {}.", names.join("; or ")));
    }
}

/// `{group}` and its like, before the others.
fn add_parameters(operation: &mut Operation, path: &str) {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Parameter> = names.map(path_parameter).collect();
    all.extend(operation.parameters.take().unwrap_or_default());
    all.iter_mut().for_each(describe);
    operation.parameters = (!all.is_empty()).then_some(all);
}

/// What a schema that was written by hand says belongs to its parameter.
fn describe(parameter: &mut Parameter) {
    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema {
        parameter.description = parameter.description.take().or_else(|| object.description.take());
        // What may be missing is not null.
        if let SchemaType::Array(types) = &object.schema_type
            && let Some(of) = types.iter().find(|of| **of != Type::Null)
        {
            object.schema_type = of.clone().into();
        }
    }
}

fn path_parameter(name: &str) -> Parameter {
    let (text, most) = match name {
        "group" => ("A group ID, percent-encoded.", Some(GROUP_MAX)),
        "user" => ("A user ID, percent-encoded.", Some(USER_MAX)),
        "push_id" => ("A push-id, percent-encoded.", None),
        "client_id" => ("The MQTT client id of a connection, percent-encoded.", None),
        _ => ("", None),
    };
    let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(most);
    let schema = schema.pattern(most.map(|_| NO_CONTROL));
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    parameter.description(Some(text)).schema(Some(schema)).build()
}

/// A body of type `Option` may be missing; it is never `null`.
fn may_be_missing(body: &mut RequestBody) {
    for content in body.content.values_mut() {
        let Some(RefOr::T(Schema::OneOf(choice))) = &content.schema else { continue };
        if let Some(there) = choice.items.iter().find(|item| matches!(item, RefOr::Ref(_))) {
            content.schema = Some(there.clone());
            body.required = Some(Required::False);
        }
    }
}

fn complete_answers(operation: &mut Operation) {
    for (code, response) in &mut operation.responses.responses {
        if let (RefOr::T(response), Ok(status)) = (response, code.parse()) {
            complete_answer(response, status);
        }
    }
}

fn complete_answer(response: &mut Response, status: StatusCode) {
    if response.description.is_empty() {
        response.description = format!("{}.", status.canonical_reason().unwrap_or_default());
    }
    if response.content.contains_key("text/csv") {
        let next = header(Type::String, "With `format=csv`: what `after` takes, where there are more.");
        response.headers.insert("X-Next".to_owned(), next);
    }
    if status.is_client_error() || status.is_server_error() {
        let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
        response.content.insert(PROBLEM.to_owned(), Content::new(Some(schema)));
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let wait = header(Type::Integer, "Seconds after which to try again.");
        response.headers.insert("Retry-After".to_owned(), wait);
    }
}

fn header(of: Type, text: &str) -> Header {
    let mut header = Header::new(Object::with_type(of));
    header.description = Some(text.to_owned());
    header
}

fn add_answers(operation: &mut Operation, path: &str, need: Need) {
    for common in COMMON {
        if (common.everybody || !need.is_empty()) && (common.everywhere || path.starts_with("/api/v1/")) {
            let answer = RefOr::Ref(Ref::from_response_name(common.name));
            operation.responses.responses.entry(common.status.as_u16().to_string()).or_insert(answer);
        }
    }
}
