//! A declared table: whole old rows, the declared columns, a key that is one, and readable for a snapshot.

use std::time::Duration;

use nova_streams::{Format, Stream};
use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use super::GROUP;
use crate::doctor::check::Check;
use crate::outbox::missing_days;

/// A scheduler that fails at a weekend is noticed in time.
const DAYS_AHEAD: Duration = Duration::from_secs(2 * 24 * 3600);

pub(super) async fn checks(
    connection: &mut PgConnection,
    stream: &Stream,
    replication_user: &str,
) -> Result<Vec<Check>, sqlx::Error> {
    let (schema, table) = stream.source.split_once('.').unwrap_or(("public", &stream.source));
    let oid: Option<Oid> = sqlx::query_scalar(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')",
    )
    .bind(schema)
    .bind(table)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(oid) = oid else {
        let cure = format!("Create it (schemas/postgres), or correct `source` of streams.{}.", stream.name);
        return Ok(vec![GROUP.fail(&stream.source, "no such table", cure)]);
    };
    // A table that is no partition tree has no rows in pg_partition_tree.
    let partial: Vec<String> = sqlx::query_scalar(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relreplident <> 'f' \
         AND (c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1))) ORDER BY 1",
    )
    .bind(oid)
    .fetch_all(&mut *connection)
    .await?;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped",
    )
    .bind(oid)
    .fetch_all(&mut *connection)
    .await?;
    // A role that is missing has its own check.
    let readable: Option<bool> = sqlx::query_scalar(
        "SELECT has_table_privilege(rolname, $1, 'SELECT') FROM pg_roles WHERE rolname = $2",
    )
    .bind(oid)
    .bind(replication_user)
    .fetch_optional(&mut *connection)
    .await?;
    let mut checks = vec![fields(stream, &columns), key_of(connection, stream, oid).await?];
    // Only the inserts of an outbox count, and those need no old row.
    if stream.format == Format::Debezium {
        checks.insert(0, identity(stream, &partial));
    }
    if stream.format == Format::Envelope {
        let missing = missing_days(connection, &stream.source, DAYS_AHEAD).await?;
        checks.push(days(stream, &missing));
    }
    if readable == Some(false) {
        let cure = format!("GRANT SELECT ON {} TO {replication_user}.", stream.source);
        checks.push(GROUP.fail(
            format!("{}: snapshot", stream.source),
            format!("{replication_user} may not read it"),
            cure,
        ));
    }
    Ok(checks)
}

async fn key_of(connection: &mut PgConnection, stream: &Stream, oid: Oid) -> Result<Check, sqlx::Error> {
    let unique: Vec<Vec<String>> = sqlx::query_scalar(
        "SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_index i JOIN pg_attribute a \
         ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) \
         WHERE i.indrelid = $1 AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL \
         GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC",
    )
    .bind(oid)
    .fetch_all(&mut *connection)
    .await?;
    let partitioned_by: Vec<String> = sqlx::query_scalar(
        "SELECT a.attname::text FROM pg_partitioned_table p JOIN pg_attribute a \
         ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs) WHERE p.partrelid = $1",
    )
    .bind(oid)
    .fetch_all(&mut *connection)
    .await?;
    Ok(key(stream, &unique, &partitioned_by))
}

fn identity(stream: &Stream, partial: &[String]) -> Check {
    let name = format!("{}: replica identity", stream.source);
    let Some(first) = partial.first() else { return GROUP.ok(name, "FULL") };
    let list: Vec<&str> = partial.iter().take(5).map(String::as_str).collect();
    let more = if partial.len() > list.len() {
        format!(" and {} more", partial.len() - list.len())
    } else {
        String::new()
    };
    GROUP.fail(
        name,
        format!("not FULL on {}{more}: deletes would lack their old row", list.join(", ")),
        format!("ALTER TABLE {first} REPLICA IDENTITY FULL; on each of them."),
    )
}

/// A day without a partition refuses every event.
fn days(stream: &Stream, missing: &[String]) -> Check {
    let name = format!("{}: coming days", stream.source);
    let cure = "Run `nova outbox maintain --execute`, daily.";
    match missing.first() {
        None => GROUP.ok(name, "made"),
        Some(first) => {
            GROUP.warn(name, format!("no partition from {first} on: events will be refused"), cure)
        }
    }
}

