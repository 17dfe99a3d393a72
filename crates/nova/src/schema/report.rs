//! The findings as text for people, and as one JSON document.
//!
//! Invariant: one line per finding, each a sentence that can be read without the schema at hand.

use std::fmt::Write;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Breaks a reader, and the schema says why.
    Declared,
    /// Breaks a reader, and nobody said so.
    Break,
    /// A mistake in the folder itself.
    Wrong,
}

/// Whom a change breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    /// The newer reader, with documents of the older version.
    Backward,
    /// The older reader, with documents of the newer version.
    Forward,
}

/// One thing about one version.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    /// The event type.
    pub event_type: String,
    /// The version; of a change, the newer.
    pub version: u32,
    /// How bad it is.
    pub level: Level,
    /// Of a change, whom it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Of a change, the JSON pointer of the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The sentence.
    pub message: String,
    /// Of a declared change, what the schema says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Finding {
    /// A finding that is no change.
    pub(super) fn new(event_type: &str, version: u32, level: Level, message: impl Into<String>) -> Self {
        let (event_type, message) = (event_type.to_owned(), message.into());
        Self { event_type, version, level, direction: None, path: String::new(), message, reason: None }
    }
}

/// One line per finding, under the name of its type.
pub(super) fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut group = "";
    for finding in findings {
        let Finding { event_type, version, message, .. } = finding;
        if event_type != group {
            let _ = writeln!(text, "{event_type}"); // writing to a String cannot fail
            group = event_type;
        }
        let word = match finding.level {
            Level::Ok => "ok",
            Level::Declared => "declared",
            Level::Break => "BREAK",
            Level::Wrong => "WRONG",
        };
        let direction = match finding.direction {
            Some(Direction::Backward) => "backward: ",
            Some(Direction::Forward) => "forward: ",
            None => "",
        };
        let _ = write!(text, "  {word:<8}  v{version:<3} {direction}{message}");
        if let Some(reason) = &finding.reason {
            let _ = write!(text, "  -> {reason}");
        }
        text.push('\n');
    }
    text
}

/// `{"ok": …, "findings": […]}`.
pub(super) fn json(findings: &[Finding]) -> String {
    #[derive(Serialize)]
    struct Report<'f> {
        ok: bool,
        findings: &'f [Finding],
    }
    let ok = findings.iter().all(|finding| matches!(finding.level, Level::Ok | Level::Declared));
    serde_json::to_string_pretty(&Report { ok, findings })
        .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> [Finding; 2] {
        let change = Finding {
            direction: Some(Direction::Forward),
            path: "/f".to_owned(),
            ..Finding::new("view", 2, Level::Break, "v1 requires `f`, which v2 does not have")
        };
        [Finding::new("view", 1, Level::Ok, "fine"), change]
    }

    #[test]
    fn one_line_each_under_the_type() {
        let expected = "view\n  ok        v1   fine\n  BREAK     v2   forward: v1 requires `f`, which v2 does not have\n";
        assert_eq!(table(&findings()), expected);
    }

    #[test]
    fn json_has_the_verdict_and_leaves_out_what_is_not() {
        let document: serde_json::Value = serde_json::from_str(&json(&findings())).unwrap();
        assert_eq!(document["ok"], false);
        assert_eq!(document["findings"][1]["direction"], "forward");
        assert_eq!(document["findings"][0].get("path"), None);
    }
}
