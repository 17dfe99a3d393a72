//! The engine: one libchdb over one data directory, at most one per process and per directory.
//!
//! Invariant: a [`Session`] is one engine connection that serves one request and is then closed (opening one takes
//! 0.2 ms), so nothing that a statement sets (`SET`, `USE`, temporary tables) can reach another request.
#![expect(unsafe_code, reason = "calls into the C library")]

mod ffi;
mod outcome;
mod session;

use std::ffi::CString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use ffi::exit_now;
pub(crate) use outcome::Outcome;
pub(crate) use session::{Parameters, Session};

/// libchdb binds one data path per process, also after a close.
static BOOTED: AtomicBool = AtomicBool::new(false);

const LOCK_FILE: &str = ".embedded-clickhouse.lock";

/// Settings in which libchdb differs from a server; each session starts with the server's default.
const SERVER_DEFAULTS: [&str; 3] =
    ["--implicit_select=0", "--allow_introspection_functions=0", "--storage_file_read_method=pread"];

/// Why the engine could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineStartError {
    /// The library is absent, is no shared library, or lacks a function of chdb.h 26.7.
    #[error("cannot load the ClickHouse engine {path}; `cargo xtask up` downloads it")]
    Library {
        /// The path given.
        path: PathBuf,
        /// The loader's message.
        source: libloading::Error,
    },
    /// This process has, or had, an engine.
    #[error(
        "this process already started a ClickHouse engine; run the embedded-clickhouse binary for a second one"
    )]
    SecondInProcess,
    /// The data directory cannot be created or locked.
    #[error("cannot use the data directory {path}; check its owner and the disk")]
    Data {
        /// The directory given.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// Another process has the data directory; two engines over one directory destroy it, and libchdb does not check.
    #[error(
        "data directory {path} is in use by another embedded-clickhouse; stop that one or take another directory"
    )]
    Locked {
        /// The directory given.
        path: PathBuf,
    },
    /// The configuration file cannot be read; libchdb would go on without it.
    #[error("cannot read the configuration file {path}")]
    Config {
        /// The file given.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A `path` in the configuration file wins over the data directory, which alone is locked.
    #[error("the configuration file puts the data under {actual}, not under {path}: remove <path> from it")]
    Moved {
        /// The directory given.
        path: PathBuf,
        /// The engine's directory.
        actual: PathBuf,
    },
    /// libchdb refused to start and says no more than that.
    #[error(
        "the ClickHouse engine did not start over {path}; see its messages on stderr, check disk space, owner and the configuration file"
    )]
    Refused {
        /// The directory given.
        path: PathBuf,
    },
}

/// The running engine.
pub(crate) struct Engine {
    api: ffi::Api,
    arguments: Vec<CString>,
    /// The first connection; it keeps the engine up while no request is served.
    keeper: ffi::ConnectionHandle,
    _lock: File,
}

// SAFETY: chdb.h documents connections as usable from any thread, one statement at a time; the keeper runs none.
unsafe impl Send for Engine {}
// SAFETY: as above; `open` only calls `chdb_connect`, which libchdb serialises.
unsafe impl Sync for Engine {}

impl Engine {
    /// Loads `library` and starts the engine over `data`, which is made if missing and locked for this process.
    pub(crate) fn start(
        library: &Path,
        data: &Path,
        config: Option<&Path>,
    ) -> Result<Self, EngineStartError> {
        let data_error = |source| EngineStartError::Data { path: data.to_owned(), source };
        std::fs::create_dir_all(data).map_err(data_error)?;
        let data = &data.canonicalize().map_err(data_error)?;
        let lock = File::create(data.join(LOCK_FILE)).map_err(data_error)?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => EngineStartError::Locked { path: data.clone() },
            std::fs::TryLockError::Error(source) => data_error(source),
        })?;
        let config = config.map(readable).transpose()?;
        let library_path = library.to_owned();
        let api = ffi::Api::load(library)
            .map_err(|source| EngineStartError::Library { path: library_path, source })?;
        if BOOTED.swap(true, Ordering::SeqCst) {
            return Err(EngineStartError::SecondInProcess);
        }
        // Its handlers for SIGSEGV and the like wait minutes before the process dies.
        // SAFETY: takes a flag, callable at any time.
        unsafe { (api.set_signal_handlers_enabled)(0) };
        let mut arguments = vec!["clickhouse".to_owned(), format!("--path={}", data.display())];
        arguments.extend(config.map(|file| format!("--config-file={}", file.display())));
        arguments.extend(SERVER_DEFAULTS.map(str::to_owned));
        let refused = || EngineStartError::Refused { path: data.clone() };
        let arguments = arguments.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
        let arguments = arguments.map_err(|_| refused())?;
        let keeper = connect(&api, &arguments).ok_or_else(refused)?;
        let engine = Self { api, arguments, keeper, _lock: lock };
        let actual = engine.data_path().ok_or_else(refused)?;
        if actual != *data {
            return Err(EngineStartError::Moved { path: data.clone(), actual });
        }
        Ok(engine)
    }

    fn data_path(&self) -> Option<PathBuf> {
        let sql = b"SELECT path FROM system.disks WHERE name = 'default'";
        let row = self.open()?.query(sql, "TSVRaw", &Parameters::default()).ok()?;
        Some(PathBuf::from(std::str::from_utf8(row.as_ref()).ok()?.trim_end()))
    }

    /// Opens a connection with the server's default settings. Errors only when the engine is out of resources.
    pub(crate) fn open(&self) -> Option<Session<'_>> {
        connect(&self.api, &self.arguments).map(|handle| Session::new(&self.api, handle))
    }

    /// Closes the engine: parts and metadata are on disk afterwards. Call it when no session is open.
    pub(crate) fn close(self) {
        // SAFETY: `self` is consumed, so no session borrows it and the handle is closed once.
        unsafe { (self.api.close_conn)(self.keeper) };
        // SAFETY: no connection is open any more; stops the background threads for good.
        let state = unsafe { (self.api.shutdown)() };
        tracing::debug!(state, "engine closed");
    }
}

/// The absolute path of a file that can be opened.
fn readable(path: &Path) -> Result<PathBuf, EngineStartError> {
    let absolute = path.canonicalize().and_then(|path| File::open(&path).map(|_| path));
    absolute.map_err(|source| EngineStartError::Config { path: path.to_owned(), source })
}

fn connect(api: &ffi::Api, arguments: &[CString]) -> Option<ffi::ConnectionHandle> {
    let pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
    let count = i32::try_from(pointers.len()).ok()?;
    // SAFETY: `count` pointers to strings that live during the call; libchdb copies them.
    let handle = unsafe { (api.connect)(count, pointers.as_ptr()) };
    // SAFETY: a non-null handle points to one connection pointer.
    (!handle.is_null() && !unsafe { *handle }.is_null()).then_some(handle)
}
