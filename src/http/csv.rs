//! Lists as CSV (RFC 4180), for who asks with `format=csv`. Where there are more, the header `X-Next` has what `after=` takes.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa::openapi::Object;

use super::listing::one_of;
use super::problem::Problem;

/// `format=` of lists.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Format {
    #[serde(default)]
    #[param(schema_with = formats)]
    format: Option<String>,
}

fn formats() -> Object {
    one_of("What the answer is written in.", ["json", "csv"])
}

impl Format {
    /// Whether CSV is wanted.
    pub(super) fn is_csv(&self) -> Result<bool, Problem> {
        match self.format.as_deref() {
            None | Some("json") => Ok(false),
            Some("csv") => Ok(true),
            Some(other) => {
                let other: String = other.chars().take(64).collect();
                Err(Problem::bad_request(format!("format: {other:?} is none; known: json, csv")))
            }
        }
    }

    /// A list as it is asked for.
    pub(super) fn answer<L: List>(&self, list: L) -> Result<Response, Problem> {
        if !self.is_csv()? {
            return Ok(Json(list).into_response());
        }
        let mut text = line(L::HEAD.iter().map(|name| (*name).to_owned()));
        for row in list.rows() {
            text.push_str(&line(row.into_iter()));
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
        if let Some(next) = list.next().and_then(|next| HeaderValue::from_str(&escape(next)).ok()) {
            headers.insert("x-next", next);
        }
        Ok((headers, text).into_response())
    }
}

/// As it stands in a query.
fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A page of a list.
pub(super) trait List: Serialize {
    /// Names of the columns.
    const HEAD: &'static [&'static str];

    fn rows(&self) -> Vec<Vec<String>>;

    fn next(&self) -> Option<&str>;
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| quote(&cell)).collect();
    cells.join(",") + "\r\n"
}

fn quote(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4180 §2, rules 5 to 7.
    #[test]
    fn cells_with_commas_quotes_and_line_ends_are_quoted() {
        let cells = ["plain", "a,b", "say \"x\"", "two\nlines", ""];
        assert_eq!(line(cells.map(String::from).into_iter()), "plain,\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",\r\n");
    }
}
