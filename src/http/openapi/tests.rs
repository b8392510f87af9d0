//! Nothing is undocumented, and docs/openapi.json is what the code says.

use std::collections::BTreeSet;

use super::*;

/// Written anew with PAPCAST_WRITE_DOCS=1.
#[test]
fn docs_openapi_json_is_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    if std::env::var_os("PAPCAST_WRITE_DOCS").is_some() {
        return std::fs::write(path, handlers::text()).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        known == handlers::text(),
        "docs/openapi.json is not what the code says: run the test with PAPCAST_WRITE_DOCS=1"
    );
}

fn document() -> serde_json::Value {
    serde_json::from_str(TEXT).unwrap()
}

/// `GET /healthz` and its like, as the document has them.
fn documented() -> BTreeSet<String> {
    let document = document();
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |of| format!("{of} {path}"))).collect()
}

/// A handler as it stands in the source.
struct Handler {
    /// `get /api/v1/pushes pushes::list`
    endpoint: String,
    /// Types of query parameters: those that it documents, and those that it reads.
    documents: BTreeSet<String>,
    reads: BTreeSet<String>,
}

fn handlers() -> Vec<Handler> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for handler in text.split("#[utoipa::path(").skip(1) {
            let (says, rest) = handler.split_once("async fn ").unwrap();
            let (name, rest) = rest.split_once('(').unwrap();
            let method = says.split(',').next().unwrap().trim();
            let at = says.split('"').nth(1).unwrap();
            let module = path.file_stem().unwrap().to_str().unwrap();
            let parameters = says.split_once("params(").map_or("", |(_, list)| list.split(['(', ')']).next().unwrap());
            let documents = parameters.split(',').map(str::trim).filter(|name| !name.is_empty());
            let signature = rest.split("->").next().unwrap();
            let reads = signature.split("Query<").skip(1).map(|rest| rest.split('>').next().unwrap());
            found.push(Handler {
                endpoint: format!("{method} {at} {module}::{name}"),
                documents: documents.map(String::from).collect(),
                reads: reads.map(String::from).collect(),
            });
        }
    }
    assert!(found.len() > 30, "the handlers were found");
    found
}

/// A router does not tell what it has: its text does.
fn routed() -> BTreeSet<String> {
    let text = include_str!("../mod.rs");
    let routes = text.split("fn api_routes()").nth(1).unwrap().split("\n}\n").next().unwrap();
    let others = [("/healthz", "health::alive"), ("/readyz", "health::ready"), ("/metrics", "metrics::show")];
    let mut all: BTreeSet<String> = others.iter().map(|(path, handler)| format!("get {path} {handler}")).collect();
    for route in routes.split(".route(").skip(1) {
        let path = route.split('"').nth(1).unwrap();
        let methods = route.split_once(',').unwrap().1;
        for method in methods.split(')').filter(|method| method.contains("::")) {
            let (method, handler) = method.split_once('(').unwrap();
            all.insert(format!("{} {path} {handler}", method.trim_matches([' ', '.', '\n'])));
        }
    }
    assert!(all.len() > 30, "the routes were found: {all:?}");
    all
}

#[test]
fn every_route_of_the_json_api_is_documented_by_its_handler_and_every_documented_one_is_there() {
    let described: BTreeSet<String> = handlers().into_iter().map(|handler| handler.endpoint).collect();
    assert_eq!(described, routed());
    let in_document = described.iter().map(|endpoint| endpoint.rsplit_once(' ').unwrap().0.to_owned());
    assert_eq!(documented(), in_document.collect());
}

/// One that is documented and not read would be a filter that lets everything pass.
#[test]
fn every_handler_reads_the_query_parameters_that_it_documents() {
    for handler in handlers() {
        assert_eq!(handler.documents, handler.reads, "{}", handler.endpoint);
    }
}

#[test]
fn every_endpoint_says_what_it_is_for_and_has_a_name_of_its_own() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let says = operation["summary"].as_str().unwrap_or_default();
            assert!(!says.is_empty() && !says.contains("[`"), "{method} {path}: {says:?}");
            assert!(names.insert(operation["operationId"].to_string()), "{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let says = parameter["description"].as_str().unwrap_or_default();
                assert!(!says.is_empty(), "{method} {path}: {}", parameter["name"]);
            }
        }
    }
}

#[test]
fn the_query_parameters_of_an_endpoint_are_those_of_the_document() {
    let names = query_parameters(&Method::GET, "/api/v1/pushes/{push_id}/recipients");
    assert_eq!(names, ["state", "reason", "missing", "counts", "limit", "after", "initiator", "format"]);
    assert!(query_parameters(&Method::POST, "/api/v1/pushes").is_empty());
    assert!(query_parameters(&Method::GET, "/api/v1/nothing").is_empty());
}

/// Two types of one name would be one in the document.
#[test]
fn every_reference_leads_somewhere() {
    fn walk<'a>(value: &'a serde_json::Value, found: &mut BTreeSet<&'a str>) {
        match value {
            serde_json::Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(|at| at.as_str()));
                fields.values().for_each(|value| walk(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    walk(&document, &mut found);
    assert!(found.len() > 40, "the references were found");
    for at in found {
        assert!(document.pointer(at.trim_start_matches('#')).is_some(), "{at}");
    }
}
