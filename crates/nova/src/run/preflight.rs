//! Before the first worker: will the servers have us, and we them?
//!
//! Invariant: a server that is away is no reason to end, its worker waits for it. One that answers, and whose
//! certificate or login is wrong, ends the command here, with the setting to correct.

use std::time::Duration;

use nova_clickhouse::Client;
use nova_pipeline::{ErrorKind, PipelineError};

use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::login::{LoginFailureKind, log_in};

/// For a broker to answer. Whoever takes longer is left to the workers.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Looks at ClickHouse and Kafka, and at PostgreSQL when it is read.
pub(super) async fn look(config: &Config, client: &Client, reads_postgres: bool) -> Outcome {
    let connection = config.kafka.connection();
    let (clickhouse, kafka, postgres) = tokio::join!(
        client.query_text("SELECT 1", &[]),
        nova_kafka::reach(&connection, ANSWER_WITHIN),
        async { if reads_postgres { source(config).await } else { Ok(()) } }
    );
    clickhouse.map(drop).map_err(PipelineError::from).or_else(verdict)?;
    kafka.or_else(verdict)?;
    postgres
}

fn verdict(error: PipelineError) -> Outcome {
    match error.kind {
        ErrorKind::Untrusted => Err(error.into()),
        // Nothing was done yet.
        ErrorKind::AccessDenied | ErrorKind::Misconfigured => {
            Err(Failure { exit: Exit::Usage, ..error.into() })
        }
        _ => Ok(()),
    }
}

async fn source(config: &Config) -> Outcome {
    let postgres = &config.postgres;
    match log_in(postgres, &postgres.user, &postgres.password, "postgres").await {
        Err(failure) if failure.kind != LoginFailureKind::Away => Err(failure.ends(postgres, &postgres.user)),
        _ => Ok(()),
    }
}
