//! A position as it stands in the metadata of committed offsets: hexadecimal numbers between dots,
//! `<commit>.<lsn>.<tx or ->.<floor>.<until, followed by ! where it is another topic's>[.<unplaced>…]`.

use std::fmt;

use super::{Past, Position, UNPLACED};

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}.", self.commit, self.lsn)?;
        match self.tx {
            Some(tx) => write!(f, "{tx:x}")?,
            None => f.write_str("-")?,
        }
        let Past { until, afresh } = self.past;
        write!(f, ".{:x}.{until:x}{}", self.floor, if afresh { "!" } else { "" })?;
        self.unplaced.iter().try_for_each(|tx| write!(f, ".{tx:x}"))
    }
}

impl Position {
    /// Reads the text back; `None` if this version did not write it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let mut words = text.split('.');
        let (commit, lsn) = (number(words.next()?)?, number(words.next()?)?);
        let tx = match words.next()? {
            "-" => None,
            tx => Some(number(tx)?),
        };
        let floor = number(words.next()?)?;
        let until = words.next()?;
        let (until, afresh) = until.strip_suffix('!').map_or((until, false), |until| (until, true));
        let past = Past { until: i64::try_from(number(until)?).ok()?, afresh };
        let unplaced = words.map(number).collect::<Option<Vec<_>>>()?;
        (unplaced.len() <= UNPLACED).then_some(Self { commit, lsn, tx, unplaced, floor, past })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_is_what_other_versions_read() {
        assert_eq!(Position::default().to_string(), "0.0.-.0.0");
        let past = Past { until: 18, afresh: true };
        let position =
            Position { commit: 255, lsn: 256, tx: Some(10), unplaced: vec![9, 11], floor: 17, past };
        assert_eq!(position.to_string(), "ff.100.a.11.12!.9.b");
        assert_eq!(Position::parse("ff.100.a.11.12!.9.b"), Some(position));
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let nine = format!("0.0.-.0.0{}", ".1".repeat(9));
        for text in
            ["", "0.0.-.0", "0.0.-.0.!", "0.0..0.0", "0.0.-.0.0.", "g.0.-.0.0", "0.0.-.0.ffffffffffffffff"]
                .into_iter()
                .chain([nine.as_str()])
        {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            commit: u64, lsn: u64, tx: Option<u64>, floor: u64, until in 0i64.., afresh: bool,
            unplaced in prop::collection::vec(any::<u64>(), 0..=UNPLACED),
        ) {
            let position = Position { commit, lsn, tx, unplaced, floor, past: Past { until, afresh } };
            let text = position.to_string();
            prop_assert!(text.len() < 256);
            prop_assert_eq!(Position::parse(&text), Some(position));
        }
    }
}
