//! What a run has done so far, in a file, so that the same command goes on where it was ended.
//!
//! Invariant: the file is replaced as a whole, and is gone when the run is at its end. A stream in it is not compared
//! again: its report says as of which snapshot it holds.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ReconcileError;
use crate::report::{REPORT_VERSION, Scope, StreamReport};
use crate::run::new_run;

/// The state of a run, in memory or in a file.
#[derive(Debug)]
pub struct Checkpoint {
    file: Option<PathBuf>,
    state: State,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    run_id: Uuid,
    started_ms: i64,
    scope: Scope,
    /// All streams of the run.
    streams: BTreeSet<String>,
    done: Vec<StreamReport>,
}

impl Checkpoint {
    /// For a run that is not to be continued.
    #[must_use]
    pub fn none(scope: &Scope, streams: &[String]) -> Self {
        let (run_id, started_ms) = new_run();
        let streams = streams.iter().cloned().collect();
        let state = State {
            version: REPORT_VERSION,
            run_id,
            started_ms,
            scope: scope.clone(),
            streams,
            done: Vec::new(),
        };
        Self { file: None, state }
    }

    /// What `file` holds, or a new run if there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read, or is of a run with another scope or other streams.
    pub fn open(file: PathBuf, scope: &Scope, streams: &[String]) -> Result<Self, ReconcileError> {
        let new = Self::none(scope, streams);
        let refuse = |reason: String| ReconcileError::Checkpoint { file: file.display().to_string(), reason };
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { file: Some(file), ..new });
            }
            Err(error) => return Err(refuse(error.to_string())),
        };
        let state: State = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        let same = state.version == new.state.version
            && state.scope == new.state.scope
            && state.streams == new.state.streams;
        if !same {
            return Err(refuse(
                "it is of a run over other streams or another scope; run that one to its end, or delete the file".to_owned(),
            ));
        }
        Ok(Self { file: Some(file), state })
    }

    /// Whether the stream is done.
    #[must_use]
    pub fn has(&self, stream: &str) -> bool {
        self.state.done.iter().any(|report| report.stream == stream)
    }

    /// Keeps a stream's report.
    pub(crate) fn keep(&mut self, report: StreamReport) -> Result<(), ReconcileError> {
        self.state.done.push(report);
        let Some(file) = &self.file else { return Ok(()) };
        let refuse = |reason: String| ReconcileError::Checkpoint { file: file.display().to_string(), reason };
        let text = serde_json::to_vec(&self.state).map_err(|error| refuse(error.to_string()))?;
        let beside = file.with_extension("new");
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, file))
            .map_err(|error| refuse(error.to_string()))
    }

    /// Ends the run: its identity, its begin, and the reports in the order of their streams.
    pub(crate) fn finish(self) -> Result<(Uuid, i64, Vec<StreamReport>), ReconcileError> {
        let Self { file, state } = self;
        if let Some(file) = file
            && let Err(error) = std::fs::remove_file(&file)
            && error.kind() != ErrorKind::NotFound
        {
            let file = file.display().to_string();
            return Err(ReconcileError::Checkpoint { file, reason: error.to_string() });
        }
        let mut done = state.done;
        done.sort_by(|one, other| one.stream.cmp(&other.stream));
        Ok((state.run_id, state.started_ms, done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Tally, Verdict};

    fn report(stream: &str) -> StreamReport {
        StreamReport {
            stream: stream.to_owned(),
            source: String::new(),
            table: String::new(),
            topic: String::new(),
            key: vec![],
            time: String::new(),
            table_time: String::new(),
            verdict: Verdict::Equal,
            reason: None,
            note: None,
            snapshots: Vec::new(),
            windows: Vec::new(),
            tally: Tally::default(),
            differences: Vec::new(),
            listed_all: true,
            left_out: Vec::new(),
        }
    }

    #[test]
    fn a_run_goes_on_where_it_was_ended_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, scope) = (folder.path().join("c.json"), Scope::default());
        let streams = ["a".to_owned(), "b".to_owned()];
        let mut first = Checkpoint::open(file.clone(), &scope, &streams).unwrap();
        first.keep(report("b")).unwrap();
        let run_id = first.state.run_id;
        drop(first);
        let mut second = Checkpoint::open(file.clone(), &scope, &streams).unwrap();
        assert!(second.has("b") && !second.has("a"));
        second.keep(report("a")).unwrap();
        let (id, _, done) = second.finish().unwrap();
        let names: Vec<_> = done.into_iter().map(|report| report.stream).collect();
        assert_eq!((id, names.as_slice()), (run_id, streams.as_slice()));
        assert!(!file.exists());
    }

    #[test]
    fn the_file_of_another_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.json");
        let mut first = Checkpoint::open(file.clone(), &Scope::default(), &["a".to_owned()]).unwrap();
        first.keep(report("a")).unwrap();
        let other = Scope { since_ms: Some(1), ..Scope::default() };
        for (scope, stream) in [(&other, "a"), (&Scope::default(), "b")] {
            let error = Checkpoint::open(file.clone(), scope, &[stream.to_owned()]).unwrap_err();
            assert!(error.to_string().contains("another scope"), "{error}");
        }
    }
}
