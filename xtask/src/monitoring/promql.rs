//! Which series and labels a PromQL expression names (<https://prometheus.io/docs/prometheus/latest/querying/basics/>).
//!
//! Not a parser: promtool has parsed the expression before. Invariant: every identifier that is neither a function, an
//! operator, a label nor a modifier counts as the name of a series, so one that is overlooked becomes a complaint.

use std::collections::{BTreeMap, BTreeSet};

use super::Documented;

/// What an expression asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) selectors: Vec<Selector>,
    /// Labels after `by`, `on`, `group_left` and `group_right`.
    pub(super) groupings: BTreeSet<String>,
}

/// A series by name, with the labels that it is filtered by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) labels: BTreeSet<String>,
    /// Whether a range is asked for, as `rate` needs it.
    pub(super) is_range: bool,
}

/// Labels that Prometheus adds to every series it scrapes.
const OF_SCRAPE: [&str; 2] = ["instance", "job"];
const KEYWORDS: [&str; 8] = ["and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"];
const AGGREGATIONS: [&str; 12] = [
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "topk",
    "bottomk",
    "quantile",
    "stddev",
    "stdvar",
    "group",
    "count_values",
];

/// Reads an expression.
pub(super) fn uses(expression: &str) -> Uses {
    let tokens = tokens(expression);
    let mut uses = Uses::default();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        let Token::Word(word) = token else { continue };
        let next = tokens.get(at);
        match word.as_str() {
            "by" | "on" | "group_left" | "group_right" => uses.groupings.extend(labels(&tokens, &mut at)),
            "without" | "ignoring" => drop(labels(&tokens, &mut at)),
            word if KEYWORDS.contains(&word.to_lowercase().as_str()) => {}
            word if AGGREGATIONS.contains(&word) || next == Some(&Token::Sign('(')) => {}
            name => {
                let labels = matchers(&tokens, &mut at);
                let is_range = tokens.get(at) == Some(&Token::Sign('['));
                uses.selectors.push(Selector { name: name.to_owned(), labels, is_range });
            }
        }
    }
    uses
}

/// What of an expression is not there. `recorded` are the labels of recorded series.
pub(super) fn problems(
    expression: &str,
    metrics: &BTreeMap<String, Documented>,
    recorded: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let uses = uses(expression);
    let (mut problems, mut all) = (Vec::new(), BTreeSet::new());
    for selector in &uses.selectors {
        let Some((mut labels, is_counter)) = series(&selector.name, metrics, recorded) else {
            problems.push(format!("`{}` is no metric of nova", selector.name));
            continue;
        };
        if is_counter && !selector.is_range {
            problems
                .push(format!("`{}` is a counter, and is not asked for its rate or increase", selector.name));
        }
        labels.extend(OF_SCRAPE.map(str::to_owned));
        for label in selector.labels.difference(&labels) {
            problems.push(format!("`{}` has no label `{label}`", selector.name));
        }
        all.append(&mut labels);
    }
    let unknown = uses.groupings.difference(&all);
    problems.extend(unknown.map(|label| format!("no series in it has the label `{label}`")));
    problems
}

/// The labels of a series, and whether it is a counter.
fn series(
    name: &str,
    metrics: &BTreeMap<String, Documented>,
    recorded: &BTreeMap<String, BTreeSet<String>>,
) -> Option<(BTreeSet<String>, bool)> {
    if let Some(labels) = recorded.get(name) {
        return Some((labels.clone(), false));
    }
    if name == "up" {
        return Some((BTreeSet::new(), false));
    }
    if let Some(metric) = metrics.get(name) {
        return (metric.kind != "histogram").then(|| (metric.labels.clone(), metric.kind == "counter"));
    }
    let (of, suffix) = name.rsplit_once('_')?;
    let metric = metrics.get(of).filter(|metric| metric.kind == "histogram")?;
    let mut labels = metric.labels.clone();
    match suffix {
        "bucket" => labels.extend(["le".to_owned()]),
        "sum" | "count" => {}
        _ => return None,
    }
    Some((labels, true))
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text,
    Sign(char),
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            '"' | '\'' | '`' => {
                while let Some(next) = rest.next() {
                    if next == '\\' && first != '`' {
                        rest.next();
                    } else if next == first {
                        break;
                    }
                }
                tokens.push(Token::Text);
            }
            '#' => while rest.next().is_some_and(|next| next != '\n') {},
            // Numbers and durations are nobody's name.
            digit if digit.is_ascii_digit() => {
                while rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '.').is_some() {}
            }
            letter if letter.is_ascii_alphabetic() || letter == '_' || letter == ':' => {
                let mut word = String::from(letter);
                while let Some(next) =
                    rest.next_if(|next| next.is_ascii_alphanumeric() || "_:".contains(*next))
                {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
            space if space.is_whitespace() => {}
            sign => tokens.push(Token::Sign(sign)),
        }
    }
    tokens
}

