//! One engine connection: settings, one statement, and inserts fed piece by piece.
//!
//! Invariant: insert data reaches the engine only through its insert stream, never as part of the statement's text,
//! where libchdb cuts it at the first empty line (bytes 0x0A 0x0A) without an error.
#![expect(unsafe_code, reason = "calls into the C library")]

use std::ffi::c_void;

use super::{Outcome, ffi};
use crate::exception::Exception;

/// Values of `{name:Type}` in a statement, in ClickHouse's escaped text form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters(pub(crate) Vec<(String, String)>);

/// An open connection, closed on drop.
pub(crate) struct Session<'e> {
    api: &'e ffi::Api,
    handle: ffi::ConnectionHandle,
}

impl<'e> Session<'e> {
    pub(super) fn new(api: &'e ffi::Api, handle: ffi::ConnectionHandle) -> Self {
        Self { api, handle }
    }

    /// Calls one of the two functions that take a statement, a format and parameters.
    fn call(
        &mut self,
        function: ffi::Query,
        sql: &[u8],
        format: &str,
        parameters: &Parameters,
    ) -> *mut c_void {
        let names: Vec<_> = parameters.0.iter().map(|(name, _)| name.as_ptr()).collect();
        let name_lengths: Vec<_> = parameters.0.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<_> = parameters.0.iter().map(|(_, value)| value.as_ptr()).collect();
        let value_lengths: Vec<_> = parameters.0.iter().map(|(_, value)| value.len()).collect();
        // SAFETY: pointers and lengths describe buffers that live during the call, the four arrays have one length,
        // and `&mut self` keeps other statements off the connection.
        unsafe {
            function(
                *self.handle,
                sql.as_ptr(),
                sql.len(),
                format.as_ptr(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                names.len(),
            )
        }
    }

    /// Runs one statement and waits for its whole output, in `format` unless the statement names one.
    pub(crate) fn query(
        &mut self,
        sql: &[u8],
        format: &str,
        parameters: &Parameters,
    ) -> Result<Outcome, Exception> {
        let handle = self.call(self.api.query_with_params_n, sql, format, parameters);
        // SAFETY: a fresh result, handed over.
        unsafe { Outcome::from_handle(self.api, handle) }
    }

    /// Sets `name` for this connection; 115 for an unknown setting.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Exception> {
        let sql = format!("SET {} = {}", quoted(name, '`'), quoted(value, '\''));
        self.query(sql.as_bytes(), "Null", &Parameters::default()).map(|_| ())
    }

    /// Runs `keyword` with one quoted identifier: `USE db`, `SET ROLE role`.
    pub(crate) fn command(&mut self, keyword: &str, identifier: &str) -> Result<(), Exception> {
        let sql = format!("{keyword} {}", quoted(identifier, '`'));
        self.query(sql.as_bytes(), "Null", &Parameters::default()).map(|_| ())
    }

    /// Starts an insert. `head` is the statement up to `FORMAT`; the data are in `format`.
    pub(crate) fn insert(
        &mut self,
        head: &[u8],
        format: &str,
        parameters: &Parameters,
    ) -> Result<Insert<'_>, Exception> {
        let handle = self.call(self.api.stream_insert_with_params_n, head, format, parameters);
        if handle.is_null() {
            return Err(Exception::new(Exception::LOGICAL_ERROR, "the engine opened no insert stream"));
        }
        let insert = Insert { api: self.api, handle, open: true, _session: std::marker::PhantomData };
        match insert.error() {
            Some(exception) => Err(exception),
            None => Ok(insert),
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // SAFETY: closed once, nothing borrows the session any more.
        unsafe { (self.api.close_conn)(self.handle) };
    }
}

/// An insert under way. Dropping it without [`Insert::finish`] cancels it; blocks already written stay,
/// as on a server.
pub(crate) struct Insert<'s> {
    api: &'s ffi::Api,
    handle: ffi::StreamHandle,
    open: bool,
    _session: std::marker::PhantomData<&'s mut ()>,
}

impl Insert<'_> {
    fn error(&self) -> Option<Exception> {
        // SAFETY: a live stream; the text is copied.
        unsafe { ffi::copied((self.api.stream_insert_error)(self.handle)) }
            .map(|text| Exception::from_engine(&text))
    }

    /// Hands over the next bytes; blocks while the engine is busy with earlier ones.
    pub(crate) fn append(&mut self, data: &[u8]) -> Result<(), Exception> {
        // SAFETY: libchdb copies `data` before it returns.
        if unsafe { (self.api.stream_append)(self.handle, data.as_ptr(), data.len()) } == 0 {
            return Ok(());
        }
        match self.error() {
            Some(exception) => Err(exception),
            None => Err(self.done().err().unwrap_or_else(|| {
                Exception::new(Exception::LOGICAL_ERROR, "the engine refused insert data without a reason")
            })),
        }
    }

    /// Ends the data. On success they are committed.
    pub(crate) fn finish(mut self) -> Result<Outcome, Exception> {
        self.done()
    }

    fn done(&mut self) -> Result<Outcome, Exception> {
        self.open = false;
        // SAFETY: called once per stream; the result is handed over.
        unsafe { Outcome::from_handle(self.api, (self.api.stream_done)(self.handle)) }
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: a live stream, destroyed once.
        unsafe {
            if self.open {
                (self.api.stream_cancel_insert)(self.handle);
            }
            (self.api.destroy_insert_stream)(self.handle);
        }
    }
}

/// Quotes an identifier (backtick) or a string (apostrophe) by ClickHouse's backslash rules.
fn quoted(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        if c == quote || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quoting_leaves_no_way_out_of_the_literal() {
        assert_eq!(quoted(r"a' \", '\''), r"'a\' \\'");
        assert_eq!(quoted("a`b'c", '`'), r"`a\`b'c`");
    }
}
