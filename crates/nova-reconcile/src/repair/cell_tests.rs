//! Texts as cells: by example, and every cell that `cell_text` writes.

use nova_streams::{Cell, ColumnType};
use proptest::prelude::*;
use uuid::Uuid;

use super::cell::{CellTextError, bytes_from_text, cell_from_text};
use crate::cell_text::cell_text;

fn cell(text: &str, column_type: &str) -> Result<Cell<'static>, CellTextError> {
    cell_from_text(Some(text), &ColumnType::parse(column_type).unwrap())
}

#[test]
fn texts_become_the_values_they_were_made_from() {
    let cases = [
        ("true", "Bool", Cell::Bool(true)),
        ("-128", "Int8", Cell::Int(-128)),
        ("18446744073709551615", "UInt64", Cell::UInt(u64::MAX)),
        ("-inf", "Float64", Cell::Float(f64::NEG_INFINITY)),
        ("1900-01-01", "Date32", Cell::Days(-25_567)),
        ("1969-12-31 23:59:59.999", "DateTime64(3)", Cell::Ticks(-1)),
        ("2026-01-31 12:00:00", "DateTime", Cell::Ticks(1_769_860_800)),
        ("-1.5", "Decimal(9, 2)", Cell::Decimal(-150)),
        ("-0.05", "Decimal(9, 2)", Cell::Decimal(-5)),
        ("like", "Enum8('view' = 1, 'like' = 2)", Cell::Int(2)),
        ("[]", "Array(String)", Cell::Array(vec![])),
        (
            r"['it\'s, so','a\\b\n']",
            "Array(String)",
            Cell::Array(vec![Cell::Text("it's, so".into()), Cell::Text("a\\b\n".into())]),
        ),
        ("[1,NULL]", "Array(Nullable(Int64))", Cell::Array(vec![Cell::Int(1), Cell::Null])),
    ];
    for (text, column_type, expected) in cases {
        assert_eq!(cell(text, column_type), Ok(expected), "{text} as {column_type}");
    }
    let nullable = ColumnType::parse("Nullable(Int8)").unwrap();
    assert_eq!(cell_from_text(None, &nullable), Ok(Cell::Null));
}

#[test]
fn what_is_no_value_of_the_type_is_refused_with_both() {
    let cases = [
        ("a\u{fffd}", "String"),
        ("x", "UInt8"),
        ("2026-01-31 12:00:00.1", "DateTime64(3)"),
        ("2026-02-30", "Date"),
        ("1.234", "Decimal(9, 2)"),
        ("+1", "Decimal(9, 2)"),
        ("share", "Enum8('view' = 1)"),
        ("[1", "Array(Int8)"),
        ("[1,]", "Array(Int8)"),
        ("['a'", "Array(String)"),
    ];
    for (text, column_type) in cases {
        let error = cell(text, column_type).unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("type"), "{error}");
    }
    assert!(cell_from_text(None, &ColumnType::String).is_err());
}

#[test]
fn bytes_are_read_from_hexadecimal_digits_and_nothing_else() {
    let read = |text: Option<&str>, column_type: &str| {
        bytes_from_text(text, &ColumnType::parse(column_type).unwrap()).ok()
    };
    assert_eq!(read(Some("\\x00ff5C"), "String"), Some(Cell::Bytes(vec![0, 255, 92].into())));
    assert_eq!(read(Some("\\x"), "Nullable(String)"), Some(Cell::Bytes(vec![].into())));
    assert_eq!(read(None, "Nullable(String)"), Some(Cell::Null));
    for text in ["00ff", "\\x0", "\\x0g", "\\x+1", "\\xü", ""] {
        assert_eq!(read(Some(text), "String"), None, "{text}");
    }
    assert_eq!((read(None, "String"), read(Some("\\x00"), "UInt8")), (None, None));
    // In a column of text it is text.
    assert_eq!(cell("\\x00", "String"), Ok(Cell::Text("\\x00".into())));
}

type Cells = BoxedStrategy<Cell<'static>>;

