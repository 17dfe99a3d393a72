//! The placeholder for a TOAST value that an update left unchanged, in all its forms.
//!
//! Debezium fixes one form per type (`UnchangedToastedPlaceholder` in its PostgreSQL connector). The converter writes no
//! white space, so each form is one text.

const TEXT: &str = r#""__debezium_unavailable_value""#;
const TEXT_ARRAY: &str = r#"["__debezium_unavailable_value"]"#;
const BASE64: &str = r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#;
const BASE64_ARRAY: &str = r#"["X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="]"#;
const HEX: &str = r#""5f5f646562657a69756d5f756e617661696c61626c655f76616c7565""#;
/// The bytes of the text, one number each.
const NUMBERS: &str =
    "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]";
/// A version 3 (MD5) UUID of the text.
const UUID_ARRAY: &str = r#"["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]"#;
const HSTORE_MAP: &str = r#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#;
const HSTORE_JSON: &str = r#""{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}""#;

/// Whether the JSON text is one of the forms. A comparison of lengths for nearly every other value.
pub(crate) fn is_placeholder(raw: &str) -> bool {
    [TEXT, TEXT_ARRAY, BASE64, BASE64_ARRAY, HEX, NUMBERS, UUID_ARRAY, HSTORE_MAP, HSTORE_JSON].contains(&raw)
}
