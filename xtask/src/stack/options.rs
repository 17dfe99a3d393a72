//! What a stack consists of and how it behaves.

use super::launch::Lifetime;
use super::ports::Ports;
use super::protection::Protection;
use super::run_dir::RunDir;

/// The servers of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL with logical WAL.
    Postgres,
    /// One Kafka node, broker and controller.
    Kafka,
    /// Kafka Connect with Debezium; needs Kafka.
    Connect,
    /// ClickHouse: a named server, a `clickhouse` binary, or the embedded engine.
    ClickHouse,
}

/// How to start a stack. [`StackOptions::default`] is the whole stack on free ports, gone when dropped.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The servers wanted.
    pub servers: Vec<Server>,
    /// Free ports or fixed ones.
    pub ports: Ports,
    /// Leave the data and logs behind at the end.
    pub keep: bool,
    /// Whether the servers end with this program.
    pub lifetime: Lifetime,
    /// PostgreSQL's `fsync`. Off, a crash of the machine (not of a process) can damage its data.
    pub fsync: bool,
    /// Build the servers of our own for speed.
    pub release: bool,
    /// TLS and logins, beside the plain ways in.
    pub protection: Option<Protection>,
    /// Say on stderr what is being prepared and started.
    pub announce: bool,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self::only(&[Server::Postgres, Server::Kafka, Server::Connect, Server::ClickHouse])
    }
}

impl StackOptions {
    /// Only these servers.
    #[must_use]
    pub fn only(servers: &[Server]) -> Self {
        Self {
            servers: servers.to_vec(),
            ports: Ports::Free,
            keep: false,
            lifetime: Lifetime::WithOwner,
            fsync: false,
            release: false,
            protection: None,
            announce: false,
        }
    }

    /// Whether `server` is wanted; Connect brings Kafka.
    #[must_use]
    pub fn wants(&self, server: Server) -> bool {
        self.servers.contains(&server) || (server == Server::Kafka && self.servers.contains(&Server::Connect))
    }
}

/// What every server's `start` gets.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The stack's folder.
    pub run_dir: &'a RunDir,
    /// The stack's options.
    pub options: &'a StackOptions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_brings_kafka_and_nothing_else() {
        let options = StackOptions::only(&[Server::Connect]);
        assert!(options.wants(Server::Kafka) && options.wants(Server::Connect));
        assert!(!options.wants(Server::Postgres) && !options.wants(Server::ClickHouse));
    }
}
