//! The pinned versions of everything that is downloaded.
//!
//! Invariant: a change here changes the folder names in the cache, so an old download is never taken for a new one.

use super::GoTool;

/// Kafka broker, Connect and tools (`org.apache.kafka`, for Scala 2.13).
pub const KAFKA: &str = "4.3.1";
/// The slf4j binding that makes Kafka's logs appear; the line of the slf4j API that Kafka 4.3 uses.
pub const SLF4J: &str = "1.7.36";
/// Debezium's PostgreSQL connector (`io.debezium`).
pub const DEBEZIUM: &str = "3.7.0.Final";
/// The npm package that carries the ClickHouse engine, for x86-64 Linux with glibc.
pub const ENGINE_PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
/// Its version (ClickHouse 26.5).
pub const ENGINE: &str = "26.7.3-stable.1";
/// Its hash, which npm checks against the download.
pub const ENGINE_INTEGRITY: &str =
    "sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==";
/// Checks and tests Prometheus' rules (Prometheus 3.14). Without the service discoveries it builds in a third of the time.
pub const PROMTOOL: GoTool = GoTool {
    name: "promtool",
    what: "promtool (built from its source, 2 minutes on two cores)",
    module: "github.com/prometheus/prometheus",
    version: "v0.314.0",
    sum: "h1:YjsimqsIi6/mOtzZcrPEYUALO6zpfaht9O5sXqDz2vg=",
    package: "cmd/promtool",
    tags: "remove_all_sd",
};
