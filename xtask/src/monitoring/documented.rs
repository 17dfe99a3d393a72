//! The metrics as `docs/metrics.md` lists them: `| name | type | labels | meaning |`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// The names of its labels.
    pub labels: BTreeSet<String>,
}

/// All metrics of the page, by name.
///
/// # Errors
/// The page cannot be read, or has no table.
pub fn documented() -> Result<BTreeMap<String, Documented>> {
    let page = workspace::root().join("docs/metrics.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    let metrics: BTreeMap<_, _> = text.lines().filter_map(row).collect();
    ensure!(!metrics.is_empty(), "{} has no table of metrics", page.display());
    Ok(metrics)
}

fn row(line: &str) -> Option<(String, Documented)> {
    let mut cells = line.strip_prefix("| `")?.split('|');
    let name = cells.next()?.trim().strip_suffix('`')?.to_owned();
    let kind = cells.next()?.trim().to_owned();
    let labels = cells.next()?.split(',').map(|label| label.trim().trim_matches('`').to_owned());
    let labels = labels.filter(|label| !label.is_empty()).collect();
    Some((name, Documented { kind, labels }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_name_type_and_labels() {
        let (name, metric) = row("| `a_total` | counter | `stream`, `kind` | What it means |").unwrap();
        assert_eq!((name.as_str(), metric.kind.as_str()), ("a_total", "counter"));
        assert_eq!(metric.labels, ["kind", "stream"].map(str::to_owned).into());
        assert!(row("| `b` | gauge |  | Nothing |").unwrap().1.labels.is_empty());
        assert_eq!(row("| metric | type | labels | meaning |"), None);
        assert_eq!(row("text"), None);
    }
}
