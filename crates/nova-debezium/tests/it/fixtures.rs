//! Every recorded message decodes, into what was done to the database; identities are unique and stable.

use std::collections::{BTreeMap, HashMap};

use crate::support::{CONFIGURATIONS, Recorded, recorded};
use nova_debezium::{
    Heartbeat, Message, Op, Sequence, Snapshot, TransactionMarker, TransactionStatus, decode,
};

fn kind(record: &Recorded) -> String {
    match decode(record.record()).unwrap() {
        Message::Change(event) => event.payload.op.code().to_string(),
        Message::Tombstone => "tombstone".to_owned(),
        Message::Heartbeat(Heartbeat { ts_ms }) => {
            assert!(ts_ms > 1_700_000_000_000);
            "heartbeat".to_owned()
        }
        Message::Transaction(marker) => format!("{:?}", marker.status),
    }
}

#[test]
fn every_recorded_message_decodes_into_its_kind() {
    let mut kinds = BTreeMap::<String, usize>::new();
    for (name, _) in CONFIGURATIONS {
        for record in recorded(name) {
            let kind = kind(&record);
            let table = record.topic.rsplit('.').next().unwrap();
            let expected: &[&str] = match table {
                "message" => &["m"],
                "transaction" => &["Begin", "End"],
                _ if record.topic.starts_with("__debezium-heartbeat.") => &["heartbeat"],
                _ => &["c", "u", "d", "r", "t", "tombstone"],
            };
            assert!(expected.contains(&kind.as_str()), "{name}: {}: {kind}", record.topic);
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let all: Vec<_> = kinds.keys().map(String::as_str).collect();
    assert_eq!(all, ["Begin", "End", "c", "d", "heartbeat", "m", "r", "t", "tombstone", "u"]);
}

#[test]
fn the_source_block_and_the_images_are_those_of_the_change() {
    for name in ["plain-precise-adaptive-bytes", "schema-precise-adaptive-bytes"] {
        let records = recorded(name);
        let changes: Vec<_> = records.iter().filter_map(Recorded::change).collect();
        for event in &changes {
            let change = &event.payload;
            let (before, after) = (change.before.is_some(), change.after.is_some());
            let logical = change.logical.is_some();
            match change.op {
                Op::Create | Op::Read => assert!(!before && after && !logical),
                Op::Update => assert!(before == (change.source.table != "toasted") && after && !logical),
                Op::Delete => assert!(before && !after && !logical),
                Op::Truncate => assert!(!before && !after && !logical),
                Op::Message => assert!(!before && !after && logical),
            }
            assert_eq!(change.source.server, name.replace('-', "_"));
            assert_eq!(change.source.db, "postgres");
            assert_eq!(event.timestamp.timestamp_micros(), change.source.ts_us);
            assert_eq!(change.op == Op::Read, change.source.snapshot != Snapshot::False);
        }
        let delete = changes.iter().find(|event| event.payload.op == Op::Delete).unwrap();
        let row = delete.payload.before.as_ref().unwrap();
        assert_eq!(row.get("id", 0).unwrap().integer(), Ok(1));
        assert!(row.get("t", 99).unwrap().is_null() && row.get("none", 0).is_none());
    }
}

#[test]
fn positions_of_snapshots_transactions_and_messages() {
    let records = recorded("plain-precise-adaptive-bytes");
    let changes: Vec<_> = records.iter().filter_map(Recorded::change).map(|event| event.payload).collect();

    let incremental = changes.iter().find(|change| change.source.snapshot == Snapshot::Incremental).unwrap();
    assert_eq!((incremental.source.tx_id, incremental.source.lsn), (None, None));
    assert!(incremental.source.sequence.lsn.is_some() && incremental.transaction.is_none());

    let last = changes
        .iter()
        .filter(|change| change.source.tx_id == Some(775))
        .max_by_key(|change| change.transaction.as_ref().unwrap().total_order);
    let last = last.unwrap();
    let position = last.transaction.as_ref().unwrap();
    assert_eq!((last.op, position.total_order, position.data_collection_order), (Op::Delete, 12, 9));
    assert_eq!(position.id, "775:23376128");
    let sequence = Sequence { last_commit_lsn: Some(23_374_680), lsn: Some(23_376_128) };
    assert_eq!((last.source.lsn, last.source.sequence), (Some(23_376_128), sequence));

    let messages: Vec<_> = changes.iter().filter(|change| change.op == Op::Message).collect();
    let content =
        |at: usize| messages[at].logical.as_ref().unwrap().content.as_ref().unwrap().bytes(None).unwrap();
    assert_eq!((content(0), content(1)), (b"a text".to_vec(), vec![0x00, 0xff]));
    assert_eq!(messages[0].logical.as_ref().unwrap().prefix, "audit");
    assert!(messages[0].source.tx_id.is_some() && messages[1].source.tx_id.is_none());
}

#[test]
fn transaction_markers_count_what_was_written() {
    let records = recorded("plain-precise-adaptive-bytes");
    let markers: Vec<TransactionMarker<'_>> = records
        .iter()
        .filter_map(|record| match decode(record.record()).unwrap() {
            Message::Transaction(marker) if marker.id.starts_with("775:") => Some(marker),
            _ => None,
        })
        .collect();
    let [begin, end] = markers.as_slice() else { panic!("{markers:?}") };
    assert_eq!((begin.status, end.status), (TransactionStatus::Begin, TransactionStatus::End));
    assert_eq!((begin.event_count, end.event_count), (None, Some(12)));
    assert!(begin.data_collections.is_empty());
    assert_eq!(end.data_collections, [("public.toasted_full".into(), 9), ("public.keyless".into(), 3)]);
}

/// Records with the same id in one configuration.
fn twins(records: &[Recorded]) -> Vec<(&Recorded, &Recorded)> {
    let mut seen = HashMap::new();
    records
        .iter()
        .filter_map(|record| Some((record, record.change()?.event_id)))
        .filter_map(|(record, id)| seen.insert(id, record).map(|twin| (twin, record)))
        .collect()
}

#[test]
fn event_ids_are_unique_and_stable() {
    for (name, _) in CONFIGURATIONS {
        let records = recorded(name);
        for (one, other) in twins(&records) {
            // Only equal rows of a table without a key cannot be told apart, where no transaction order is there.
            let (one, other) = (one.change().unwrap().payload, other.change().unwrap().payload);
            assert!(one.source.table == "keyless" && one.transaction.is_none(), "{name}: {one:?} {other:?}");
            let raw = |change: &nova_debezium::Change<'_>| {
                change
                    .after
                    .as_ref()
                    .unwrap()
                    .fields()
                    .iter()
                    .map(|field| field.raw().to_owned())
                    .collect::<Vec<_>>()
            };
            assert_eq!((raw(&one), one.source.lsn), (raw(&other), other.source.lsn));
        }
        let ids =
            || records.iter().filter_map(Recorded::change).map(|event| event.event_id).collect::<Vec<_>>();
        assert_eq!(ids(), ids());
    }
    // Ids written down once: a change of the scheme would give every stored event a second identity.
    let records = recorded("plain-precise-adaptive-bytes");
    let changes: Vec<_> = records.iter().filter_map(Recorded::change).collect();
    let first = |op| changes.iter().find(|event| event.payload.op == op).unwrap().event_id.to_string();
    assert_eq!(first(Op::Create), "a94d73ff-f094-58a7-a7a0-0d67775dd872");
    assert_eq!(first(Op::Read), "b3c939ce-b4bd-569b-be33-b8ba5e6ea7ed");
}

#[test]
fn a_transaction_counted_anew_keeps_the_identities_of_rows_that_have_a_key() {
    let records = recorded("plain-precise-adaptive-bytes");
    let mut counted = [0, 0];
    for record in &records {
        let Some(event) = record.change() else { continue };
        let Some(position) = event.payload.transaction else { continue };
        let order = format!(r#""total_order":{}"#, position.total_order);
        let value = record.value.as_ref().unwrap().replace(&order, r#""total_order":999"#);
        let anew = Recorded { value: Some(value), ..record.clone() };
        let same = anew.change().unwrap().event_id == event.event_id;
        assert_eq!(same, record.key.is_some(), "{}", event.payload.source.table);
        counted[usize::from(same)] += 1;
    }
    assert!(counted.iter().all(|count| *count > 5), "{counted:?}");
}

#[test]
fn rows_of_one_copy_share_a_position_but_no_identity() {
    let records = recorded("plain-precise-adaptive-bytes");
    let copied: Vec<_> = records
        .iter()
        .filter_map(Recorded::change)
        .filter(|event| event.payload.source.tx_id == Some(774))
        .collect();
    assert_eq!(copied.len(), 3);
    assert!(copied.iter().all(|event| event.payload.source.lsn == copied[0].payload.source.lsn));
    assert!(copied[0].event_id != copied[1].event_id && copied[1].event_id != copied[2].event_id);
}
