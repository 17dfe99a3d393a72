//! One table: ClickHouse's exception code → its name → the kind that decides what the pipeline does.
//!
//! Source: `src/Common/ErrorCodes.cpp` of ClickHouse (numbers are never given a second meaning); an integration test
//! compares the names with the engine's `errorCodeToName`.
//!
//! Invariant: a code that is not listed is [`ErrorKind::Unknown`], and that halts. Codes are listed only where the
//! right reaction has been thought about. Two choices that a reader may wonder about:
//! - An insert that ends in a cancelled or aborted query may have left parts behind: `LostReply`, so that whoever
//!   retries also asks what has arrived. A time limit or memory limit does the same under a living server, where
//!   the token settles it: `Overloaded`.
//! - `CANNOT_WRITE_TO_FILE_DESCRIPTOR` is how a full disk shows when space ran out after the reservation.

use nova_pipeline::ErrorKind;

/// Exception code, name, kind; ascending by code.
const TABLE: &[(i32, &str, ErrorKind)] = &[
    (6, "CANNOT_PARSE_TEXT", ErrorKind::Rejected),
    (7, "INCORRECT_NUMBER_OF_COLUMNS", ErrorKind::SchemaMismatch),
    (8, "THERE_IS_NO_COLUMN", ErrorKind::SchemaMismatch),
    (9, "SIZES_OF_COLUMNS_DOESNT_MATCH", ErrorKind::SchemaMismatch),
    (10, "NOT_FOUND_COLUMN_IN_BLOCK", ErrorKind::SchemaMismatch),
    (15, "DUPLICATE_COLUMN", ErrorKind::SchemaMismatch),
    (16, "NO_SUCH_COLUMN_IN_TABLE", ErrorKind::SchemaMismatch),
    (20, "NUMBER_OF_COLUMNS_DOESNT_MATCH", ErrorKind::SchemaMismatch),
    (25, "CANNOT_PARSE_ESCAPE_SEQUENCE", ErrorKind::Rejected),
    (26, "CANNOT_PARSE_QUOTED_STRING", ErrorKind::Rejected),
    (27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", ErrorKind::Rejected),
    (32, "ATTEMPT_TO_READ_AFTER_EOF", ErrorKind::Rejected),
    (33, "CANNOT_READ_ALL_DATA", ErrorKind::Rejected),
    (36, "BAD_ARGUMENTS", ErrorKind::Rejected),
    (38, "CANNOT_PARSE_DATE", ErrorKind::Rejected),
    (41, "CANNOT_PARSE_DATETIME", ErrorKind::Rejected),
    (43, "ILLEGAL_TYPE_OF_ARGUMENT", ErrorKind::Rejected),
    (44, "ILLEGAL_COLUMN", ErrorKind::SchemaMismatch),
    (46, "UNKNOWN_FUNCTION", ErrorKind::Misconfigured),
    (47, "UNKNOWN_IDENTIFIER", ErrorKind::SchemaMismatch),
    (48, "NOT_IMPLEMENTED", ErrorKind::Misconfigured),
    (50, "UNKNOWN_TYPE", ErrorKind::SchemaMismatch),
    (53, "TYPE_MISMATCH", ErrorKind::Rejected),
    (60, "UNKNOWN_TABLE", ErrorKind::SchemaMismatch),
    (62, "SYNTAX_ERROR", ErrorKind::Rejected),
    (69, "ARGUMENT_OUT_OF_BOUND", ErrorKind::Rejected),
    (70, "CANNOT_CONVERT_TYPE", ErrorKind::Rejected),
    (72, "CANNOT_PARSE_NUMBER", ErrorKind::Rejected),
    (73, "UNKNOWN_FORMAT", ErrorKind::Misconfigured),
    (75, "CANNOT_WRITE_TO_FILE_DESCRIPTOR", ErrorKind::DiskFull),
    (81, "UNKNOWN_DATABASE", ErrorKind::SchemaMismatch),
    (108, "NO_DATA_TO_INSERT", ErrorKind::Rejected),
    (115, "UNKNOWN_SETTING", ErrorKind::Misconfigured),
    (117, "INCORRECT_DATA", ErrorKind::Rejected),
    (122, "INCOMPATIBLE_COLUMNS", ErrorKind::SchemaMismatch),
    (128, "TOO_LARGE_ARRAY_SIZE", ErrorKind::Rejected),
    (131, "TOO_LARGE_STRING_SIZE", ErrorKind::Rejected),
    (159, "TIMEOUT_EXCEEDED", ErrorKind::Overloaded),
    (160, "TOO_SLOW", ErrorKind::Overloaded),
    // A user or profile with `readonly = 1`, not a read-only table.
    (164, "READONLY", ErrorKind::AccessDenied),
    (173, "CANNOT_ALLOCATE_MEMORY", ErrorKind::Overloaded),
    (192, "UNKNOWN_USER", ErrorKind::AccessDenied),
    (193, "WRONG_PASSWORD", ErrorKind::AccessDenied),
    (194, "REQUIRED_PASSWORD", ErrorKind::AccessDenied),
    (195, "IP_ADDRESS_NOT_ALLOWED", ErrorKind::AccessDenied),
    (198, "DNS_ERROR", ErrorKind::Unavailable),
    (201, "QUOTA_EXCEEDED", ErrorKind::Overloaded),
    (202, "TOO_MANY_SIMULTANEOUS_QUERIES", ErrorKind::Overloaded),
    (203, "NO_FREE_CONNECTION", ErrorKind::Unavailable),
    (209, "SOCKET_TIMEOUT", ErrorKind::Unavailable),
    (210, "NETWORK_ERROR", ErrorKind::Unavailable),
    (218, "TABLE_IS_DROPPED", ErrorKind::SchemaMismatch),
    (225, "NO_ZOOKEEPER", ErrorKind::Unavailable),
    (236, "ABORTED", ErrorKind::LostReply),
    (241, "MEMORY_LIMIT_EXCEEDED", ErrorKind::Overloaded),
    (242, "TABLE_IS_READ_ONLY", ErrorKind::ReadOnly),
    (243, "NOT_ENOUGH_SPACE", ErrorKind::DiskFull),
    (244, "UNEXPECTED_ZOOKEEPER_ERROR", ErrorKind::Unavailable),
    (248, "INVALID_PARTITION_VALUE", ErrorKind::Rejected),
    (252, "TOO_MANY_PARTS", ErrorKind::Overloaded),
    (254, "NO_ACTIVE_REPLICAS", ErrorKind::Unavailable),
    (265, "NO_AVAILABLE_REPLICA", ErrorKind::Unavailable),
    (279, "ALL_CONNECTION_TRIES_FAILED", ErrorKind::Unavailable),
    (285, "TOO_FEW_LIVE_REPLICAS", ErrorKind::Unavailable),
    (286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", ErrorKind::Unavailable),
    (291, "DATABASE_ACCESS_DENIED", ErrorKind::AccessDenied),
    (294, "CANNOT_WRITE_TO_FILE", ErrorKind::DiskFull),
    (297, "SHARD_HAS_NO_CONNECTIONS", ErrorKind::Unavailable),
    (319, "UNKNOWN_STATUS_OF_INSERT", ErrorKind::LostReply),
    (321, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE", ErrorKind::Rejected),
    (349, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN", ErrorKind::Rejected),
    (364, "RECEIVED_ERROR_TOO_MANY_REQUESTS", ErrorKind::Overloaded),
    (369, "ALL_REPLICAS_ARE_STALE", ErrorKind::Unavailable),
    (376, "CANNOT_PARSE_UUID", ErrorKind::Rejected),
    (394, "QUERY_WAS_CANCELLED", ErrorKind::LostReply),
    (407, "DECIMAL_OVERFLOW", ErrorKind::Rejected),
    (425, "SYSTEM_ERROR", ErrorKind::Unavailable),
    (439, "CANNOT_SCHEDULE_TASK", ErrorKind::Overloaded),
    (452, "SETTING_CONSTRAINT_VIOLATION", ErrorKind::Misconfigured),
    (467, "CANNOT_PARSE_BOOL", ErrorKind::Rejected),
    (469, "VIOLATED_CONSTRAINT", ErrorKind::Rejected),
    (497, "ACCESS_DENIED", ErrorKind::AccessDenied),
    (512, "SET_NON_GRANTED_ROLE", ErrorKind::AccessDenied),
    (516, "AUTHENTICATION_FAILED", ErrorKind::AccessDenied),
    (519, "NO_REMOTE_SHARD_AVAILABLE", ErrorKind::Unavailable),
    (529, "NOT_A_LEADER", ErrorKind::Unavailable),
    (565, "TOO_MANY_PARTITIONS", ErrorKind::Rejected),
    (574, "DISTRIBUTED_TOO_MANY_PENDING_BYTES", ErrorKind::Overloaded),
    (677, "THREAD_WAS_CANCELED", ErrorKind::LostReply),
    (691, "UNKNOWN_ELEMENT_OF_ENUM", ErrorKind::Rejected),
    (692, "TOO_MANY_MUTATIONS", ErrorKind::Overloaded),
    (696, "ASYNC_LOAD_CANCELED", ErrorKind::Unavailable),
    (700, "USER_SESSION_LIMIT_EXCEEDED", ErrorKind::Overloaded),
    (720, "USER_EXPIRED", ErrorKind::AccessDenied),
    (733, "TABLE_IS_BEING_RESTARTED", ErrorKind::Unavailable),
    (735, "QUERY_WAS_CANCELLED_BY_CLIENT", ErrorKind::LostReply),
    (745, "SERVER_OVERLOADED", ErrorKind::Overloaded),
    (749, "TCP_CONNECTION_LIMIT_REACHED", ErrorKind::Overloaded),
    (762, "HTTP_CONNECTION_LIMIT_REACHED", ErrorKind::Overloaded),
    // `table_readonly = 1` or a read-only disk: as permanent as the operator wants it; waiting loses nothing.
    (774, "TABLE_IS_PERMANENTLY_READ_ONLY", ErrorKind::ReadOnly),
    (776, "RESOURCE_LIMIT_EXCEEDED", ErrorKind::Overloaded),
    (777, "MEMORY_RESERVATION_KILLED", ErrorKind::Overloaded),
    (778, "MEMORY_RESERVATION_FAILED", ErrorKind::Overloaded),
    (904, "TOO_MANY_UNAVAILABLE_SHARDS", ErrorKind::Unavailable),
    (999, "KEEPER_EXCEPTION", ErrorKind::Unavailable),
];

/// `UNKNOWN_TABLE`.
pub const UNKNOWN_TABLE: i32 = 60;
/// `UNKNOWN_DATABASE`.
pub const UNKNOWN_DATABASE: i32 = 81;

fn entry(code: i32) -> Option<&'static (i32, &'static str, ErrorKind)> {
    TABLE.binary_search_by_key(&code, |(code, _, _)| *code).ok().and_then(|at| TABLE.get(at))
}

/// The kind of an exception code.
#[must_use]
pub fn kind(code: i32) -> ErrorKind {
    entry(code).map_or(ErrorKind::Unknown, |(_, _, kind)| *kind)
}

/// The name of an exception code; `unlisted` for those that this table does not know.
#[must_use]
pub fn name(code: i32) -> &'static str {
    entry(code).map_or("unlisted", |(_, name, _)| *name)
}

/// All listed codes, ascending.
pub fn all() -> impl Iterator<Item = (i32, &'static str, ErrorKind)> {
    TABLE.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_so_that_the_search_finds_each_of_them() {
        assert!(TABLE.is_sorted_by(|(before, _, _), (after, _, _)| before < after));
        for (code, name, kind) in all() {
            assert_eq!((super::name(code), super::kind(code)), (name, kind));
        }
    }

    #[test]
    fn neighbours_of_a_listed_code_are_not_taken_for_it() {
        assert_eq!(kind(53), ErrorKind::Rejected);
        assert_eq!(kind(530), ErrorKind::Unknown);
        assert_eq!(kind(0), ErrorKind::Unknown);
        assert_eq!(name(531), "unlisted");
    }
}
