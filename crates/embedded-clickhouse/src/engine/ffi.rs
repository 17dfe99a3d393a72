//! The C interface of `libchdb.so` (`chdb.h` of chdb-core 26.7), resolved at run time.
//!
//! Invariant: the library is never unloaded. Its teardown runs C++ destructors while engine threads may still
//! be alive, so the handle is leaked on purpose and every function pointer stays valid until the process ends.
#![expect(unsafe_code, reason = "this module is the only door to the C library")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;

/// `chdb_connection *`: what `chdb_connect` returns and `chdb_close_conn` takes.
pub(super) type ConnectionHandle = *mut *mut c_void;
/// `chdb_result *`.
pub(super) type ResultHandle = *mut c_void;
/// `chdb_insert_stream`.
pub(super) type StreamHandle = *mut c_void;

type Counter = unsafe extern "C" fn(ResultHandle) -> u64;
/// Connection, statement, format, then parameter names and values, each with lengths, and their count.
pub(super) type Query = unsafe extern "C" fn(
    *mut c_void,
    *const u8,
    usize,
    *const u8,
    usize,
    *const *const u8,
    *const usize,
    *const *const u8,
    *const usize,
    usize,
) -> *mut c_void;

/// The functions this crate calls. Field names are the C names without `chdb_`.
pub(super) struct Api {
    pub(super) connect: unsafe extern "C" fn(c_int, *const *const c_char) -> ConnectionHandle,
    pub(super) close_conn: unsafe extern "C" fn(ConnectionHandle),
    pub(super) query_with_params_n: Query,
    pub(super) stream_insert_with_params_n: Query,
    pub(super) stream_append: unsafe extern "C" fn(StreamHandle, *const u8, usize) -> c_int,
    pub(super) stream_done: unsafe extern "C" fn(StreamHandle) -> ResultHandle,
    pub(super) stream_cancel_insert: unsafe extern "C" fn(StreamHandle),
    pub(super) stream_insert_error: unsafe extern "C" fn(StreamHandle) -> *const c_char,
    pub(super) destroy_insert_stream: unsafe extern "C" fn(StreamHandle),
    pub(super) result_buffer: unsafe extern "C" fn(ResultHandle) -> *const u8,
    pub(super) result_length: unsafe extern "C" fn(ResultHandle) -> usize,
    pub(super) result_error: unsafe extern "C" fn(ResultHandle) -> *const c_char,
    pub(super) result_rows_read: Counter,
    pub(super) result_bytes_read: Counter,
    pub(super) result_storage_rows_read: Counter,
    pub(super) result_storage_bytes_read: Counter,
    pub(super) result_rows_written: Counter,
    pub(super) result_bytes_written: Counter,
    pub(super) destroy_query_result: unsafe extern "C" fn(ResultHandle),
    pub(super) set_signal_handlers_enabled: unsafe extern "C" fn(c_int),
    pub(super) shutdown: unsafe extern "C" fn() -> c_int,
}

impl Api {
    /// Loads the library and every symbol, or says which one is missing.
    pub(super) fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: the caller names a libchdb; its initialisers have no precondition. Leaked, see the module doc.
        let library: &'static libloading::Library =
            Box::leak(Box::new(unsafe { libloading::Library::new(path) }?));
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the field's type is the function's signature in chdb.h.
                *unsafe { library.get($name.as_bytes()) }?
            };
        }
        Ok(Self {
            connect: symbol!("chdb_connect"),
            close_conn: symbol!("chdb_close_conn"),
            query_with_params_n: symbol!("chdb_query_with_params_n"),
            stream_insert_with_params_n: symbol!("chdb_stream_insert_with_params_n"),
            stream_append: symbol!("chdb_stream_append"),
            stream_done: symbol!("chdb_stream_done"),
            stream_cancel_insert: symbol!("chdb_stream_cancel_insert"),
            stream_insert_error: symbol!("chdb_stream_insert_error"),
            destroy_insert_stream: symbol!("chdb_destroy_insert_stream"),
            result_buffer: symbol!("chdb_result_buffer"),
            result_length: symbol!("chdb_result_length"),
            result_error: symbol!("chdb_result_error"),
            result_rows_read: symbol!("chdb_result_rows_read"),
            result_bytes_read: symbol!("chdb_result_bytes_read"),
            result_storage_rows_read: symbol!("chdb_result_storage_rows_read"),
            result_storage_bytes_read: symbol!("chdb_result_storage_bytes_read"),
            result_rows_written: symbol!("chdb_result_rows_written"),
            result_bytes_written: symbol!("chdb_result_bytes_written"),
            destroy_query_result: symbol!("chdb_destroy_query_result"),
            set_signal_handlers_enabled: symbol!("chdb_set_signal_handlers_enabled"),
            shutdown: symbol!("chdb_shutdown"),
        })
    }
}

/// Copies a C string; `None` for null.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that lives during the call.
pub(super) unsafe fn copied(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Ends the process at once, without destructors: libchdb's teardown at a normal exit may crash.
pub(crate) fn exit_now(code: i32) -> ! {
    unsafe extern "C" {
        fn _exit(code: c_int) -> !;
    }
    // SAFETY: `_exit` (POSIX) takes any code and does not return.
    unsafe { _exit(code) }
}
