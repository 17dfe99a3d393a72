//! Runs one request on a blocking thread: a fresh session, its settings, then the statement or the insert.
//!
//! Invariant: an insert is finished only after the whole body has been read and verified; otherwise it is cancelled.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::engine::{Engine, Outcome, Session};
use crate::exception::Exception;
use crate::input::Input;
use crate::request::Query;
use crate::sql::{self, Head};

/// Longest statement kept in memory; the engine's own `max_query_size` (256 KiB by default) is stricter.
pub(crate) const MAX_STATEMENT_BYTES: usize = 16 << 20;

/// A finished request.
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// The output format's name.
    pub(crate) format: String,
    /// An insert with data: libchdb then knows written rows only.
    pub(crate) insert: bool,
    pub(crate) elapsed: Duration,
}

/// Serves `query`, whose statement may go on in `input`.
pub(crate) fn run(engine: &Engine, query: &Query, mut input: Input) -> Result<Answer, Exception> {
    let started = Instant::now();
    let mut session = engine
        .open()
        .ok_or_else(|| Exception::new(Exception::LOGICAL_ERROR, "the engine opened no connection"))?;
    prepare(&mut session, query)?;
    let mut text = BytesMut::from(query.sql.as_bytes());
    if !text.is_empty() {
        text.extend_from_slice(b"\n");
    }
    let (outcome, format, insert) = match read_head(&mut text, &mut input)? {
        Head::Insert { statement_end, format, data_at } => {
            let head = text.get(..statement_end).unwrap_or_default();
            let mut insert = session.insert(head, &format, &query.parameters)?;
            let first = text.get(data_at..).unwrap_or_default();
            // A line break between the statement in the URL and a body that is empty is no data.
            if !first.is_empty() {
                insert.append(first)?;
            }
            while let Some(data) = input.next()? {
                insert.append(&data)?;
            }
            (insert.finish()?, query.format.clone(), true)
        }
        Head::Plain | Head::Incomplete => {
            let named = sql::check_plain(&text)?;
            let format = named.and_then(|range| text.get(range)).map(String::from_utf8_lossy);
            let format = format.map_or_else(|| query.format.clone(), std::borrow::Cow::into_owned);
            (session.query(&text, &query.format, &query.parameters)?, format, false)
        }
    };
    Ok(Answer { outcome, format, insert, elapsed: started.elapsed() })
}

fn prepare(session: &mut Session<'_>, query: &Query) -> Result<(), Exception> {
    // First, so that what follows is checked as the user's. A session serves one statement, so there is no way back.
    if let Some(user) = &query.user {
        session.command("SET ROLE", user)?;
        if let Some(role) = query.roles.first() {
            let message = format!("{user}: Not enough privileges to take the role {role}");
            return Err(Exception::new(Exception::ACCESS_DENIED, message));
        }
    }
    if let Some(database) = &query.database {
        session.command("USE", database)?;
    }
    for role in &query.roles {
        session.command("SET ROLE", role)?;
    }
    for (name, value) in &query.settings {
        session.set(name, value)?;
    }
    if query.read_only && !query.settings.iter().any(|(name, _)| name == "readonly") {
        session.set("readonly", "2")?;
    }
    Ok(())
}

/// Reads on until the kind of statement is known; for a plain one to the body's end.
fn read_head(text: &mut BytesMut, input: &mut Input) -> Result<Head, Exception> {
    let mut complete = false;
    // Looking again only at doubled lengths keeps a long statement in small pieces linear.
    let mut look_at = 1;
    loop {
        if complete || text.len() >= look_at {
            match sql::read_head(text, complete)? {
                Head::Plain if !complete => look_at = usize::MAX,
                Head::Incomplete if !complete => look_at = text.len().saturating_mul(2),
                head => return Ok(head),
            }
        }
        match input.next()? {
            Some(data) => text.extend_from_slice(&data),
            None => complete = true,
        }
        if text.len() > MAX_STATEMENT_BYTES && look_at == usize::MAX {
            let message =
                format!("Query is too large: statements up to {MAX_STATEMENT_BYTES} bytes are accepted");
            return Err(Exception::new(Exception::QUERY_IS_TOO_LARGE, message));
        }
    }
}
