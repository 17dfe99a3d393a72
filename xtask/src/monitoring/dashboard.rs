//! `grafana.json`: the queries of its panels and variables.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Documented, promql};

/// What a dashboard asks of Prometheus.
pub(super) struct Dashboard {
    pub(super) queries: Vec<Query>,
    /// `label_values(metric, label)` of its variables.
    variables: Vec<String>,
}

/// One query of a panel.
pub(super) struct Query {
    panel: String,
    /// Variables replaced by values.
    expr: String,
    legend: String,
}

/// Reads a dashboard.
pub(super) fn read(path: &Path) -> Result<Dashboard> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let dashboard = of(&text).with_context(|| path.display().to_string())?;
    ensure!(!dashboard.queries.is_empty(), "{} asks for nothing", path.display());
    Ok(dashboard)
}

fn of(text: &str) -> Result<Dashboard> {
    let value: Value = serde_json::from_str(text)?;
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let word = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    // A collapsed row holds its panels itself.
    let panels = list(&value, "panels").into_iter().flat_map(|panel| {
        let inner = list(&panel, "panels");
        std::iter::once(panel).chain(inner)
    });
    let mut queries = Vec::new();
    for panel in panels {
        for target in list(&panel, "targets") {
            let expr = word(&target, "expr").replace("$__rate_interval", "5m").replace("$stream", ".*");
            queries.push(Query { panel: word(&panel, "title"), expr, legend: word(&target, "legendFormat") });
        }
    }
    let variables = list(&value["templating"], "list");
    let variables = variables.iter().filter(|variable| variable["type"] == "query");
    Ok(Dashboard { queries, variables: variables.map(|variable| word(variable, "query")).collect() })
}

impl Dashboard {
    /// The queries as a file of recording rules.
    pub(super) fn as_rules(&self) -> String {
        let rule = |(number, query): (usize, &Query)| json!({"record": format!("query{number}"), "expr": query.expr});
        let rules: Vec<Value> = self.queries.iter().enumerate().map(rule).collect();
        json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string()
    }

    /// What is wrong, by panel.
    pub(super) fn problems(&self, metrics: &BTreeMap<String, Documented>) -> Vec<String> {
        let mut problems = Vec::new();
        for Query { panel, expr, legend } in &self.queries {
            let mut found = promql::problems(expr, metrics, &BTreeMap::new());
            let groupings = promql::uses(expr).groupings;
            let unknown = placeholders(legend).filter(|label| !groupings.contains(*label));
            found.extend(unknown.map(|label| format!("its legend has `{label}`, and the query does not")));
            problems.extend(found.into_iter().map(|problem| format!("grafana.json: {panel}: {problem}")));
        }
        for variable in &self.variables {
            let call = variable.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let known = call.and_then(|call| call.split_once(',')).is_some_and(|(metric, label)| {
                metrics.get(metric.trim()).is_some_and(|metric| metric.labels.contains(label.trim()))
            });
            if !known {
                problems.push(format!(
                    "grafana.json: the variable `{variable}` asks for no label of a metric of nova"
                ));
            }
        }
        problems
    }
}

/// What stands in `{{…}}`.
fn placeholders(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).filter_map(|part| Some(part.split_once("}}")?.0.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{
        "templating": {"list": [
            {"type": "datasource", "query": "prometheus"},
            {"type": "query", "query": "label_values(lag, stream)"},
            {"type": "query", "query": "label_values(lag, topic)"}
        ]},
        "panels": [{"type": "row", "title": "Now", "panels": [
            {"title": "Lag", "targets": [
                {"expr": "max by (stream) (lag{stream=~\"$stream\"})", "legendFormat": "{{stream}}"},
                {"expr": "max(late)", "legendFormat": "{{ topic }}"}
            ]}
        ]}]
    }"#;

    #[test]
    fn queries_inside_rows_and_variables_are_looked_at() {
        let lag = Documented { kind: "gauge".to_owned(), labels: ["stream".to_owned()].into() };
        let metrics = BTreeMap::from([("lag".to_owned(), lag)]);
        let dashboard = of(TEXT).unwrap();
        assert_eq!(dashboard.queries[0].expr, "max by (stream) (lag{stream=~\".*\"})");
        assert!(dashboard.as_rules().contains(r#""expr":"max(late)","record":"query1""#));
        assert_eq!(
            dashboard.problems(&metrics),
            [
                "grafana.json: Lag: `late` is no metric of nova",
                "grafana.json: Lag: its legend has `topic`, and the query does not",
                "grafana.json: the variable `label_values(lag, topic)` asks for no label of a metric of nova",
            ]
        );
    }
}
