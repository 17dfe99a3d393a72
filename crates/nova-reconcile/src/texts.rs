//! Texts told in words: reports are mailed and kept, and what people wrote is not theirs to hold.
//!
//! Numbers, times, identities and members of enums are shown; a text is `(text 1, 13 characters)`, numbered within its
//! difference, so that equal ones can be told from different ones. Keys are shown, whatever they are: they are what one
//! looks for.
//!
//! Invariant: no character of a text is left.

use nova_streams::ColumnType;

use crate::{Column, StreamReport};

/// The texts of one difference, in the order in which they came.
#[derive(Debug, Default)]
pub struct Texts(Vec<String>);

impl Texts {
    /// The text in words; NULL stays NULL.
    pub fn in_words(&mut self, value: &mut Option<String>) {
        let Some(text) = value.take() else { return };
        let length = text.chars().count();
        let place = self.0.iter().position(|known| *known == text).unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        });
        *value =
            Some(format!("(text {}, {length} character{})", place + 1, if length == 1 { "" } else { "s" }));
    }
}

/// Those of the columns that hold texts or bytes, also as elements.
#[must_use]
pub fn text_columns(columns: &[(String, ColumnType)]) -> Vec<String> {
    let texts = columns.iter().filter(|(_, column_type)| holds_text(column_type));
    texts.map(|(name, _)| name.clone()).collect()
}

fn holds_text(column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::String => true,
        ColumnType::Nullable(inner) | ColumnType::Array(inner) => holds_text(inner),
        _ => false,
    }
}

impl StreamReport {
    /// Tells the values of these columns in words. No plan can be made of the report any more.
    pub fn leave_out_texts(&mut self, columns: Vec<String>) {
        for difference in &mut self.differences {
            let mut texts = Texts::default();
            let states = difference.clickhouse.iter_mut().flat_map(|state| &mut state.columns);
            let sides = difference.postgres.iter_mut().flatten().chain(states);
            for Column { value, .. } in sides.filter(|column| columns.contains(&column.name)) {
                texts.in_words(value);
            }
        }
        self.left_out = columns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_one_number_and_null_has_none() {
        let mut texts = Texts::default();
        let mut told = |text: Option<&str>| {
            let mut value = text.map(str::to_owned);
            texts.in_words(&mut value);
            value
        };
        assert_eq!(told(Some("Ada")).as_deref(), Some("(text 1, 3 characters)"));
        assert_eq!(told(Some("Bob")).as_deref(), Some("(text 2, 3 characters)"));
        assert_eq!(told(Some("Ada")).as_deref(), Some("(text 1, 3 characters)"));
        assert_eq!(told(Some("ü")).as_deref(), Some("(text 3, 1 character)"));
        assert_eq!(told(None), None);
    }

    #[test]
    fn texts_and_bytes_are_left_out_and_enums_are_not() {
        let columns = [
            "UInt8",
            "String",
            "LowCardinality(Nullable(String))",
            "Array(String)",
            "Enum8('a' = 1)",
            "UUID",
        ]
        .map(|text| (text.to_owned(), ColumnType::parse(text).unwrap()));
        assert_eq!(text_columns(&columns), ["String", "LowCardinality(Nullable(String))", "Array(String)"]);
    }
}
