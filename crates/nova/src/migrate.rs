//! `nova migrate`: brings ClickHouse to the tables, views and dictionaries of this version.

use nova_clickhouse::{Ddl, MIGRATIONS, MigrateError, Migrator, TemplateValues};
use nova_pipeline::{ErrorKind, PipelineError};

use crate::cli::MigrateArgs;
use crate::config::{Config, HIDDEN};
use crate::exit::{Failure, Outcome};
use crate::run::clickhouse_client;

/// Applies what is pending, or shows it.
pub async fn run(args: &MigrateArgs, config: &Config) -> Outcome {
    let values = template_values(config);
    let cluster = config.clickhouse.cluster.as_str();
    if args.render {
        let values = TemplateValues { postgres_password: HIDDEN.into(), ..values };
        let database = config.clickhouse.database.as_str();
        print!("{}", Ddl { database, cluster, values: &values, migrations: MIGRATIONS }.render()?);
        return Ok(());
    }
    let client = clickhouse_client(&config.clickhouse)?;
    let migrator = Migrator::new(&client, &values, MIGRATIONS).on_cluster(cluster);
    let (migrations, did) = if args.dry_run {
        (migrator.plan().await?, "would apply")
    } else {
        (migrator.apply().await?, "applied")
    };
    let place = if cluster.is_empty() { String::new() } else { format!(" on cluster `{cluster}`") };
    for migration in &migrations {
        println!("{did} {}{place}", migration.name);
    }
    if migrations.is_empty() {
        println!("database `{}` is up to date", client.database());
    }
    Ok(())
}

/// What the dictionaries need to reach PostgreSQL.
pub fn template_values(config: &Config) -> TemplateValues {
    let postgres = &config.postgres;
    TemplateValues {
        postgres_host: postgres.host.clone(),
        postgres_port: postgres.port,
        postgres_database: postgres.database.clone(),
        postgres_user: postgres.user.clone(),
        postgres_password: postgres.password.to_secret_string(),
    }
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        let kind = error.kind();
        let failure = Self::from(PipelineError::new(kind, error.to_string()));
        // The other kinds' messages name their cure themselves; the general advice would point back to this command.
        match kind {
            ErrorKind::Unavailable | ErrorKind::Untrusted | ErrorKind::AccessDenied => failure,
            _ => Self { cure: String::new(), ..failure },
        }
    }
}
