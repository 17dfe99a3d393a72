//! PostgreSQL with a replication slot, and ClickHouse, for one test.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use nova_clickhouse::{Client, ClientOptions};
use nova_reconcile::{PostgresAccess, Snapshot};
use sqlx::{AssertSqlSafe, PgPool};
use xtask::stack::{Server, Stack, StackOptions};

pub(crate) const SLOT: &str = "nova_cdc";

pub(crate) struct Servers {
    pub(crate) postgres: PgPool,
    pub(crate) clickhouse: Client,
    pub(crate) access: PostgresAccess,
    pub(crate) stack: Stack,
}

impl Servers {
    pub(crate) async fn start() -> Self {
        let stack = Stack::start(StackOptions::only(&[Server::Postgres, Server::ClickHouse])).await.unwrap();
        let url = stack.postgres().unwrap().admin_url();
        let postgres = PgPool::connect(&url).await.unwrap();
        sqlx::query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')")
            .bind(SLOT)
            .execute(&postgres)
            .await
            .unwrap();
        let server = stack.clickhouse().unwrap();
        let client = |database: &str| {
            Client::new(ClientOptions {
                url: server.url().to_owned(),
                ca_file: None,
                database: database.to_owned(),
                user: server.user().to_owned(),
                password: server.password().to_owned().into(),
                connect_timeout: Duration::from_secs(5),
                request_timeout: Duration::from_secs(600),
            })
            .unwrap()
        };
        client("default").execute("CREATE DATABASE it ENGINE = Atomic").await.unwrap();
        let access = PostgresAccess {
            options: url.parse().unwrap(),
            replica: None,
            parallel: 2,
            statement_timeout: Duration::from_secs(120),
            slot: SLOT.to_owned(),
            replication_user: "nova_replication".to_owned(),
        };
        Self { postgres, clickhouse: client("it"), access, stack }
    }

    pub(crate) async fn sql(&self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&self.postgres).await.unwrap();
    }

    pub(crate) async fn snapshot(&self) -> Snapshot {
        Snapshot::open(&self.access).await.unwrap()
    }

    /// The processes of PostgreSQL (the postmaster) and ClickHouse.
    pub(crate) fn pids(&self) -> (i32, i32) {
        let postgres = self.stack.postgres().unwrap().process.pid();
        (postgres, self.stack.clickhouse().unwrap().process().unwrap().pid())
    }
}
