//! `--watch`: the same page again and again, until Ctrl-C.
//!
//! Invariant: only a terminal gets its screen redrawn; a file or a pipe gets one page after the other, and as JSON one
//! document on each line.

use std::io::{IsTerminal, Write as _, stdout};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::Output;
use crate::exit::{Exit, Failure, Outcome};

/// To the upper left corner.
const HOME: &str = "\u{1b}[H";
/// Erase what is left of the line.
const TO_END_OF_LINE: &str = "\u{1b}[K";
/// Erase what is left of the screen.
const TO_END_OF_SCREEN: &str = "\u{1b}[J";

/// `--watch`, and the form of the output.
#[derive(Debug, Clone, Copy, Args)]
pub struct WatchArgs {
    /// Look again every so many seconds, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..))]
    pub watch: Option<u64>,
    /// Form of the output.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

impl WatchArgs {
    /// Shows what `look` finds, once or again and again; `text` is it for people. What one look finds decides the
    /// outcome; watching ends by Ctrl-C alone.
    pub async fn show<T: Serialize>(
        &self,
        mut look: impl AsyncFnMut() -> T,
        text: impl Fn(&T) -> String,
        conclude: impl Fn(&T) -> Outcome,
    ) -> Outcome {
        let Some(seconds) = self.watch else {
            let found = look().await;
            match self.output {
                Output::Table => print!("{}", text(&found)),
                Output::Json => println!("{}", json(serde_json::to_string_pretty(&found))?),
            }
            return conclude(&found);
        };
        let screen = self.output == Output::Table && is_screen();
        let mut ticks = interval(Duration::from_secs(seconds));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = async {
            for number in 0_u64.. {
                ticks.tick().await;
                let found = look().await;
                match self.output {
                    Output::Json => println!("{}", json(serde_json::to_string(&found))?),
                    Output::Table if screen => print!("{}", redrawn(&text(&found), number == 0)),
                    Output::Table => println!("{}", text(&found)),
                }
                // What a terminal does not get whole, it shows torn; nobody waits for a failed flush.
                let _ = stdout().flush();
            }
            Ok(())
        };
        tokio::select! {
            outcome = watching => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        }
    }
}

fn json(written: serde_json::Result<String>) -> Result<String, Failure> {
    written.map_err(|error| Failure::new(Exit::Failure, format!("the facts as JSON: {error}")))
}

/// Whether standard output is a terminal that can move its cursor.
fn is_screen() -> bool {
    stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The page over the one before.
fn redrawn(page: &str, first: bool) -> String {
    let mut text = String::from(HOME);
    if first {
        text.push_str(TO_END_OF_SCREEN);
    }
    for line in page.lines() {
        text.extend([line, TO_END_OF_LINE, "\n"]);
    }
    text.push_str(TO_END_OF_SCREEN);
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        watch: WatchArgs,
    }

    #[test]
    fn seconds_may_be_left_out_and_are_never_none() {
        let watch = |line: &str| Line::try_parse_from(line.split(' ')).map(|line| line.watch.watch);
        assert_eq!(watch("lag").unwrap(), None);
        assert_eq!(watch("lag --watch").unwrap(), Some(2));
        assert_eq!(watch("lag --watch 10 -o json").unwrap(), Some(10));
        assert!(watch("lag --watch 0").is_err());
    }

    #[test]
    fn a_shorter_page_leaves_nothing_of_the_longer_one() {
        assert_eq!(redrawn("a\nb\n", false), "\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        assert!(redrawn("a\n", true).starts_with("\u{1b}[H\u{1b}[J"));
    }
}
