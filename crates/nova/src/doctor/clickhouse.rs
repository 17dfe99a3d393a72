//! ClickHouse: migrated, tables as the streams want them, repeats recognised, and the user may do its work.

use nova_clickhouse::{Client, MIGRATIONS, Migrator, ReplayHorizon, TableInfo, check_grant};
use nova_pipeline::ErrorKind;
use nova_streams::{Mapping, Stream, StreamSet};
use serde::Deserialize;

use super::check::{Check, Group};
use crate::config::Config;
use crate::migrate::template_values;
use crate::run::{clickhouse_client, replay_horizon};

const GROUP: Group = Group("ClickHouse");
/// Where commands put on record what they did.
const RECORDS: [&str; 3] = ["dead_letter_actions", "reconcile_runs", "repairs"];

/// All checks of ClickHouse.
pub(super) async fn checks(config: &Config, streams: &StreamSet) -> Vec<Check> {
    let settings = &config.clickhouse;
    let name = format!("{} at {}", settings.user, settings.url);
    let skip = || {
        ["migrations", "tables", "grants", "dictionaries"]
            .map(|name| GROUP.skipped(name, "needs the answer above"))
    };
    let client = match clickhouse_client(settings) {
        Ok(client) => client,
        Err(error) => {
            let check = GROUP.fail(name, error.message, "Correct [clickhouse].");
            return std::iter::once(check).chain(skip()).collect();
        }
    };
    if let Some(check) = login(&client, &name).await {
        return std::iter::once(check).chain(skip()).collect();
    }
    let mut checks = vec![GROUP.ok(name, "logged in"), migrations(&client, config).await];
    let mut tables: Vec<&str> = Vec::new();
    for stream in streams.iter() {
        let horizon = replay_horizon(config, streams, &stream.table);
        checks.extend(table(&client, stream, &horizon).await);
        if !tables.contains(&stream.table.as_str()) {
            tables.push(&stream.table);
        }
    }
    for name in tables.into_iter().chain(RECORDS) {
        checks.push(grants(&client, name).await);
    }
    checks.extend(dictionaries(&client).await);
    checks
}

/// What keeps the user from asking anything; the database need not exist for the question.
async fn login(client: &Client, name: &str) -> Option<Check> {
    if let Err(error) = client.ping().await {
        let cure = match error.kind() {
            ErrorKind::Untrusted => ErrorKind::Untrusted.advice(),
            _ => "Start ClickHouse, or correct clickhouse.url.",
        };
        return Some(GROUP.unreachable(name, error.to_string(), cure));
    }
    match client.query_text("SELECT version()", &[]).await {
        Err(error) if error.kind() == ErrorKind::AccessDenied => {
            Some(GROUP.fail(name, error.to_string(), "Correct clickhouse.user and clickhouse.password."))
        }
        _ => None,
    }
}

async fn migrations(client: &Client, config: &Config) -> Check {
    let values = template_values(config);
    match Migrator::new(client, &values, MIGRATIONS).on_cluster(&config.clickhouse.cluster).plan().await {
        Ok(pending) if pending.is_empty() => {
            GROUP.ok("migrations", format!("all {} applied", MIGRATIONS.len()))
        }
        Ok(pending) => {
            let names: Vec<&str> = pending.iter().map(|migration| migration.name).collect();
            GROUP.fail("migrations", format!("pending: {}", names.join(", ")), "Run `nova migrate`.")
        }
        Err(error) => GROUP.fail("migrations", error.to_string(), error.kind().advice()),
    }
}

async fn table(client: &Client, stream: &Stream, horizon: &ReplayHorizon) -> Vec<Check> {
    let name = format!("stream {} into {}", stream.name, stream.table);
    let info = match TableInfo::read(client, &stream.table).await {
        Ok(info) => info,
        Err(error) => return vec![GROUP.fail(name, error.to_string(), error.kind().advice())],
    };
    let mapping = match Mapping::compile(stream, &info.schema) {
        Ok(mapping) => GROUP.ok(&name, format!("{} columns fit", mapping.columns().len())),
        Err(error) => GROUP.fail(&name, error.to_string(), "Make table and stream agree."),
    };
    vec![mapping, window(client, &name, &info, horizon)]
}

fn window(client: &Client, name: &str, info: &TableInfo, horizon: &ReplayHorizon) -> Check {
    let name = format!("{name}: de-duplication");
    match horizon.check(client.database(), info) {
        Ok(()) => GROUP.ok(
            name,
            format!("among the last {} parts, {} needed", info.deduplication_window, horizon.needed()),
        ),
        Err(short) => {
            let finding = format!("among the last {} parts, {} needed", short.found, short.needed);
            GROUP.fail(name, finding, format!("{}.", short.cure))
        }
    }
}

async fn grants(client: &Client, table: &str) -> Check {
    let name = format!("grants on {table}");
    let mut missing = Vec::new();
    for privilege in ["SELECT", "INSERT"] {
        match check_grant(client, privilege, table).await {
            Ok(true) => {}
            Ok(false) => missing.push(privilege),
            Err(error) => return GROUP.skipped(name, error.to_string()),
        }
    }
    if missing.is_empty() {
        return GROUP.ok(name, "SELECT, INSERT");
    }
    let list = missing.join(", ");
    GROUP.fail(
        name,
        format!("lacks {list}"),
        format!("GRANT {list} ON {}.{table} TO the user.", client.database()),
    )
}

#[derive(Deserialize)]
struct Dictionary {
    name: String,
    key_types: Vec<String>,
}

/// Dictionaries are for readers; Nova's own work does not need them.
async fn dictionaries(client: &Client) -> Vec<Check> {
    let sql = "SELECT name, `key.types` AS key_types FROM system.dictionaries \
               WHERE database = currentDatabase() ORDER BY name";
    let found: Vec<Dictionary> = match client.query_rows(sql, &[]).await {
        Ok(found) => found,
        Err(error) => return vec![GROUP.skipped("dictionaries", error.to_string())],
    };
    let mut checks = Vec::new();
    for dictionary in found {
        let name = format!("dictionary {}", dictionary.name);
        if dictionary.key_types != ["UUID"] {
            checks.push(GROUP.skipped(name, "its key is no single UUID"));
            continue;
        }
        // A cached dictionary connects only when it is asked for a key that it does not hold.
        let qualified = format!("{}.{}", client.database(), dictionary.name);
        let sql = "SELECT dictHas({dictionary:String}, tuple(generateUUIDv4()))";
        checks.push(match client.query_text(sql, &[("dictionary", &qualified)]).await {
            Ok(_) => GROUP.ok(name, "answers"),
            Err(error) => {
                let cure = "If PostgreSQL is up: correct [postgres] as ClickHouse reaches it and run `nova migrate`; README.md of clickhouse/ says how.";
                // ClickHouse repeats the cause with a stack trace of its own.
                let error = error.to_string();
                let said = error.split_once(", Stack trace").map_or(error.as_str(), |(said, _)| said);
                GROUP.warn(name, said, cure)
            }
        });
    }
    checks
}
