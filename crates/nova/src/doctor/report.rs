//! The checks as text for people, and as one JSON document.
//!
//! Invariant: one line per check, however long or many-lined a server's message is.

use std::fmt::Write;

use serde::Serialize;

use super::check::{Check, Level};

/// One line per check, under the name of its server.
pub(super) fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut group = "";
    for check in checks {
        if check.group != group {
            let _ = writeln!(text, "{}", check.group); // writing to a String cannot fail
            group = check.group;
        }
        let word = match check.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
            Level::Skipped => "-",
        };
        let _ = write!(text, "  {word:<4}  {:<width$}  {}", check.name, one_line(&check.finding));
        if !check.cure.is_empty() {
            let _ = write!(text, "  -> {}", one_line(&check.cure));
        }
        text.push('\n');
    }
    text
}

/// `{"ok": …, "checks": […]}`.
pub(super) fn json(checks: &[Check]) -> String {
    #[derive(Serialize)]
    struct Report<'c> {
        ok: bool,
        checks: &'c [Check],
    }
    let ok = checks.iter().all(|check| check.level != Level::Fail);
    serde_json::to_string_pretty(&Report { ok, checks })
        .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::check::Group;
    use super::*;

    fn checks() -> Vec<Check> {
        let (postgres, kafka) = (Group("PostgreSQL"), Group("Kafka"));
        vec![
            postgres.ok("wal_level", "logical"),
            postgres.fail("publication", "missing", "CREATE PUBLICATION\n  nova_cdc"),
            kafka.warn("cdc.likes retention", "7 days", "raise it"),
            kafka.skipped("group lag", "not looked at"),
        ]
    }

    #[test]
    fn one_line_each_grouped_by_server() {
        assert_eq!(
            table(&checks()),
            "PostgreSQL\n\
             \x20 ok    wal_level            logical\n\
             \x20 FAIL  publication          missing  -> CREATE PUBLICATION nova_cdc\n\
             Kafka\n\
             \x20 warn  cdc.likes retention  7 days  -> raise it\n\
             \x20 -     group lag            not looked at\n"
        );
    }

    #[test]
    fn json_has_levels_in_lower_case_and_the_verdict() {
        let document: serde_json::Value = serde_json::from_str(&json(&checks())).unwrap();
        assert_eq!(document["ok"], false);
        assert_eq!(document["checks"][1]["level"], "fail");
        assert_eq!(document["checks"][0].get("cure"), None);
        assert_eq!(document["checks"][3]["level"], "skipped");
    }
}
