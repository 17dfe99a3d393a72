//! `rules.yaml`: what promtool does not ask of alerts.
//!
//! Invariant: whoever is woken by an alert is told a command to begin with and a runbook that exists; and every alert was seen to
//! fire and not to fire.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Documented, promql};

const SEVERITIES: [&str; 2] = ["critical", "warning"];
const RUNBOOKS: &str = "docs/runbooks/";

/// Rules and their unit tests.
pub(super) struct Rules {
    rules: Vec<Rule>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    alert_rule_test: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    alertname: String,
    exp_alerts: Vec<IgnoredAny>,
}

/// Reads both files.
pub(super) fn read(folder: &Path) -> Result<Rules> {
    let rules: RuleFile = parsed(&folder.join("rules.yaml"))?;
    let tests: TestFile = parsed(&folder.join("rules.test.yaml"))?;
    let rules = rules.groups.into_iter().flat_map(|group| group.rules).collect();
    let cases = tests.tests.into_iter().flat_map(|test| test.alert_rule_test).collect();
    Ok(Rules { rules, cases })
}

fn parsed<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
}

impl Rules {
    /// The names of all alerts.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| rule.alert.as_deref())
    }

    /// The names of all recorded series.
    pub(super) fn records(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| rule.record.as_deref())
    }

    /// What is wrong, by rule. `root` is the repository.
    pub(super) fn problems(&self, metrics: &BTreeMap<String, Documented>, root: &Path) -> Vec<String> {
        let recorded = self.recorded();
        let mut problems = Vec::new();
        for rule in &self.rules {
            let name = rule.alert.as_ref().or(rule.record.as_ref()).map_or("a rule", String::as_str);
            let mut found = promql::problems(&rule.expr, metrics, &recorded);
            if rule.alert.is_some() {
                found.extend(rule.missing(root));
                found.extend(self.untested(name));
            }
            problems.extend(found.into_iter().map(|problem| format!("rules.yaml: {name}: {problem}")));
        }
        let unknown = self.cases.iter().filter(|case| !self.alerts().any(|alert| alert == case.alertname));
        problems.extend(unknown.map(|case| format!("rules.test.yaml: there is no alert {}", case.alertname)));
        problems
    }

    /// The labels of recorded series: those that the expression groups by.
    fn recorded(&self) -> BTreeMap<String, BTreeSet<String>> {
        let of = |rule: &Rule| {
            let labels = promql::uses(&rule.expr).groupings.into_iter().filter(|label| label != "le");
            Some((rule.record.clone()?, labels.collect()))
        };
        self.rules.iter().filter_map(of).collect()
    }

    fn untested(&self, alert: &str) -> Vec<String> {
        let fires = |fires: bool| {
            self.cases.iter().any(|case| case.alertname == alert && case.exp_alerts.is_empty() != fires)
        };
        let wanted = [(true, "no test sees it fire"), (false, "no test sees it not fire")];
        wanted.into_iter().filter(|(is, _)| !fires(*is)).map(|(_, problem)| problem.to_owned()).collect()
    }
}

impl Rule {
    /// What an alert has to tell, and does not.
    fn missing(&self, root: &Path) -> Vec<String> {
        let mut missing = Vec::new();
        let severity = self.labels.get("severity").map_or("", String::as_str);
        if !SEVERITIES.contains(&severity) {
            missing.push(format!("its severity is `{severity}`, not one of {}", SEVERITIES.join(", ")));
        }
        let annotation = |name| self.annotations.get(name).map_or("", String::as_str);
        if annotation("summary").is_empty() {
            missing.push("it has no summary".to_owned());
        }
        if !annotation("description").contains("First: `") {
            missing.push("its description does not say what to run first (First: `…`)".to_owned());
        }
        let runbook = annotation("runbook");
        if !runbook.starts_with(RUNBOOKS) || !root.join(runbook).is_file() {
            missing.push(format!("its runbook `{runbook}` is not a page of {RUNBOOKS}"));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn alert(expr: &str) -> Rule {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        Rule {
            alert: Some("Behind".to_owned()),
            expr: expr.to_owned(),
            labels: pairs(&[("severity", "warning")]),
            annotations: pairs(&[
                ("summary", "Behind"),
                ("description", "It is late. First: `nova offsets show`"),
                ("runbook", "docs/runbooks/offsets.md"),
            ]),
            ..Rule::default()
        }
    }

    fn case(alertname: &str, fires: bool) -> Case {
        let exp_alerts = if fires { vec![IgnoredAny] } else { Vec::new() };
        Case { alertname: alertname.to_owned(), exp_alerts }
    }

    fn problems(rule: Rule, cases: Vec<Case>) -> Vec<String> {
        let lag = Documented { kind: "gauge".to_owned(), labels: BTreeSet::new() };
        let metrics = BTreeMap::from([("lag".to_owned(), lag)]);
        Rules { rules: vec![rule], cases }.problems(&metrics, workspace::root())
    }

    #[test]
    fn an_alert_that_says_all_and_is_tested_is_right() {
        let both = vec![case("Behind", true), case("Behind", false)];
        assert_eq!(problems(alert("lag > 3"), both), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_lacks_is_named() {
        let mut rule = alert("lagg > 3");
        rule.labels.clear();
        rule.annotations.insert("description".to_owned(), "It is late.".to_owned());
        rule.annotations.insert("runbook".to_owned(), "docs/runbooks/nothing.md".to_owned());
        let found = problems(rule, vec![case("Behind", true), case("Before", false)]).join("\n");
        for part in [
            "rules.yaml: Behind: `lagg` is no metric of nova",
            "severity is ``",
            "what to run first",
            "`docs/runbooks/nothing.md` is not a page",
            "no test sees it not fire",
            "there is no alert Before",
        ] {
            assert!(found.contains(part), "no `{part}` in\n{found}");
        }
    }
}
