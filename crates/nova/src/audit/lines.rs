//! The report as lines of JSON, for tools that read line by line: each has a `type` (`partition`, `finding` or `stream`)
//! and its `stream`. A stream's own line comes last and has everything but partitions and findings.

use nova_reconcile::audit::AuditReport;
use serde::Serialize;
use serde_json::{Error, Value};

/// One line each.
pub(super) fn lines(report: &AuditReport) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    for audit in &report.streams {
        let mut add = |line_type: &str, value: Value| {
            let Value::Object(mut fields) = value else { return };
            fields.insert("type".to_owned(), line_type.into());
            fields.insert("stream".to_owned(), audit.stream.as_str().into());
            lines.push(Value::Object(fields).to_string());
        };
        for partition in &audit.partitions {
            add("partition", json(partition)?);
        }
        for finding in &audit.findings {
            add("finding", json(finding)?);
        }
        let mut stream = json(audit)?;
        if let Value::Object(fields) = &mut stream {
            fields.remove("partitions");
            fields.remove("findings");
        }
        add("stream", stream);
    }
    Ok(lines)
}

fn json(value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value)
}

#[cfg(test)]
mod tests {
    use nova_reconcile::audit::{
        AUDIT_VERSION, AuditVerdict, Finding, FindingKind, PartitionAudit, StreamAudit,
    };

    use super::*;

    #[test]
    fn each_line_names_its_type_and_stream() {
        let finding = Finding {
            kind: FindingKind::Missing,
            partition: 0,
            offset: 4,
            ordinal: Some(1),
            event_id: None,
            times: 0,
            columns: Vec::new(),
            reason: String::new(),
        };
        let stream = StreamAudit {
            stream: "likes".to_owned(),
            group: "nova-likes".to_owned(),
            topic: "cdc.likes".to_owned(),
            table: "post_engagement_events".to_owned(),
            verdict: AuditVerdict::Findings,
            partitions: vec![PartitionAudit::default()],
            repair_rows: 0,
            backfill_rows: 0,
            tally: [(FindingKind::Missing, 1)].into(),
            findings: vec![finding],
            listed_all: true,
            notes: Vec::new(),
        };
        let report = AuditReport {
            version: AUDIT_VERSION,
            started_ms: 0,
            finished_ms: 0,
            nova_version: String::new(),
            streams: vec![stream],
        };
        let lines: Vec<Value> =
            lines(&report).unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let types: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
        assert_eq!(types, ["partition", "finding", "stream"]);
        assert!(lines.iter().all(|line| line["stream"] == "likes"));
        assert_eq!((&lines[1]["offset"], &lines[2]["tally"]["missing"]), (&4.into(), &1.into()));
        assert!(lines[2].get("findings").is_none());
    }
}
