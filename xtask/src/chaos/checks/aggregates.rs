//! The projection and every view equal a recount from the rows.
//!
//! A view is refreshed, then its own definition is run over the rows alone (no projection) for the same moment. Its
//! LIMIT is left off there, since equal scores may be cut either way: the view must be a part of the recount, as
//! long as the limit allows, and nothing left out may score higher.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::Check;
use crate::installation::{DATABASE, clickhouse_rows};
use crate::stack::ClickHouseServer;

const VIEWS: [&str; 3] = ["top_posts_1h", "trending_24h", "feed_candidates_mv"];
const MOMENT: &str = "now64(3, 'UTC')";
/// Sums of floating-point numbers depend on their order.
const EPSILON: f64 = 1e-6;

/// Compares all of them.
///
/// # Errors
/// When ClickHouse refuses a question.
pub(in crate::chaos) async fn check(clickhouse: &ClickHouseServer) -> Result<Check> {
    let (groups, mut findings) = projection(clickhouse).await?;
    let mut figures = format!("hourly_engagement {groups} groups");
    for view in VIEWS {
        let (rows, found) = compare_view(clickhouse, view).await.with_context(|| view)?;
        figures += &format!(", {view} {rows} rows");
        findings.extend(found);
    }
    Ok(Check::new("aggregates = recount", figures, &findings))
}

async fn projection(clickhouse: &ClickHouseServer) -> Result<(usize, Vec<String>)> {
    let ask = async |settings: &str| -> Result<BTreeSet<Vec<String>>> {
        let sql = format!(
            "SELECT toStartOfHour(event_time) AS hour, post_id, event_type, sum(sign), sum(sign * dwell_time_ms) \
             FROM {DATABASE}.post_engagement_events GROUP BY hour, post_id, event_type SETTINGS {settings}"
        );
        Ok(clickhouse_rows(clickhouse, &sql).await?.into_iter().collect())
    };
    let kept = ask("optimize_use_projections = 1, force_optimize_projection = 1").await?;
    let counted = ask("optimize_use_projections = 0").await?;
    let findings = kept
        .symmetric_difference(&counted)
        .map(|group| format!("hourly_engagement: {}", group.join(" ")))
        .collect();
    Ok((counted.len(), findings))
}

async fn compare_view(clickhouse: &ClickHouseServer, view: &str) -> Result<(usize, Vec<String>)> {
    clickhouse.query(&format!("SYSTEM REFRESH VIEW {DATABASE}.{view}")).await?;
    clickhouse.query(&format!("SYSTEM WAIT VIEW {DATABASE}.{view}")).await?;
    let columns = "toString(refreshed_at), * EXCEPT (refreshed_at, score), round(toFloat64(score), 6)";
    let kept = clickhouse_rows(clickhouse, &format!("SELECT {columns} FROM {DATABASE}.{view}")).await?;
    let Some(moment) = kept.first().and_then(|row| row.first()) else { return Ok((0, Vec::new())) };
    let sql = format!(
        "SELECT as_select FROM system.tables WHERE database = '{DATABASE}' AND name = '{view}' FORMAT TSVRaw"
    );
    let definition = clickhouse.query(&sql).await?;
    ensure!(definition.contains(MOMENT), "the definition has no {MOMENT}");
    let definition = definition.replace(MOMENT, &format!("toDateTime64('{moment}', 3, 'UTC')"));
    let (definition, limit) = without_limit(definition.trim());
    let sql = format!("SELECT {columns} FROM ({definition}) SETTINGS optimize_use_projections = 0");
    let counted = clickhouse_rows(clickhouse, &sql).await?;
    Ok((kept.len(), disagreements(view, &kept, &counted, limit)))
}

/// A query without its last LIMIT, and that limit.
fn without_limit(query: &str) -> (&str, usize) {
    let found =
        query.rsplit_once("LIMIT ").and_then(|(before, limit)| Some((before, limit.trim().parse().ok()?)));
    found.unwrap_or((query, usize::MAX))
}

fn disagreements(view: &str, kept: &[Vec<String>], counted: &[Vec<String>], limit: usize) -> Vec<String> {
    let kept_rows: BTreeSet<_> = kept.iter().collect();
    let counted_rows: BTreeSet<_> = counted.iter().collect();
    let mut findings: Vec<String> = kept_rows
        .difference(&counted_rows)
        .map(|row| format!("{view}: not in a recount: {}", row.join(" ")))
        .collect();
    let expected = counted.len().min(limit);
    if kept.len() != expected {
        findings.push(format!("{view}: {} rows, a recount has {expected}", kept.len()));
    }
    let score =
        |row: &Vec<String>| row.last().and_then(|score| score.parse::<f64>().ok()).unwrap_or(f64::NAN);
    let lowest = kept.iter().map(score).fold(f64::INFINITY, f64::min);
    let better = counted_rows.difference(&kept_rows).filter(|row| score(row) > lowest + EPSILON);
    findings.extend(better.map(|row| format!("{view}: left out: {}", row.join(" "))));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Vec<Vec<String>> {
        texts.iter().map(|text| text.split(' ').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn only_the_last_limit_is_taken_off() {
        assert_eq!(without_limit("SELECT 1 LIMIT 50 BY a\nLIMIT 100"), ("SELECT 1 LIMIT 50 BY a\n", 100));
        assert_eq!(without_limit("SELECT 1 LIMIT 50 BY a ON b"), ("SELECT 1 LIMIT 50 BY a ON b", usize::MAX));
    }

    #[test]
    fn a_view_may_cut_equal_scores_and_nothing_else() {
        let counted = rows(&["a 3", "b 2", "c 2", "d 1"]);
        assert!(disagreements("v", &rows(&["a 3", "c 2"]), &counted, 2).is_empty());
        assert_eq!(disagreements("v", &rows(&["b 2", "c 2"]), &counted, 2), ["v: left out: a 3"]);
        assert_eq!(disagreements("v", &rows(&["a 3"]), &counted, 2).len(), 1);
        assert_eq!(disagreements("v", &rows(&["a 4", "b 2"]), &counted, 2).len(), 2);
    }
}