fn text() -> impl Strategy<Value = String> {
    let odd = "['\\\\,\\[\\]xNUL\n\t\r\0\u{8}\u{c} ]{0,6}";
    prop_oneof![any::<String>(), odd].prop_filter("stands for lost bytes", |text| !text.contains('\u{fffd}'))
}

fn ticks(precision: u32) -> Cells {
    let per_second = 10_i64.pow(precision);
    let (low, high) =
        (-2_208_988_800_i64.saturating_mul(per_second), 10_413_791_999_i64.saturating_mul(per_second));
    prop_oneof![Just(low), Just(high), Just(-1), low..=high].prop_map(Cell::Ticks).boxed()
}

/// Types that are neither arrays nor nullable, with their values.
fn plain() -> Vec<(&'static str, Cells)> {
    let decimal = |digits: u32| {
        let high = 10_i128.pow(digits) - 1;
        prop_oneof![Just(high), -high..=high].prop_map(Cell::Decimal).boxed()
    };
    vec![
        ("Bool", any::<bool>().prop_map(Cell::Bool).boxed()),
        ("Int8", any::<i8>().prop_map(|number| Cell::Int(number.into())).boxed()),
        ("Int64", any::<i64>().prop_map(Cell::Int).boxed()),
        ("UInt64", any::<u64>().prop_map(Cell::UInt).boxed()),
        ("Float32", proptest::num::f32::ANY.prop_map(|number| Cell::Float(number.into())).boxed()),
        ("Float64", proptest::num::f64::ANY.prop_map(Cell::Float).boxed()),
        ("String", text().prop_map(|text| Cell::Text(text.into())).boxed()),
        ("UUID", any::<u128>().prop_map(|bits| Cell::Uuid(Uuid::from_u128(bits))).boxed()),
        ("Date", (0..=65_535).prop_map(Cell::Days).boxed()),
        ("Date32", (-25_567..=120_529).prop_map(Cell::Days).boxed()),
        ("DateTime('Europe/Zurich')", (0..=4_294_967_295_i64).prop_map(Cell::Ticks).boxed()),
        ("DateTime64(0)", ticks(0)),
        ("DateTime64(3, 'UTC')", ticks(3)),
        ("DateTime64(9)", ticks(9)),
        ("Decimal(9, 0)", decimal(9)),
        ("Decimal(9, 2)", decimal(9)),
        ("Decimal(38, 38)", decimal(38)),
        ("Enum8('a' = -128, 'b,\\'' = 0)", prop_oneof![Just(Cell::Int(-128)), Just(Cell::Int(0))].boxed()),
    ]
}

/// All of them, and as elements of arrays and nullable.
fn types() -> Vec<(String, Cells)> {
    let mut types = Vec::new();
    for (name, cells) in plain() {
        let nullable = prop_oneof![1 => Just(Cell::Null), 4 => cells.clone()].boxed();
        let array = proptest::collection::vec(nullable.clone(), 0..4).prop_map(Cell::Array).boxed();
        let nested = proptest::collection::vec(array.clone(), 0..4).prop_map(Cell::Array).boxed();
        types.extend([
            (name.to_owned(), cells),
            (format!("Nullable({name})"), nullable),
            (format!("Array(Nullable({name}))"), array),
            (format!("Array(Array(Nullable({name})))"), nested),
        ]);
    }
    types
}

#[test]
fn every_text_that_a_cell_is_written_as_is_read_as_that_cell() {
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    for (name, cells) in types() {
        let column_type = ColumnType::parse(&name).unwrap();
        proptest!(config.clone(), |(cell in cells)| {
            let text = cell_text(&cell, &column_type);
            let read = cell_from_text(text.as_deref(), &column_type);
            // By their looks: NaN is not equal to itself, and 0 is to -0.
            prop_assert_eq!(format!("{read:?}"), format!("Ok({cell:?})"), "{} {:?}", name, text);
        });
    }
    proptest!(config, |(bytes: Vec<u8>)| {
        let cell = Cell::Bytes(bytes.into());
        let text = cell_text(&cell, &ColumnType::String);
        prop_assert_eq!(bytes_from_text(text.as_deref(), &ColumnType::String), Ok(cell));
    });
}
