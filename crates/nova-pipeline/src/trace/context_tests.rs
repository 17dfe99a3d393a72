//! Contexts as producers and Debezium write them, and as somebody hostile would.

use nova_debezium::{Message, Record, decode};

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A message that has nothing but headers.
struct Headed<'a>(&'a [(&'a str, &'a [u8])]);

impl SourceMessage for Headed<'_> {
    fn partition(&self) -> i32 {
        0
    }
    fn offset(&self) -> i64 {
        0
    }
    fn key(&self) -> Option<&[u8]> {
        None
    }
    fn value(&self) -> Option<&[u8]> {
        None
    }
    fn timestamp_ms(&self) -> Option<i64> {
        None
    }
    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        Vec::new()
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

fn of(headers: &[(&str, &[u8])]) -> Option<SpanContext> {
    of_headers(&Headed(headers))
}

/// Trace and span in the form of a `traceparent`.
fn text(context: &SpanContext) -> String {
    let (trace, span) = (context.trace_id(), context.span_id());
    format!("00-{trace}-{span}-{:02x}", context.trace_flags().to_u8())
}

#[test]
fn the_header_is_read_with_its_state() {
    let found = of(&[("tracestate", b"a=1,b=2"), ("traceparent", PARENT.as_bytes())]).unwrap();
    assert_eq!(text(&found), PARENT);
    assert!(found.is_remote() && found.is_sampled());
    assert_eq!(found.trace_state().header(), "a=1,b=2");
    assert_eq!(of(&[]), None);
}

#[test]
fn properties_are_read_as_java_writes_them() {
    let stored = format!("#Sat Nov 21 15:00:00 UTC 2026\ntracestate=a\\=1\\:2\r\ntraceparent={PARENT}\n");
    for properties in [
        stored.as_str(),
        &format!("traceparent={PARENT}"),
        &format!("  traceparent : {PARENT} \nb3=0"),
        &format!("!x\n\ntraceparent {PARENT}"),
    ] {
        let found = of(&[("tracingspancontext", properties.as_bytes())]).unwrap();
        assert_eq!(text(&found), PARENT, "{properties}");
    }
    let found = of(&[("tracingspancontext", stored.as_bytes())]).unwrap();
    assert_eq!(found.trace_state().header(), "a=1:2");
}

#[test]
fn hostile_contexts_are_none_and_a_hostile_state_is_left_out() {
    let long = "a=".to_owned() + &"x".repeat(10_000);
    let late = "x".repeat(10_000) + "\ntraceparent=" + PARENT;
    let cases: [(&str, &[u8]); 10] = [
        ("traceparent", b""),
        ("traceparent", b"\xff\xfe"),
        ("traceparent", b"00-00000000000000000000000000000000-b7ad6b7169203331-01"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"),
        ("traceparent", b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("traceparent", long.as_bytes()),
        ("tracingspancontext", late.as_bytes()),
        ("tracingspancontext", b"traceparent"),
        ("tracingspancontext", b"=\\\n\\=\\\\\\\ntraceparent=\\u0030"),
        ("tracestate", b"a=1"),
    ];
    for (name, value) in cases {
        assert_eq!(of(&[(name, value)]), None, "{name}: {}", String::from_utf8_lossy(value));
    }
    for state in [long.as_bytes(), b"no list", b"\xff", b"a=\x01", b"a=b=c"] {
        let found = of(&[("traceparent", PARENT.as_bytes()), ("tracestate", state)]).unwrap();
        assert_eq!(text(&found), PARENT);
        assert_eq!(found.trace_state().header(), "", "{}", String::from_utf8_lossy(state));
    }
}

#[test]
fn a_changed_row_says_by_whom_and_a_deleted_one_does_not() {
    let row = |context: &str| format!(r#"{{"id":1,"tracingspancontext":{context}}}"#);
    let context = |op: &str, before: &str, after: &str| {
        let value = format!(
            r#"{{"before":{before},"after":{after},"op":"{op}","source":{{"name":"cdc","db":"nova",
                "schema":"public","table":"likes","ts_us":1,"lsn":10,"txId":5,"sequence":"[\"9\",\"10\"]"}}}}"#
        );
        let record = Record { key: None, value: Some(value.as_bytes()) };
        let Message::Change(event) = decode(record).unwrap() else { panic!("no change: {value}") };
        of_change(&event.payload).map(|context| text(&context))
    };
    let properties = format!(r#""traceparent={PARENT}\n""#);
    assert_eq!(context("c", "null", &row(&properties)), Some(PARENT.to_owned()));
    let parent = format!(r#"{{"id":1,"traceparent":"{PARENT}"}}"#);
    assert_eq!(context("u", &parent, &parent), Some(PARENT.to_owned()));
    assert_eq!(context("u", &row(&properties), &row("null")), None);
    assert_eq!(context("d", &row(&properties), "null"), None);
    assert_eq!(context("c", "null", &row("7")), None);
    assert_eq!(context("c", "null", r#"{"id":1}"#), None);
}

#[test]
fn an_events_envelope_names_its_trace() {
    let document = include_bytes!("../../../../schemas/events/share/examples/v3/valid/complete.json");
    let event = nova_streams::decode_event(document, nova_streams::EventOrigin::default()).unwrap();
    assert_eq!(of_change(&event.payload).map(|context| text(&context)), Some(PARENT.to_owned()));
}
