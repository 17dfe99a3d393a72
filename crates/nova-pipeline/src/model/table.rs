//! A MergeTree table as far as de-duplication goes: parts by month, and a log of (month, token) that is written apart
//! from the part.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::fault::{Break, Order};
use crate::fakes::FakeRow;
use crate::{ErrorKind, PipelineError};

/// A restart takes so long.
const DOWN: Duration = Duration::from_secs(1);
/// No window overflows faster; the start-up check of the table's window holds it to that.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// How long the server keeps a client's session without a request.
const SESSION: Duration = Duration::from_secs(20);

/// The proof that a client has talked to this very run of the server a short while ago.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    incarnation: u32,
    used: Instant,
}

#[derive(Default)]
pub(super) struct Table {
    parts: Vec<FakeRow>,
    log: BTreeMap<(u8, String), Instant>,
    incarnation: u32,
    down_until: Option<Instant>,
}

impl Table {
    pub(super) fn kill(&mut self) {
        self.incarnation += 1;
        self.down_until = Some(Instant::now() + DOWN);
    }

    pub(super) fn cut_off(&mut self, seconds: u8) {
        self.down_until = Some(Instant::now() + Duration::from_secs(seconds.into()));
    }

    pub(super) fn forget(&mut self) {
        self.log.retain(|_, written| written.elapsed() < WINDOW);
    }

    pub(super) fn open_session(&self) -> Session {
        Session { incarnation: self.incarnation, used: Instant::now() }
    }

    /// A request arrives; the run of the server it arrives at.
    pub(super) fn arrive(&self) -> Result<u32, PipelineError> {
        match self.down_until {
            Some(until) if until > Instant::now() => {
                Err(PipelineError::new(ErrorKind::Unavailable, "the server is down"))
            }
            _ => Ok(self.incarnation),
        }
    }

    /// Whether the session is still known here; using it keeps it.
    pub(super) fn resume(&self, session: &mut Session) -> Result<(), PipelineError> {
        if session.incarnation != self.incarnation || session.used.elapsed() > SESSION {
            return Err(PipelineError::new(ErrorKind::LostReply, "the session is unknown"));
        }
        session.used = Instant::now();
        Ok(())
    }

    /// Writes one month of a block that arrived at the run `incarnation`; whether it wrote anything.
    pub(super) fn put(
        &mut self,
        incarnation: u32,
        (month, token): (u8, &str),
        rows: &[FakeRow],
        broken: Option<Break>,
    ) -> Result<bool, PipelineError> {
        if self.incarnation != incarnation {
            return Err(PipelineError::new(ErrorKind::LostReply, "the server was killed"));
        }
        let known = self.log.contains_key(&(month, token.to_owned()));
        let order = broken.map(|broken| broken.order);
        let (with_token, with_part) = match order {
            None => (true, true),
            Some(Order::Neither) => (false, false),
            Some(Order::TokenOnly) => (true, false),
            Some(Order::PartOnly) => (false, true),
        };
        if !known && with_token {
            self.log.insert((month, token.to_owned()), Instant::now());
        }
        if !known && with_part {
            self.parts.extend_from_slice(rows);
        }
        if let Some(broken) = broken {
            return Err(self.break_off(broken));
        }
        Ok(!known)
    }

    pub(super) fn break_off(&mut self, broken: Break) -> PipelineError {
        if broken.kill {
            self.kill();
            return PipelineError::new(ErrorKind::LostReply, "the server was killed");
        }
        PipelineError::new(ErrorKind::Overloaded, "the server could not finish")
    }

    pub(super) fn rows(&self) -> &[FakeRow] {
        &self.parts
    }
}
