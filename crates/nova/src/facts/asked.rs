//! What a server answered, or why it did not.
//!
//! Invariant: no question waits longer than [`ANSWER_WITHIN`], and no failure is lost on its way to the page.

use std::time::Duration;

use nova_pipeline::{ErrorKind, PipelineError};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::exit::{Exit, Failure};

/// A page that comes late helps nobody; a server that is there answers within a fraction of this.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// An answer. In JSON what was asked for, or `{"error": …, "away": …}` in its place.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Asked<T> {
    /// It is known.
    Known(T),
    /// It is not.
    Unknown(Unanswered),
}

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unanswered {
    /// What happened, on one line.
    pub error: String,
    /// Whether the server could not be reached, or gave no answer.
    pub away: bool,
}

/// A server, and what it answered.
#[derive(Debug, Clone, Serialize)]
pub struct Server<T> {
    /// Its address, as it is configured.
    pub place: String,
    /// How long the answer took, in milliseconds.
    pub took_ms: u64,
    /// The answer.
    #[serde(flatten)]
    pub answer: Asked<T>,
}

impl<T> Asked<T> {
    /// The answer, if there is one.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(answer) => Some(answer),
            Self::Unknown(_) => None,
        }
    }

    /// Why there is none.
    pub fn error(&self) -> Option<&Unanswered> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(unanswered) => Some(unanswered),
        }
    }
}

impl<T> Server<T> {
    /// Asks a server at `place`.
    pub async fn ask<E: Into<Failure>>(place: String, asking: impl Future<Output = Result<T, E>>) -> Self {
        let begun = Instant::now();
        let answer = ask(&place, asking).await;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Self { place, took_ms, answer }
    }
}

/// Waits for an answer of `whom`, and not too long.
pub async fn ask<T, E: Into<Failure>>(whom: &str, asking: impl Future<Output = Result<T, E>>) -> Asked<T> {
    match timeout(ANSWER_WITHIN, asking).await {
        Ok(Ok(answer)) => Asked::Known(answer),
        Ok(Err(error)) => {
            let failure: Failure = error.into();
            Asked::Unknown(failure.into())
        }
        Err(_) => {
            let error = format!("{whom}: no answer within {} s", ANSWER_WITHIN.as_secs());
            Asked::Unknown(Unanswered { error, away: true })
        }
    }
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        let error = failure.message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { error, away: failure.exit == Exit::Unavailable }
    }
}

/// PostgreSQL's failures as the other servers' are: away, or refusing.
pub fn of_postgres(error: &sqlx::Error, place: &str) -> PipelineError {
    // 57P01 to 57P03: it is shutting down, or not up yet (PostgreSQL, appendix A).
    let starting = |code: Option<&str>| matches!(code, Some("57P01" | "57P02" | "57P03"));
    let kind = match error {
        sqlx::Error::Database(refusal) if starting(refusal.code().as_deref()) => ErrorKind::Unavailable,
        sqlx::Error::Database(refusal) if refusal.code().is_some_and(|code| code.starts_with("28")) => {
            ErrorKind::AccessDenied
        }
        sqlx::Error::Io(_) => ErrorKind::Unavailable,
        _ => ErrorKind::Unknown,
    };
    PipelineError::new(kind, format!("PostgreSQL at {place}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_away_and_one_that_refuses_is_not() {
        let silent = ask("Kafka at k:9092", std::future::pending::<Result<u8, PipelineError>>()).await;
        let error = "Kafka at k:9092: no answer within 5 s".to_owned();
        assert_eq!(silent.error(), Some(&Unanswered { error, away: true }));
        for (kind, away) in [(ErrorKind::Unavailable, true), (ErrorKind::AccessDenied, false)] {
            let refused = async { Err::<u8, _>(PipelineError::new(kind, "two\n lines")) };
            let found = ask("x", refused).await;
            assert_eq!(found.error(), Some(&Unanswered { error: "two lines".to_owned(), away }));
        }
        let io = sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        assert_eq!(of_postgres(&io, "h:1/d").kind, ErrorKind::Unavailable);
    }

    #[test]
    fn json_is_the_answer_or_the_error_in_its_place() {
        #[derive(Serialize)]
        struct Slot {
            active: bool,
        }
        let server =
            |answer| serde_json::to_value(Server { place: "h".to_owned(), took_ms: 3, answer }).unwrap();
        let known = server(Asked::Known(Slot { active: true }));
        assert_eq!(known, serde_json::json!({"place": "h", "took_ms": 3, "active": true}));
        let unknown = server(Asked::Unknown(Unanswered { error: "gone".to_owned(), away: true }));
        assert_eq!(unknown, serde_json::json!({"place": "h", "took_ms": 3, "error": "gone", "away": true}));
    }
}
