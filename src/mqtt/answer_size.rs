//! Answers to group requests that fit into what a terminal takes: what the asker knows anyway is left out, the least
//! useful first. Pure.

use serde_json::{Map, Value};

/// In this order; operation, id, status and reason always stay.
const LEFT_OUT: [&str; 4] = ["desc", "topic", "user", "group"];

/// The answer, shortened until it is not too large any more or nothing can be left out.
pub(super) fn fit(answer: Vec<u8>, too_large: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    if !too_large(&answer) {
        return answer;
    }
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(&answer) else { return answer };
    let mut shorter = answer;
    for field in LEFT_OUT {
        fields.remove(field);
        shorter = serde_json::to_vec(&fields).unwrap_or_default();
        if !too_large(&shorter) {
            break;
        }
    }
    shorter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_little_as_possible_is_left_out() {
        let answer = br#"{"op":"join","status":"accepted","user":"u","group":"g","topic":"groups/g"}"#;
        let fit = |most: usize| String::from_utf8(fit(answer.to_vec(), |body| body.len() > most)).unwrap();
        assert_eq!(fit(answer.len()).as_bytes(), answer);
        assert_eq!(
            serde_json::from_str::<Value>(&fit(answer.len() - 1)).unwrap(),
            serde_json::json!({"op":"join","status":"accepted","user":"u","group":"g"})
        );
        assert_eq!(
            serde_json::from_str::<Value>(&fit(1)).unwrap(),
            serde_json::json!({"op":"join","status":"accepted"})
        );
        assert_eq!(super::fit(b"[]".to_vec(), |_| true), b"[]");
    }
}
