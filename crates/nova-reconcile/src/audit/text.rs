//! An audit for people: one line for each stream and partition, then what is wrong and where.

use std::fmt::Write;

use super::report::{AlteredColumn, AuditReport, AuditVerdict, Counts, Finding, PartitionAudit, StreamAudit};

/// The report as plain text.
#[must_use]
pub fn text(report: &AuditReport) -> String {
    let mut text = String::new();
    for stream in &report.streams {
        add_stream(&mut text, stream);
    }
    text
}

// Writing to a String cannot fail, so its answers are dropped below.
fn add_stream(text: &mut String, audit: &StreamAudit) {
    let StreamAudit { stream, topic, table, group, verdict, .. } = audit;
    let verdict = match verdict {
        AuditVerdict::Agrees => "agrees".to_owned(),
        AuditVerdict::Incomplete => "INCOMPLETE".to_owned(),
        AuditVerdict::Findings => {
            let kinds: Vec<String> =
                audit.tally.iter().map(|(kind, count)| format!("{count} {}", kind.words())).collect();
            format!("FINDINGS: {}", kinds.join(", "))
        }
    };
    let _ = writeln!(text, "{stream}: {verdict}  ({topic} -> {table}, group {group})");
    let width = audit.partitions.iter().map(|part| range(part).len()).max().unwrap_or(0);
    for part in &audit.partitions {
        let _ =
            writeln!(text, "  {topic}[{}] {:width$}  {}", part.partition, range(part), counts(&part.counts));
        if let Some([from, to]) = part.lost {
            let _ = writeln!(text, "    offsets {from}..{to} are no longer in the topic: cannot be audited");
        }
        for note in part.incomplete.iter().chain(&part.notes) {
            let _ = writeln!(text, "    {note}");
        }
    }
    if audit.repair_rows > 0 {
        let _ = writeln!(text, "  {} rows of repairs", audit.repair_rows);
    }
    if audit.backfill_rows > 0 {
        let _ = writeln!(text, "  {} rows of backfills", audit.backfill_rows);
    }
    for finding in &audit.findings {
        add_finding(text, topic, finding);
    }
    if !audit.listed_all {
        let more = audit.found().saturating_sub(u64::try_from(audit.findings.len()).unwrap_or(u64::MAX));
        let _ = writeln!(text, "  and {more} findings more; --max-listed lists them");
    }
    for note in &audit.notes {
        let _ = writeln!(text, "  note: {note}");
    }
}

fn range(part: &PartitionAudit) -> String {
    format!("{}..{}", part.from, part.to)
}

fn counts(counts: &Counts) -> String {
    let skipped: u64 = counts.skipped.values().sum();
    let reasons: Vec<String> = counts
        .skipped
        .iter()
        .map(|(reason, messages)| format!("{messages} {}", reason.replace('_', " ")))
        .collect();
    let mut parts = vec![format!("{} in rows ({})", counts.rows, counts.table_rows)];
    if skipped > 0 {
        parts.push(format!("{skipped} skipped ({})", reasons.join(", ")));
    }
    let others = [("dead letters", counts.dead_letters), ("gaps", counts.gaps), ("WRONG", counts.wrong)];
    parts
        .extend(others.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")));
    format!("{} offsets = {}", counts.offsets, parts.join(" + "))
}

fn add_finding(text: &mut String, topic: &str, finding: &Finding) {
    let Finding { kind, partition, offset, ordinal, event_id, times, columns, reason } = finding;
    let _ = write!(text, "  {:<14} {topic}[{partition}]@{offset}", kind.words());
    if let Some(ordinal) = ordinal {
        let _ = write!(text, " row {ordinal}");
    }
    if *times > 1 {
        let _ = write!(text, ", {times} times");
    }
    if let Some(event_id) = event_id {
        let _ = write!(text, ", event {event_id}");
    }
    if !reason.is_empty() {
        let _ = write!(text, ": {reason}");
    }
    text.push('\n');
    for AlteredColumn { name, expected, found } in columns {
        let value =
            |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |value| format!("{value:?}"));
        let _ = writeln!(
            text,
            "                 {name}: {} in the message, {} in the table",
            value(expected),
            value(found)
        );
    }
}
