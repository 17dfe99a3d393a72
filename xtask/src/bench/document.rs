//! Putting tables into a document that people write around them.
//!
//! Invariant: nothing outside of a pair of marks changes.

use anyhow::{Result, ensure};

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
}
