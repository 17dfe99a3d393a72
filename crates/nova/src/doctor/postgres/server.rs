//! The server's version and settings.

use sqlx::PgConnection;

use super::GROUP;
use crate::doctor::check::Check;

#[derive(sqlx::FromRow)]
struct Server {
    version_number: i32,
    version: String,
    wal_level: String,
    max_wal_senders: i64,
    wal_senders: i64,
    max_replication_slots: i64,
    replication_slots: i64,
    max_slot_wal_keep_size: String,
    own_slot: bool,
}

pub(super) async fn checks(connection: &mut PgConnection, slot: &str) -> Result<Vec<Check>, sqlx::Error> {
    let server: Server = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int4 AS version_number, \
                current_setting('server_version') AS version, current_setting('wal_level') AS wal_level, \
                current_setting('max_wal_senders')::int8 AS max_wal_senders, \
                (SELECT count(*) FROM pg_stat_replication) AS wal_senders, \
                current_setting('max_replication_slots')::int8 AS max_replication_slots, \
                (SELECT count(*) FROM pg_replication_slots) AS replication_slots, \
                current_setting('max_slot_wal_keep_size') AS max_slot_wal_keep_size, \
                EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1) AS own_slot",
    )
    .bind(slot)
    .fetch_one(connection)
    .await?;
    Ok(vec![version(&server), wal_level(&server), senders(&server), slots(&server), keep_size(&server)])
}

fn version(server: &Server) -> Check {
    if server.version_number >= 140_000 {
        GROUP.ok("version", &server.version)
    } else {
        GROUP.fail("version", &server.version, "Upgrade PostgreSQL to 14 or newer.")
    }
}

fn wal_level(server: &Server) -> Check {
    match server.wal_level.as_str() {
        "logical" => GROUP.ok("wal_level", "logical"),
        other => {
            GROUP.fail("wal_level", other, "ALTER SYSTEM SET wal_level = 'logical', then restart PostgreSQL.")
        }
    }
}

fn senders(server: &Server) -> Check {
    let finding = format!("{} of {} in use", server.wal_senders, server.max_wal_senders);
    if server.wal_senders < server.max_wal_senders || server.own_slot {
        GROUP.ok("max_wal_senders", finding)
    } else {
        GROUP.fail("max_wal_senders", finding, "Raise max_wal_senders, then restart PostgreSQL.")
    }
}

fn slots(server: &Server) -> Check {
    let finding = format!("{} of {} in use", server.replication_slots, server.max_replication_slots);
    if server.replication_slots < server.max_replication_slots || server.own_slot {
        GROUP.ok("max_replication_slots", finding)
    } else {
        let cure = "Drop a slot that nobody uses, or raise max_replication_slots and restart PostgreSQL.";
        GROUP.fail("max_replication_slots", finding, cure)
    }
}

fn keep_size(server: &Server) -> Check {
    match server.max_slot_wal_keep_size.as_str() {
        "-1" => GROUP.warn(
            "max_slot_wal_keep_size",
            "no limit: a connector that stands still fills the disk",
            "Set it below the free disk space, and above the WAL of the longest outage you plan for.",
        ),
        limit => GROUP.ok("max_slot_wal_keep_size", limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Level;

    #[test]
    fn a_full_server_is_fine_when_the_slot_is_ours() {
        let mut server = Server {
            version_number: 130_012,
            version: "13.12".into(),
            wal_level: "replica".into(),
            max_wal_senders: 1,
            wal_senders: 1,
            max_replication_slots: 1,
            replication_slots: 1,
            max_slot_wal_keep_size: "-1".into(),
            own_slot: false,
        };
        let levels = |server: &Server| {
            [version(server), wal_level(server), senders(server), slots(server), keep_size(server)]
                .map(|check| check.level)
        };
        assert_eq!(levels(&server), [Level::Fail, Level::Fail, Level::Fail, Level::Fail, Level::Warn]);
        server.own_slot = true;
        (server.version_number, server.wal_level) = (140_000, "logical".into());
        server.max_slot_wal_keep_size = "10GB".into();
        assert_eq!(levels(&server), [Level::Ok; 5]);
    }
}
