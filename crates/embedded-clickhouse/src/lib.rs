//! The real ClickHouse engine (`libchdb.so`) behind ClickHouse's HTTP interface, for development and tests only.
//!
//! Nova, `curl` and the `clickhouse` crate talk to it as to a server; nothing in Nova knows the difference.
//! [`EmbeddedClickHouse`] serves inside a test process; the binary `embedded-clickhouse` is a server of its own,
//! which is the way to have several, or to kill one.
//!
//! Invariant: what this front cannot do it refuses with an exception; it never answers 200 to something it ignored.
//!
//! # What is there
//! * GET and POST `/`, `/ping`, `/replicas_status`; the statement in the URL, in the body, or in both; insert data in
//!   every input format of the engine, streamed through bounded memory; `param_x` in the URL and in multipart fields;
//!   settings, `database`, `default_format`, `role` and `query_id` in the URL; the `X-ClickHouse-*` request headers;
//!   block framing with LZ4 both ways; TLS on a second address; exception codes and HTTP statuses of a server. GET requests may not write.
//!
//! # What is different from a server
//! * **Users come from files.** Passwords are checked here, and inside the engine everybody is `default`: libchdb knows no
//!   login, refuses `CREATE USER`, and cannot `EXECUTE AS`. The user of the command line has all that `default` has. Those of
//!   a users file have the role of their name and no other: the configuration file's `users_config` defines these roles
//!   with their grants and gives them to `default`, and the engine enforces them.
//! * **No sessions** (`session_id` answers 48), no external tables, no `input()`, no `INTO OUTFILE`, no
//!   `Content-Encoding` of bodies and no ZSTD blocks: all refused. `Accept-Encoding` is answered with a plain body.
//! * **Answers are complete before the first byte is sent**, in the engine's memory: a result must fit there. In
//!   return no error comes behind a 200.
//! * `X-ClickHouse-Query-Id` is the client's id or a fresh one; the engine's own id in `system.processes` differs.
//! * A statement whose client went away runs to its end, as on a server by default. An insert whose body breaks
//!   off is cancelled.
//!
//! # `X-ClickHouse-Summary`
//! `read_rows`, `read_bytes` (from storage), `result_rows`, `result_bytes` and `elapsed_ns` are true for statements
//! without data. For an insert with data `written_rows` counts the rows handed to the table **and** to the targets of its
//! materialized views, also when `insert_deduplication_token` then dropped them; so do real servers. It equals the rows
//! of the body when no view depends on the table. Rows really stored are known only by asking the table. `read_rows`
//! of such an insert is unknown and left out; `result_rows` repeats `written_rows`.

mod auth;
mod engine;
mod exception;
mod execute;
mod framing;
mod handler;
mod input;
mod multipart;
mod request;
mod response;
mod server;
mod sql;
mod tls;

pub use engine::EngineStartError;
pub use server::{EmbeddedClickHouse, Options, ShutdownError, StartError};
pub use tls::TlsOptions;

/// Ends the process at once, without running destructors or `atexit` handlers, some of which crash inside
/// libchdb. Call it last, after [`EmbeddedClickHouse::shutdown`].
pub fn exit_process(code: i32) -> ! {
    engine::exit_now(code)
}
