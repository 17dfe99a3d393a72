//! The straight way against serde's: what the first takes, the second takes too, and reads the same.

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::Index};
use serde::Deserialize;

use super::*;

const RECORDED: [&str; 10] = [
    include_str!("../../tests/fixtures/plain-double-microseconds-hex.jsonl"),
    include_str!("../../tests/fixtures/plain-precise-adaptive-bytes.jsonl"),
    include_str!("../../tests/fixtures/plain-precise-connect-bytes.jsonl"),
    include_str!("../../tests/fixtures/plain-string-isostring-base64.jsonl"),
    include_str!("../../tests/fixtures/plain-string-timemicros-urlsafe.jsonl"),
    include_str!("../../tests/fixtures/schema-double-nanoseconds-hex.jsonl"),
    include_str!("../../tests/fixtures/schema-precise-adaptive-bytes.jsonl"),
    include_str!("../../tests/fixtures/schema-precise-isostring-numeric.jsonl"),
    include_str!("../../tests/fixtures/schema-string-connect-base64.jsonl"),
    include_str!("../../tests/fixtures/schema-string-structured-bytes.jsonl"),
];

/// The values of all recorded changes.
static CHANGES: LazyLock<Vec<String>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Recorded {
        value: Option<String>,
    }
    let lines = RECORDED.iter().flat_map(|file| file.lines());
    let values = lines.filter_map(|line| serde_json::from_str::<Recorded>(line).unwrap().value);
    values.filter(|value| value.contains(r#""op":"#) && !value.contains(r#""op":"m""#)).collect()
});

fn read<'a>(shape: &mut Shape<'a>, wrapped: bool) -> String {
    format!("{wrapped} {:?}", change(shape, wrapped, Some(b"key")))
}

/// Whether the straight way takes the text; then serde's must read the same.
fn is_taken(text: &str) -> bool {
    let mut shape = Shape::default();
    let Some(wrapped) = direct::change(text, &mut shape) else { return false };
    let straight = read(&mut shape, wrapped);
    let mut shape = Shape::default();
    let wrapped = any_shape(text, &mut shape).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(straight, read(&mut shape, wrapped), "{text}");
    true
}

/// Reads a text once by serde's way, so that its schema is known.
fn learn_schema(text: &str) {
    let _message = any_shape(text, &mut Shape::default());
}

#[test]
fn every_recorded_change_goes_the_straight_way_once_its_schema_is_known() {
    assert!(CHANGES.len() > 200, "{}", CHANGES.len());
    for change in CHANGES.iter() {
        learn_schema(change);
        assert!(is_taken(change), "{change}");
    }
}

#[test]
fn unusual_and_wrong_messages_are_left_to_serde() {
    let usual = CHANGES
        .iter()
        .find(|change| change.contains(r#""op":"c""#) && change.starts_with("{\"before"))
        .unwrap();
    assert!(is_taken(usual));
    let others = [
        format!("{usual} "),
        format!("{usual}}}"),
        usual.replacen("\"before\"", "\"befor\\u0065\"", 1),
        usual.replacen("\"op\":\"c\"", "\"op\": \"c\"", 1),
        usual.replacen("\"op\":\"c\"", "\"op\":\"\\u0063\"", 1),
        usual.replacen("\"snapshot\":\"false\"", "\"snapshot\":null", 1),
        usual.replacen("\"connector\":\"postgresql\"", "\"connector\":\"mysql\"", 1),
        usual.replacen("\"xmin\":null", "\"xmin\":nul", 1),
        usual.replacen("\"xmin\":null", "\"lsn\":1", 1),
        usual.replacen("\"total_order\":", "\"total_order\":-", 1),
        usual.replacen("\"txId\":", "\"txId\":0", 1),
        usual.replacen("\"txId\":", "\"txId\":9999999999999999999", 1),
    ];
    for other in &others {
        assert!(other != usual && !is_taken(other), "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(5_000) })]

    #[test]
    fn both_ways_agree_on_flipped_characters(change in any::<Index>(), flips in vec((any::<Index>(), "[ -~]"), 1..3)) {
        let mut text = change.get(&CHANGES).clone();
        learn_schema(&text);
        for (at, character) in flips {
            let at = text.floor_char_boundary(at.index(text.len()));
            let end = text.ceil_char_boundary(at + 1);
            text.replace_range(at..end, &character);
        }
        is_taken(&text);
    }

    #[test]
    fn both_ways_agree_on_other_values(
        change in any::<Index>(),
        at in any::<Index>(),
        value in "(null|true|false|-?[0-9]{1,20}(\\.[0-9]{0,2})?([eE][-+]?[0-9]{0,2})?|\"([^\"\\\\]|\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-f]{4}){0,9}\"|\\{\\}|\\[1,\\{\\}\\]|\\[[0-9],?\\])",
    ) {
        let text = change.get(&CHANGES);
        learn_schema(text);
        let colons: Vec<usize> = text.match_indices("\":").map(|(at, _)| at + 2).collect();
        let start = colons[at.index(colons.len())];
        let end = start + text[start..].find([',', '}']).unwrap();
        is_taken(&format!("{}{value}{}", &text[..start], &text[end..]));
    }

    #[test]
    fn both_ways_agree_on_other_members(change in any::<Index>(), at in any::<Index>(), from in any::<Index>()) {
        let text = change.get(&CHANGES);
        learn_schema(text);
        // One piece between commas more, one from elsewhere in the message: doubled, strange and nested members.
        let commas: Vec<usize> = text.match_indices(',').map(|(at, _)| at).collect();
        let from = from.index(commas.len() - 1);
        let piece = &text[commas[from]..commas[from + 1]];
        let at = commas[at.index(commas.len())];
        is_taken(&format!("{}{piece}{}", &text[..at], &text[at..]));
    }
}
