//! The main job: everything a social application does arrives, once, and nothing else does.

use anyhow::{Result, ensure};
use xtask::traffic::{Activity, Op, Table};

use crate::checks::equal;
use crate::world::World;

/// GIVEN all shapes of transactions / WHEN they have been committed / THEN both ends are equal in every table.
pub(crate) async fn main_job(world: &mut World) -> Result<()> {
    let report = world.traffic(10, 200.0).await?;
    world.note(&report.to_string());
    for activity in [
        Activity::DeletePost,
        Activity::Unfollow,
        Activity::LikeSeveral,
        Activity::CopyLikes,
        Activity::Unlike,
        Activity::RekeyLike,
        Activity::EditComment,
        Activity::DeleteComment,
        Activity::EditPost,
        Activity::Session,
        Activity::Savepoints,
        Activity::View,
        Activity::Share,
    ] {
        ensure!(report.activities(activity) > 0, "the traffic had no {activity:?}");
    }
    for table in Table::ALL {
        ensure!(report.rows(table, Op::Insert) > 0, "the traffic inserted nothing into {}", table.name());
        // Events stay: their days go as a whole.
        let deleted = table == Table::Outbox || report.rows(table, Op::Delete) > 0;
        ensure!(deleted, "the traffic deleted nothing of {}", table.name());
    }
    ensure!(report.rows(Table::Likes, Op::Update) > 0, "the traffic changed no primary key");
    ensure!(report.rolled_back > 0, "the traffic rolled nothing back");
    let cascaded = report.rows(Table::Comments, Op::Delete) > report.activities(Activity::DeleteComment);
    ensure!(cascaded, "no deleted post had a comment");

    for table in equal(world).await? {
        ensure!(table.postgres_rows > 0, "{} is empty", table.table.name());
    }
    Ok(())
}