fn fields(stream: &Stream, columns: &[String]) -> Check {
    let name = format!("{}: columns", stream.source);
    let read = stream.source_columns();
    let missing: Vec<&str> =
        read.iter().copied().filter(|wanted| !columns.iter().any(|found| found == wanted)).collect();
    if missing.is_empty() {
        return GROUP.ok(name, format!("all {} that the stream reads", read.len()));
    }
    let cure = format!("Correct streams.{}, or add the column.", stream.name);
    GROUP.fail(name, format!("missing: {}", missing.join(", ")), cure)
}

/// A unique index over some of the key's columns makes the key unique too. An index of a partitioned table must name
/// the columns it is partitioned by: a key without them is as unique as PostgreSQL can make it there.
fn key(stream: &Stream, unique: &[Vec<String>], partitioned_by: &[String]) -> Check {
    let name = format!("{}: key", stream.source);
    let declared = stream.key.join(", ");
    if unique.iter().any(|index| index.iter().all(|column| stream.key.contains(column))) {
        return GROUP.ok(name, format!("({declared}) is unique"));
    }
    let declared_or_bound = |column: &String| stream.key.contains(column) || partitioned_by.contains(column);
    if unique.iter().any(|index| index.iter().all(declared_or_bound)) {
        return GROUP.ok(name, format!("({declared}) is unique for each {}", partitioned_by.join(", ")));
    }
    let Some(best) = unique.first() else {
        return GROUP.fail(name, "the table has no unique key", "Add a primary key.");
    };
    let finding = format!("nothing makes ({declared}) unique; the table's own key is ({})", best.join(", "));
    let quoted: Vec<String> = best.iter().map(|column| format!("\"{column}\"")).collect();
    let cure = format!("Declare key = [{}] in streams.{}.", quoted.join(", "), stream.name);
    GROUP.warn(name, finding, cure)
}

#[cfg(test)]
mod tests {
    use nova_streams::StreamSet;

    use super::*;
    use crate::doctor::check::Level;

    fn stream(key: &str) -> Stream {
        let text = format!(
            "[streams.posts]\nworker = \"cdc\"\ntopic = \"cdc.posts\"\nformat = \"debezium\"\nsource = \"public.posts\"\n\
             table = \"t\"\nkey = {key}\ntime = \"at\"\n[streams.posts.columns]\na = {{ field = \"body\" }}\n"
        );
        StreamSet::parse("streams.toml", &text).unwrap().get("posts").unwrap().clone()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_key_is_unique_when_an_index_covers_it_or_a_part_of_it() {
        let primary = [names(&["id", "at"])];
        assert_eq!(key(&stream(r#"["at", "id"]"#), &primary, &[]).level, Level::Ok);
        assert_eq!(key(&stream(r#"["id", "at"]"#), &[names(&["id"])], &[]).level, Level::Ok);
        let bound = key(&stream(r#"["id"]"#), &primary, &names(&["at"]));
        assert_eq!((bound.level, bound.finding.as_str()), (Level::Ok, "(id) is unique for each at"));
        let partial = key(&stream(r#"["id"]"#), &primary, &[]);
        assert!(
            partial.level == Level::Warn && partial.cure.contains(r#"key = ["id", "at"]"#),
            "{partial:?}"
        );
        assert_eq!(key(&stream(r#"["id"]"#), &[], &[]).level, Level::Fail);
    }

    #[test]
    fn missing_columns_and_partitions_without_old_rows_are_named() {
        let stream = stream(r#"["id"]"#);
        let columns = fields(&stream, &names(&["id", "at"]));
        assert_eq!((columns.level, columns.finding.as_str()), (Level::Fail, "missing: body"));
        assert_eq!(fields(&stream, &names(&["id", "at", "body", "more"])).level, Level::Ok);
        let partition = identity(&stream, &names(&["posts_2031_01"]));
        assert!(partition.level == Level::Fail && partition.cure.contains("ALTER TABLE posts_2031_01"));
        assert_eq!(identity(&stream, &[]).level, Level::Ok);
        let day = days(&stream, &names(&["2031-01-02", "2031-01-03"]));
        assert!(day.level == Level::Warn && day.finding.contains("2031-01-02"), "{day:?}");
        assert_eq!(days(&stream, &[]).level, Level::Ok);
    }
}
