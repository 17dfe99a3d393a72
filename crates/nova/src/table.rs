//! Columns for people: numbers to the right, the last column free.

use std::fmt::Write;

/// The table, one line each, indented by two.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(header.get(column).map(|cell| cell.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        for (column, (cell, width)) in cells.zip(&widths).enumerate() {
            // Writing to a String cannot fail.
            let _ = if column + 1 == widths.len() {
                write!(text, "  {cell}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
    };
    line(&mut header.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A number, or a dash.
pub fn or_dash(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_the_last_column_is_free() {
        let rows = [
            vec!["7".to_owned(), or_dash(Some(1000)), "ok".to_owned()],
            vec!["12".to_owned(), or_dash(None::<i64>), "open batch".to_owned()],
        ];
        assert_eq!(
            table(&["partition", "lag", "state"], &rows),
            "  partition   lag  state\n          7  1000  ok\n         12     -  open batch\n"
        );
    }
}
