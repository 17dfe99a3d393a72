//! The replication slot: read by somebody, its WAL still there, and not too much of it.

use super::GROUP;
use crate::doctor::check::Check;
use crate::slot::Slot;

/// Retained WAL above this is worth a look.
const RETAINED_LIMIT_BYTES: i64 = 1 << 30;

/// What is to be said of the slot of that name.
pub fn checks(slot: &str, found: Option<&Slot>) -> Vec<Check> {
    let name = format!("slot {slot}");
    let Some(found) = found else {
        let cure = "`nova connector apply` makes it for a new connector; one that has run before needs `nova connector resnapshot` (docs/runbooks/lost-slot.md).";
        return vec![GROUP.fail(name, "missing", cure)];
    };
    vec![reader(&name, found), wal(&name, found)]
}

fn reader(name: &str, slot: &Slot) -> Check {
    if slot.active {
        return GROUP.ok(name, "read by a connection");
    }
    GROUP.fail(
        name,
        "nobody reads it, so WAL piles up",
        "`nova connector status` says why the connector does not.",
    )
}

fn wal(name: &str, slot: &Slot) -> Check {
    let name = format!("{name}: WAL");
    let retained = slot.retained_bytes.unwrap_or_default();
    let size = format!("{:.1} MB retained", retained.max(0) as f64 / 1e6);
    match slot.wal_status.as_deref() {
        Some("lost") => GROUP.fail(
            name,
            "lost: changes were thrown away before they were read",
            "`nova connector resnapshot` shows the way back (docs/runbooks/lost-slot.md).",
        ),
        Some("unreserved") => GROUP.fail(
            name,
            format!("{size}, and it goes at the next checkpoint"),
            "Raise max_slot_wal_keep_size and reload at once; then get the connector to run.",
        ),
        _ if retained > RETAINED_LIMIT_BYTES => GROUP.warn(
            name,
            size,
            "Look at the connector's lag and for long transactions (pg_stat_activity.xact_start).",
        ),
        _ => GROUP.ok(name, size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Level;

    #[test]
    fn lost_wal_fails_and_much_of_it_warns() {
        let level = |status: &str, retained_bytes| {
            let slot = Slot {
                wal_status: Some(status.into()),
                retained_bytes: Some(retained_bytes),
                ..Slot::default()
            };
            wal("slot s", &slot).level
        };
        assert_eq!(level("reserved", 5_000_000), Level::Ok);
        assert_eq!(level("extended", 2 << 30), Level::Warn);
        assert_eq!(level("unreserved", 0), Level::Fail);
        assert_eq!(level("lost", 0), Level::Fail);
    }
}
