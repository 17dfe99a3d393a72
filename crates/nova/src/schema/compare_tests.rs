//! Each kind of change, in both directions.

use serde_json::{Value, json};

use super::*;

/// The sentences of the change from `old` to `new` of one field `f`: (backward, forward).
fn field_change(old: Value, new: Value) -> (Vec<String>, Vec<String>) {
    change(json!({"properties": {"f": old}}), json!({"properties": {"f": new}}))
}

fn change(old: Value, new: Value) -> (Vec<String>, Vec<String>) {
    let (old, new): (Form, Form) =
        (serde_json::from_value(old).unwrap(), serde_json::from_value(new).unwrap());
    let (old, new) = (Side { name: "v1", form: &old }, Side { name: "v2", form: &new });
    let told = |writer, reader| {
        breaks(writer, reader)
            .into_iter()
            .map(|found| format!("{}: {}", found.path, found.sentence))
            .collect()
    };
    (told(old, new), told(new, old))
}

fn only_backward((backward, forward): (Vec<String>, Vec<String>), sentence: &str) {
    assert_eq!(backward, [sentence]);
    assert!(forward.is_empty(), "{forward:?}");
}

fn only_forward((backward, forward): (Vec<String>, Vec<String>), sentence: &str) {
    only_backward((forward, backward), sentence);
}

#[test]
fn an_optional_field_may_come_and_go() {
    let (without, with) = (json!({}), json!({"properties": {"f": {"type": "string"}}}));
    assert_eq!(change(without.clone(), with.clone()), (vec![], vec![]));
    assert_eq!(change(with, without), (vec![], vec![]));
}

#[test]
fn required_fields_that_come_go_or_change_their_mind() {
    let field = json!({"f": {"type": "string"}});
    let (none, optional) = (json!({}), json!({"properties": field}));
    let required = json!({"properties": field, "required": ["f"]});
    only_backward(change(none.clone(), required.clone()), "/f: v2 requires `f`, which v1 does not have");
    only_backward(
        change(optional.clone(), required.clone()),
        "/f: v2 requires `f`, which v1 documents may lack",
    );
    only_forward(change(required.clone(), none), "/f: v1 requires `f`, which v2 does not have");
    only_forward(change(required, optional), "/f: v1 requires `f`, which v2 documents may lack");
}

#[test]
fn types() {
    let (integer, number, text) =
        (json!({"type": "integer"}), json!({"type": "number"}), json!({"type": "string"}));
    only_forward(field_change(integer.clone(), number), "/f: `f` is number in v2, and v1 takes only integer");
    only_backward(
        field_change(json!({"type": ["string", "null"]}), text.clone()),
        "/f: `f` is null or string in v1, and v2 takes only string",
    );
    only_backward(
        field_change(json!({}), text.clone()),
        "/f: `f` is of any type in v1, and v2 takes only string",
    );
    let (backward, forward) = field_change(integer, text);
    assert_eq!(backward, ["/f: `f` is integer in v1, and v2 takes only string"]);
    assert_eq!(forward, ["/f: `f` is string in v2, and v1 takes only integer"]);
}

#[test]
fn members() {
    let (few, more) = (json!({"enum": ["a"]}), json!({"enum": ["a", "b", "c"]}));
    only_forward(field_change(few, more.clone()), r#"/f: `f` may be "b", "c" in v2, which v1 does not take"#);
    only_backward(
        field_change(more.clone(), json!({"const": "b"})),
        r#"/f: `f` may be "a", "c" in v1, which v2 does not take"#,
    );
    only_forward(
        field_change(more, json!({"type": "string"})),
        r#"/f: `f` has no list of values in v2, and v1 takes only "a", "b", "c""#,
    );
}

#[test]
fn bounds() {
    let of = |keyword: &str, bound: i64| json!({"type": "integer", keyword: bound});
    only_backward(
        field_change(of("minimum", 946_684_800), of("minimum", 946_684_800_000)),
        "/f: `f` is at least 946684800 in v1, and v2 wants at least 946684800000",
    );
    only_forward(
        field_change(of("maximum", 9), of("maximum", 10)),
        "/f: `f` is at most 10 in v2, and v1 wants at most 9",
    );
    only_backward(
        field_change(json!({"type": "string"}), json!({"type": "string", "maxLength": 9})),
        "/f: `f` has no such bound in v1, and v2 wants at most 9 characters long",
    );
    only_forward(
        field_change(json!({"minLength": 2}), json!({"minLength": 1})),
        "/f: `f` is at least 1 characters long in v2, and v1 wants at least 2 characters long",
    );
}

#[test]
fn patterns_and_formats_that_differ_are_not_promised() {
    only_backward(
        field_change(json!({}), json!({"format": "date-time"})),
        "/f: v2 wants `f` to have the format `date-time`, which v1 does not promise",
    );
    let (backward, forward) = field_change(json!({"pattern": "^a"}), json!({"pattern": "^ab"}));
    assert_eq!((backward.len(), forward.len()), (1, 1));
}

#[test]
fn objects_inside_are_compared_too_and_the_version_is_not() {
    let with = |required: Value, version: u32| {
        let inner = json!({"type": "object", "properties": {"x": {}}, "required": required});
        json!({"properties": {"version": {"const": version}, "o": inner}})
    };
    only_backward(
        change(with(json!([]), 1), with(json!(["x"]), 2)),
        "/o/x: v2 requires `x`, which v1 documents may lack",
    );
}
