//! The report's forms: JSON by its schema, text line by line.

use std::path::Path;

use serde_json::Value;
use uuid::Uuid;

use super::report::{
    AUDIT_VERSION, AlteredColumn, AuditReport, AuditVerdict, Counts, Finding, FindingKind, PartitionAudit,
    StreamAudit,
};
use super::text;

fn finding(kind: FindingKind, offset: i64) -> Finding {
    Finding {
        kind,
        partition: 3,
        offset,
        ordinal: Some(0),
        event_id: Some(Uuid::from_u128(7)),
        times: 1,
        columns: Vec::new(),
        reason: String::new(),
    }
}

fn report() -> AuditReport {
    let altered = AlteredColumn {
        name: "dwell_time_ms".to_owned(),
        expected: Some("0".to_owned()),
        found: Some("5".to_owned()),
    };
    let counts = Counts {
        offsets: 100,
        rows: 80,
        table_rows: 93,
        skipped: [("already_there".to_owned(), 2), ("tombstone".to_owned(), 9)].into(),
        dead_letters: 1,
        gaps: 4,
        wrong: 4,
    };
    let partition = PartitionAudit {
        partition: 3,
        from: 120,
        to: 220,
        lost: Some([0, 120]),
        committed: Some(220),
        counts,
        incomplete: None,
        notes: vec!["a note".to_owned()],
    };
    let findings = vec![
        Finding { columns: vec![altered], ..finding(FindingKind::Altered, 130) },
        Finding { times: 2, ..finding(FindingKind::Doubled, 131) },
        Finding { ordinal: None, reason: "no JSON".to_owned(), ..finding(FindingKind::LetterMissing, 140) },
    ];
    let tally = [(FindingKind::Altered, 1), (FindingKind::Doubled, 2), (FindingKind::LetterMissing, 1)];
    let stream = StreamAudit {
        stream: "likes".to_owned(),
        group: "nova-likes".to_owned(),
        topic: "cdc.likes".to_owned(),
        table: "post_engagement_events".to_owned(),
        verdict: AuditVerdict::Findings,
        partitions: vec![partition],
        repair_rows: 6,
        backfill_rows: 0,
        tally: tally.into(),
        findings,
        listed_all: false,
        notes: vec!["look here".to_owned()],
    };
    AuditReport {
        version: AUDIT_VERSION,
        started_ms: 1_700_000_000_000,
        finished_ms: 1_700_000_001_000,
        nova_version: "0.1.0".to_owned(),
        streams: vec![stream],
    }
}

#[test]
fn the_text_says_what_became_of_each_partition_and_what_is_wrong_where() {
    let event = Uuid::from_u128(7);
    let expected = format!(
        "\
likes: FINDINGS: 2 doubled, 1 altered, 1 letter missing  (cdc.likes -> post_engagement_events, group nova-likes)
  cdc.likes[3] 120..220  100 offsets = 80 in rows (93) + 11 skipped (2 already there, 9 tombstone) + 1 dead letters + 4 gaps + 4 WRONG
    offsets 0..120 are no longer in the topic: cannot be audited
    a note
  6 rows of repairs
  altered        cdc.likes[3]@130 row 0, event {event}
                 dwell_time_ms: \"0\" in the message, \"5\" in the table
  doubled        cdc.likes[3]@131 row 0, 2 times, event {event}
  letter missing cdc.likes[3]@140, event {event}: no JSON
  and 1 findings more; --max-listed lists them
  note: look here
"
    );
    assert_eq!(text(&report()), expected);
}

#[test]
fn the_json_is_what_the_schema_says_and_comes_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/reports/audit");
    let schema: Value = serde_json::from_slice(&std::fs::read(folder.join("v1.json")).unwrap()).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let mut agreeing = report();
    let stream = &mut agreeing.streams[0];
    (stream.verdict, stream.listed_all) = (AuditVerdict::Agrees, true);
    stream.tally.clear();
    stream.findings.clear();
    stream
        .partitions
        .push(PartitionAudit { incomplete: Some("gone".to_owned()), ..PartitionAudit::default() });
    for report in [report(), agreeing] {
        let document = serde_json::to_value(&report).unwrap();
        let errors: Vec<String> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0], "{document}");
        assert_eq!(serde_json::from_value::<AuditReport>(document).unwrap(), report);
    }
    for (path, wrong) in [
        ("/version", 2.into()),
        ("/streams/0/findings/0/kind", "odd".into()),
        ("/streams/0/partitions/0/counts/rows", (-1).into()),
    ] {
        let mut document = serde_json::to_value(report()).unwrap();
        *document.pointer_mut(path).unwrap() = wrong;
        assert!(!schema.is_valid(&document), "{path}");
    }
}

#[test]
fn the_worst_stream_decides() {
    let mut two = report();
    two.streams.push(StreamAudit { verdict: AuditVerdict::Incomplete, ..two.streams[0].clone() });
    assert_eq!(two.verdict(), AuditVerdict::Findings);
    two.streams.remove(0);
    assert_eq!(two.verdict(), AuditVerdict::Incomplete);
    two.streams.clear();
    assert_eq!(two.verdict(), AuditVerdict::Agrees);
}
