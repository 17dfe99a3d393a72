//! What a statement left behind: its output bytes, or the engine's exception, and the counters.
//!
//! Invariant: counters are read only from a result without an error; after an error libchdb's are meaningless.
#![expect(unsafe_code, reason = "reads results of the C library")]

use super::ffi;
use crate::exception::Exception;

/// Rows and bytes of one statement, as libchdb counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Rows read from tables and table functions.
    pub(crate) read_rows: u64,
    /// Bytes read from tables and table functions, uncompressed.
    pub(crate) read_bytes: u64,
    /// Rows in the answer.
    pub(crate) result_rows: u64,
    /// Bytes of the answer in the engine's column form.
    pub(crate) result_bytes: u64,
    /// Rows handed to the target table and to the targets of its materialized views, de-duplicated ones included.
    pub(crate) written_rows: u64,
    /// Bytes of those rows.
    pub(crate) written_bytes: u64,
}

/// A finished statement's output. Derefs to the bytes, which stay in libchdb's buffer.
pub(crate) struct Outcome {
    handle: ffi::ResultHandle,
    destroy: unsafe extern "C" fn(ffi::ResultHandle),
    buffer: *const u8,
    length: usize,
    pub(crate) counters: Counters,
}

// SAFETY: a result is an owned, immutable buffer without ties to the thread or connection that made it.
unsafe impl Send for Outcome {}
// SAFETY: only shared reads of the buffer are offered.
unsafe impl Sync for Outcome {}

impl Outcome {
    /// Takes a result over, or its error.
    ///
    /// # Safety
    /// `handle` is null or a live result of `api` that nobody else destroys.
    pub(super) unsafe fn from_handle(api: &ffi::Api, handle: ffi::ResultHandle) -> Result<Self, Exception> {
        if handle.is_null() {
            return Err(Exception::new(Exception::LOGICAL_ERROR, "the engine returned no result"));
        }
        // SAFETY: a live result; the error string lives as long as it does.
        if let Some(text) = unsafe { ffi::copied((api.result_error)(handle)) } {
            // SAFETY: not used afterwards.
            unsafe { (api.destroy_query_result)(handle) };
            return Err(Exception::from_engine(&text));
        }
        // SAFETY: plain getters on a live result.
        let (buffer, length, counters) = unsafe {
            let counters = Counters {
                read_rows: (api.result_storage_rows_read)(handle),
                read_bytes: (api.result_storage_bytes_read)(handle),
                result_rows: (api.result_rows_read)(handle),
                result_bytes: (api.result_bytes_read)(handle),
                written_rows: (api.result_rows_written)(handle),
                written_bytes: (api.result_bytes_written)(handle),
            };
            ((api.result_buffer)(handle), (api.result_length)(handle), counters)
        };
        Ok(Self { handle, destroy: api.destroy_query_result, buffer, length, counters })
    }
}

impl AsRef<[u8]> for Outcome {
    fn as_ref(&self) -> &[u8] {
        if self.buffer.is_null() || self.length == 0 {
            return &[];
        }
        // SAFETY: libchdb owns `length` bytes there until the result is destroyed.
        unsafe { std::slice::from_raw_parts(self.buffer, self.length) }
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        // SAFETY: destroyed once; the library is never unloaded, so the function is still there.
        unsafe { (self.destroy)(self.handle) };
    }
}
