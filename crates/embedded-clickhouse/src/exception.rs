//! ClickHouse exceptions: a code, the text clients show, and the HTTP status a server answers with.
//!
//! Invariant: the code is parsed as a number from the start of the engine's text, never matched as text.
//! Codes: ErrorCodes.cpp; statuses: `exceptionCodeToHTTPStatus` of ClickHouse's server.

use hyper::StatusCode;

/// An error answer. `text` begins with `Code: N. DB::Exception: ` and ends with a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) code: u32,
    pub(crate) text: String,
}

macro_rules! codes {
    ($($name:ident = $code:literal),* $(,)?) => {
        impl Exception {
            $(pub(crate) const $name: u32 = $code;)*

            /// The symbolic names of the codes that this front itself raises.
            fn name(code: u32) -> &'static str {
                match code { $($code => stringify!($name),)* _ => "UNKNOWN_EXCEPTION" }
            }
        }
    };
}

codes! {
    CANNOT_READ_ALL_DATA = 33,
    BAD_ARGUMENTS = 36,
    CHECKSUM_DOESNT_MATCH = 40,
    NOT_IMPLEMENTED = 48,
    LOGICAL_ERROR = 49,
    SYNTAX_ERROR = 62,
    UNKNOWN_TYPE_OF_QUERY = 78,
    UNKNOWN_COMPRESSION_METHOD = 89,
    NETWORK_ERROR = 210,
    QUERY_IS_TOO_LARGE = 229,
    CANNOT_DECOMPRESS = 271,
    ACCESS_DENIED = 497,
    AUTHENTICATION_FAILED = 516,
}

impl Exception {
    /// An exception raised by this front, worded like the engine's own.
    pub(crate) fn new(code: u32, message: impl std::fmt::Display) -> Self {
        let name = Self::name(code);
        Self { code, text: format!("Code: {code}. DB::Exception: {message}. ({name})\n") }
    }

    /// An exception from the engine's text; a text without a code becomes LOGICAL_ERROR.
    pub(crate) fn from_engine(text: &str) -> Self {
        let code = text
            .strip_prefix("Code: ")
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(digits, _)| digits.parse().ok());
        match code {
            Some(code) => Self { code, text: format!("{}\n", text.trim_end()) },
            None => Self::new(Self::LOGICAL_ERROR, text.trim_end()),
        }
    }

    /// The HTTP status of a ClickHouse server for this code.
    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | Self::AUTHENTICATION_FAILED | 512 => StatusCode::FORBIDDEN,
            // Values and syntax that cannot be parsed, ill-formed or wrongly typed requests.
            6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 123 | 167 | 168
            | 223 | 321 | 376 | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
            // Unknown table, database, column, function, type, format, setting and the like.
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 139 | 152 | 336 => StatusCode::NOT_FOUND,
            Self::QUERY_IS_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NOT_IMPLEMENTED => StatusCode::NOT_IMPLEMENTED,
            76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            159 => StatusCode::REQUEST_TIMEOUT,
            381 => StatusCode::LENGTH_REQUIRED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exception;

    #[test]
    fn code_is_the_number_and_status_follows_it() {
        let unknown_table = Exception::from_engine("Code: 60. DB::Exception: Table x. (UNKNOWN_TABLE)");
        assert_eq!((unknown_table.code, unknown_table.status().as_u16()), (60, 404));
        // 530 must not be taken for 53.
        let other = Exception::from_engine("Code: 530. DB::Exception: x");
        assert_eq!((other.code, other.status().as_u16()), (530, 500));
        assert_eq!(Exception::new(Exception::SYNTAX_ERROR, "x").status().as_u16(), 400);
        assert_eq!(Exception::new(Exception::AUTHENTICATION_FAILED, "x").status().as_u16(), 403);
    }

    #[test]
    fn text_without_a_code_is_still_an_exception() {
        let odd = Exception::from_engine("std::bad_alloc");
        assert_eq!(odd.text, "Code: 49. DB::Exception: std::bad_alloc. (LOGICAL_ERROR)\n");
    }
}
