//! Putting tables into a document that people write around them, and figures into a file beside those of before.
//!
//! Invariant: nothing outside of a pair of marks changes; figures of different commits or machines are never in one file.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// The document with what is between the marks of `name` replaced.
///
/// # Errors
/// When the document has no such pair of marks, or has one twice.
pub(super) fn replace(document: &str, name: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let parts: Vec<&str> = document.split(&begin).collect();
    let [before, rest] = parts.as_slice() else {
        anyhow::bail!("{} times `{begin}` in the document, and it must be there once", parts.len() - 1)
    };
    let parts: Vec<&str> = rest.split(&end).collect();
    let [_, after] = parts.as_slice() else {
        anyhow::bail!("{} times `{end}` behind `{begin}`, and it must be there once", parts.len() - 1)
    };
    ensure!(!text.contains("<!--"), "the tables hold a mark themselves");
    Ok(format!("{before}{begin}\n{}\n{end}{after}", text.trim_end()))
}

/// All figures: those of `before`, if they are of the same place, with these in the place of older ones of that name.
pub(super) fn merged(before: Option<&str>, place: &Value, name: &str, figures: Value) -> Value {
    let before = before.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let before = before.filter(|all| all.get("place") == Some(place));
    let measurements = before.as_ref().and_then(|all| all.get("measurements")).and_then(Value::as_object);
    let mut measurements = measurements.cloned().unwrap_or_default();
    measurements.insert(name.to_owned(), figures);
    json!({ "place": place, "measurements": measurements })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let document =
            "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb\n<!-- bench:y -->\n<!-- /bench:y -->\n";
        let written = replace(document, "x", "new\n\n").unwrap();
        assert_eq!(
            written,
            "a\n<!-- bench:x -->\nnew\n<!-- /bench:x -->\nb\n<!-- bench:y -->\n<!-- /bench:y -->\n"
        );
        assert_eq!(replace(&written, "x", "new").unwrap(), written);
        let error = replace(document, "z", "new").unwrap_err().to_string();
        assert_eq!(error, "0 times `<!-- bench:z -->` in the document, and it must be there once");
        assert!(replace("<!-- bench:x -->\n", "x", "new").is_err());
    }

    #[test]
    fn figures_of_another_commit_are_not_kept() {
        let (here, there) = (json!({ "commit": "a" }), json!({ "commit": "b" }));
        let first = merged(None, &here, "drain", json!(1)).to_string();
        let second = merged(Some(&first), &here, "flat", json!(2));
        assert_eq!(second, json!({ "place": here, "measurements": { "drain": 1, "flat": 2 } }));
        let other = merged(Some(&second.to_string()), &there, "flat", json!(3));
        assert_eq!(other, json!({ "place": there, "measurements": { "flat": 3 } }));
    }
}
