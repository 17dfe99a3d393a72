//! The outbox's partitions, as PostgreSQL's catalog has them.
//!
//! Invariant: days are told by their bounds and by PostgreSQL's clock, never by their names or by this machine's.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

/// The mark of a day that takes no more rows: a constraint on it, and a comment that outlives its detachment.
const CLOSED: &str = "nova_outbox_closed";

/// What a day is to the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A partition.
    Attached,
    /// A partition that a run, cut off, has half detached.
    HalfDetached,
    /// A table of its own, which a run that was cut off has not dropped. It was read before it was detached.
    Detached,
}

/// One day.
#[derive(Debug, Clone)]
pub(super) struct Day {
    /// Its table, quoted as SQL wants it.
    pub(super) name: String,
    /// Where it stands.
    pub(super) place: Place,
    /// Whether it may be dropped as far as its age goes.
    pub(super) is_old: bool,
    /// Whether it takes no more rows.
    pub(super) is_closed: bool,
    /// With indexes.
    pub(super) bytes: i64,
}

/// All days, the oldest first.
#[derive(Debug, Clone)]
pub(super) struct Days {
    /// The outbox.
    pub(super) table: String,
    /// Its days.
    pub(super) days: Vec<Day>,
}

#[derive(sqlx::FromRow)]
struct Found {
    name: String,
    is_partition: bool,
    half_detached: bool,
    is_old: bool,
    is_closed: bool,
    bytes: i64,
}

impl Days {
    /// Reads the catalog. A day is old when `keep` has passed since its end.
    pub(super) async fn of(
        connection: &mut PgConnection,
        table: &str,
        keep: Duration,
    ) -> Result<Self, sqlx::Error> {
        let sql = "SELECT c.oid::regclass::text AS name, c.relispartition AS is_partition, \
                   coalesce(i.inhdetachpending, false) AS half_detached, \
                   coalesce(b.ends <= now() - make_interval(secs => $2), NOT c.relispartition) AS is_old, \
                   EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND conname = $3) AS is_closed, \
                   pg_total_relation_size(c.oid)::int8 AS bytes \
            FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid \
            CROSS JOIN LATERAL (SELECT substring(pg_get_expr(c.relpartbound, c.oid) \
                FROM 'TO \\(''([^'']+)''\\)')::timestamptz AS ends) b \
            WHERE i.inhparent = $1::regclass \
               OR c.relkind = 'r' AND NOT c.relispartition AND obj_description(c.oid, 'pg_class') = $4 \
            ORDER BY b.ends NULLS FIRST, name";
        let found: Vec<Found> = sqlx::query_as(sql)
            .bind(table)
            .bind(keep.as_secs_f64())
            .bind(CLOSED)
            .bind(comment(table))
            .fetch_all(connection)
            .await?;
        Ok(Self { table: table.to_owned(), days: found.into_iter().map(Day::from).collect() })
    }
}

impl From<Found> for Day {
    fn from(found: Found) -> Self {
        let Found { name, is_partition, half_detached, is_old, is_closed, bytes } = found;
        let place = match (is_partition, half_detached) {
            (true, false) => Place::Attached,
            (true, true) => Place::HalfDetached,
            (false, _) => Place::Detached,
        };
        Self { name, place, is_old, is_closed, bytes }
    }
}

fn comment(table: &str) -> String {
    format!("A closed day of {table}; `nova outbox maintain` drops it.")
}

/// The coming days that have no partition, today included.
pub async fn missing(
    connection: &mut PgConnection,
    table: &str,
    ahead: Duration,
) -> Result<Vec<String>, sqlx::Error> {
    let sql = "SELECT day::date::text FROM generate_series(now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC' \
               + make_interval(secs => $2), interval '1 day') AS day \
               WHERE to_regclass($1 || to_char(day, '_YYYY_MM_DD')) IS NULL ORDER BY 1";
    sqlx::query_scalar(sql).bind(table).bind(ahead.as_secs_f64()).fetch_all(connection).await
}

/// Makes the days from today on, and the months of posts that they touch.
pub(super) async fn make(connection: &mut PgConnection, ahead: Duration) -> Result<(), sqlx::Error> {
    let sql = "SELECT nova_ensure_partitions((now() AT TIME ZONE 'UTC')::date, \
               (now() AT TIME ZONE 'UTC' + make_interval(secs => $1))::date)";
    sqlx::query(sql).bind(ahead.as_secs_f64()).execute(connection).await.map(drop)
}

/// Lets the day take no more rows, after all transactions that have written into it have ended.
///
/// ALTER TABLE waits for every lock of a writer; none comes after it, since no row satisfies the constraint. NOT VALID
/// leaves the rows that are there alone and reads none of them.
pub(super) async fn close(connection: &mut PgConnection, table: &str, day: &Day) -> Result<(), sqlx::Error> {
    let (name, comment) = (&day.name, comment(table).replace('\'', "''"));
    let sql = format!(
        "BEGIN; ALTER TABLE {name} ADD CONSTRAINT {CLOSED} CHECK (false) NOT VALID; \
         COMMENT ON TABLE {name} IS '{comment}'; COMMIT"
    );
    let closed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await;
    if closed.is_err() {
        sqlx::raw_sql("ROLLBACK").execute(connection).await?;
    }
    closed.map(drop)
}

/// Detaches the day and drops it. CONCURRENTLY does not hold up writers of other days.
pub(super) async fn drop_day(
    connection: &mut PgConnection,
    table: &str,
    day: &Day,
) -> Result<(), sqlx::Error> {
    let name = &day.name;
    let way = match day.place {
        Place::Attached => Some("CONCURRENTLY"),
        Place::HalfDetached => Some("FINALIZE"),
        Place::Detached => None,
    };
    if let Some(way) = way {
        let sql = format!("ALTER TABLE {table} DETACH PARTITION {name} {way}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    let sql = format!("DROP TABLE {name}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}