/// The words of a list in parentheses, if one follows.
fn labels(tokens: &[Token], at: &mut usize) -> Vec<String> {
    let mut found = Vec::new();
    if tokens.get(*at) != Some(&Token::Sign('(')) {
        return found;
    }
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token {
            Token::Word(word) => found.push(word.clone()),
            Token::Sign(')') => break,
            _ => {}
        }
    }
    found
}

/// The label names in braces, if they follow.
fn matchers(tokens: &[Token], at: &mut usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if tokens.get(*at) != Some(&Token::Sign('{')) {
        return found;
    }
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token {
            Token::Word(word) => found.extend([word.clone()]),
            Token::Sign('}') => break,
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[&str]) -> BTreeSet<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    #[test]
    fn series_and_labels_are_told_from_everything_else() {
        let found = uses(
            "histogram_quantile(0.99, sum by (stream, le) (rate(x_bucket{stream=~\"a{b}\", kind!='c'}[5m]))) > 5e9 \
             and on (stream) group_left () time() - y offset 5m # z",
        );
        let names: Vec<_> = found.selectors.iter().map(|selector| selector.name.as_str()).collect();
        assert_eq!(names, ["x_bucket", "y"]);
        assert_eq!(found.selectors[0].labels, set(&["kind", "stream"]));
        assert!(found.selectors[0].is_range && !found.selectors[1].is_range);
        assert_eq!(found.groupings, set(&["le", "stream"]));
    }

    #[test]
    fn what_is_not_there_is_a_problem() {
        let metric = |kind: &str, labels| Documented { kind: kind.to_owned(), labels: set(labels) };
        let metrics = BTreeMap::from([
            ("rows_total".to_owned(), metric("counter", &["stream"])),
            ("lag".to_owned(), metric("gauge", &["topic"])),
            ("took_seconds".to_owned(), metric("histogram", &["stream"])),
        ]);
        let recorded = BTreeMap::from([("stream:rows:rate5m".to_owned(), set(&["stream"]))]);
        let problems = |text: &str| problems(text, &metrics, &recorded);
        for right in [
            "sum by (stream) (rate(rows_total{stream=\"likes\", job=\"nova\"}[5m]))",
            "max by (topic, instance) (lag) > 3",
            "histogram_quantile(0.9, sum by (le) (rate(took_seconds_bucket[5m])))",
            "rate(took_seconds_sum[5m]) / rate(took_seconds_count[5m])",
            "stream:rows:rate5m{stream=\"likes\"} < 1",
            "up{job=\"nova\"} == 0",
        ] {
            assert_eq!(problems(right), Vec::<String>::new(), "{right}");
        }
        for (wrong, problem) in [
            ("rate(row_total[5m])", "`row_total` is no metric of nova"),
            ("lag{stream=\"likes\"}", "`lag` has no label `stream`"),
            ("sum by (stream) (lag)", "no series in it has the label `stream`"),
            ("rows_total > 3", "`rows_total` is a counter, and is not asked for its rate or increase"),
            ("took_seconds > 3", "`took_seconds` is no metric of nova"),
            ("rate(took_seconds_max[5m])", "`took_seconds_max` is no metric of nova"),
            ("sum by (le) (rate(took_seconds_sum[5m]))", "no series in it has the label `le`"),
        ] {
            assert_eq!(problems(wrong), [problem], "{wrong}");
        }
    }
}
