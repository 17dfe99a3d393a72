//! A report as one HTML page that needs nothing else: no network, no fonts, no scripts of others.
//!
//! Invariant: no value of a report is ever markup. Text goes in escaped, data goes in as JSON without `<`, `>` and `&`,
//! the script writes text nodes only, and the Content-Security-Policy allows our own script and style by their digest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::payload::{Payload, payload};
use super::words::{clean, counted, duration, grouped, headline, lsn, scope, time, total};
use crate::Report;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The report as an HTML page.
#[must_use]
pub fn html(report: &Report) -> String {
    let payload = payload(report);
    let took = duration(u64::try_from(report.finished_ms - report.started_ms).unwrap_or(0));
    fill(PAGE, |name| match name {
        "policy" => policy(),
        "style" => STYLE.to_owned(),
        "script" => SCRIPT.to_owned(),
        "data" => data(&payload),
        "verdict" => report.verdict().name().to_owned(),
        "headline" => escape(&headline(report)),
        "started" => escape(&time(report.started_ms)),
        "took" => escape(&took),
        "version" => escape(&clean(&report.nova_version)),
        "run" => report.run_id.to_string(),
        "snapshot" => escape(&snapshot(report)),
        "scope" => escape(&scope(&report.scope)),
        "notes" => escape(&notes(report, &payload)),
        _ => String::new(),
    })
}

/// Our own script and style, by digest, and nothing else.
fn policy() -> String {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; base-uri 'none'; \
         form-action 'none'",
        digest(SCRIPT),
        digest(STYLE)
    )
}

/// The first snapshot; the page tells all of them at its end.
fn snapshot(report: &Report) -> String {
    let mut taken: Vec<_> = report.streams.iter().flat_map(|stream| &stream.snapshots).collect();
    taken.sort_by_key(|snapshot| (snapshot.taken_ms, snapshot.lsn));
    taken.dedup();
    match taken.as_slice() {
        [] => "none was taken".to_owned(),
        [first, rest @ ..] => {
            let more =
                if rest.is_empty() { String::new() } else { format!(", and {} more below", rest.len()) };
            format!("{}, xmin {}, xmax {}{more}", lsn(first.lsn), first.xmin, first.xmax)
        }
    }
}

/// What of the report is folded or left out, and what of the streams is out of scope.
fn notes(report: &Report, payload: &Payload) -> String {
    let mut notes = Vec::new();
    let most = report.streams.iter().map(|stream| stream.windows.len()).max().unwrap_or(0);
    if most > payload.columns() {
        notes.push(format!(
            "Windows are folded: up to {} per stream are shown in {} columns of about as many windows each.",
            grouped(most),
            payload.columns()
        ));
    }
    let (listed, found) = (payload.listed() as u64, total(report).total());
    if found > listed {
        notes.push(format!(
            "{} are listed here of {} found; the others are counted in their cells.",
            counted(listed, "difference"),
            grouped(found)
        ));
    }
    for stream in &report.streams {
        notes.extend(stream.note.as_ref().map(|note| format!("{}: {note}", stream.stream)));
    }
    notes.join(" ")
}

/// JSON for a `<script type="application/json">`: nothing in it can end the element or begin a comment.
fn data(payload: &Payload) -> String {
    let json = serde_json::to_string(payload).unwrap_or_else(|_| "null".to_owned());
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\u{2028}' => safe.push_str("\\u2028"),
            '\u{2029}' => safe.push_str("\\u2029"),
            other => safe.push(other),
        }
    }
    safe
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Replaces each `{{name}}` in one pass: what a value contains is never looked at again.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, tail)) = after.split_once("}}") else { break };
        filled.push_str(before);
        filled.push_str(&value(name));
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_neither_markup_nor_placeholders() {
        assert_eq!(escape("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
        let value = |name: &str| if name == "a" { "{{b}}".to_owned() } else { "no".to_owned() };
        assert_eq!(fill("x{{a}}y", value), "x{{b}}y");
    }

    #[test]
    fn the_page_has_no_placeholder_without_a_value() {
        let names: Vec<&str> =
            PAGE.split("{{").skip(1).filter_map(|part| part.split_once("}}")).map(|(name, _)| name).collect();
        let known = [
            "policy", "style", "script", "data", "verdict", "headline", "started", "took", "version", "run",
            "snapshot", "scope", "notes",
        ];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
        assert!(known.iter().all(|name| names.contains(name)), "{names:?}");
    }
}
