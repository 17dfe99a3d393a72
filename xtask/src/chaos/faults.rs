//! The faults: what each does to the system, and how it is healed.
//!
//! Invariant: [`Fault::inflict`] returns only when what it broke runs again; dropped half way, it leaves nothing
//! stopped. Only processes that this run started are signalled.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::fail_points;
use super::harm::{
    DRAINED_WITHIN, KILLED_WITHIN, Silent, join_and_leave, kill, kill_member, pause, replace_member,
    restart_postgres,
};
use super::site::Site;
use super::snapshots;

/// The members', as the site sets it.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// The kinds of fault, by the names of `--faults`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Fault {
    /// SIGKILL to a `nova run`, then a new process
    NovaKill,
    /// SIGSTOP to a `nova run` past the session timeout, then SIGCONT: the zombie
    NovaStop,
    /// SIGTERM to a `nova run` under load, then a new process
    NovaTerm,
    /// A `nova run` kills itself at a durability boundary: before or after an intent, amid an insert and so on
    NovaFailPoint,
    /// SIGKILL to a `nova run` while ClickHouse has its insert and does not answer; the insert goes on without it
    NovaKillMidInsert,
    /// SIGKILL to a `nova run` while the broker has its commit and does not answer
    NovaKillMidCommit,
    /// SIGSTOP to a `nova run` while ClickHouse has its insert; others take over before it goes on
    NovaStopMidInsert,
    /// A third `nova run` joins the groups and leaves again
    MemberJoinLeave,
    /// SIGKILL to ClickHouse, then a restart
    #[value(name = "clickhouse-kill")]
    ClickHouseKill,
    /// SIGSTOP to ClickHouse past the request timeout: inserts arrive, replies are lost
    #[value(name = "clickhouse-stop")]
    ClickHouseStop,
    /// SIGKILL to the broker, then a restart
    KafkaKill,
    /// SIGKILL to Kafka Connect, then a restart
    ConnectKill,
    /// PostgreSQL is restarted
    PostgresRestart,
    /// Debezium reads one table, or all, by an incremental snapshot beside the changes
    SnapshotIncremental,
    /// The connector forgets how far it has read, and takes a whole snapshot again
    SnapshotAgain,
}

/// What the seed decides about one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draw {
    pub(super) fault: Fault,
    /// Which member.
    pub(super) target: usize,
    /// Position within the fault's range of durations, in thousandths.
    pub(super) length: u32,
    /// How many faults of this kind came before, counted from the seed on: runs of consecutive seeds begin with
    /// different variants of a fault.
    pub(super) turn: u64,
}

impl Fault {
    /// The name of `--faults`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NovaKill => "nova-kill",
            Self::NovaStop => "nova-stop",
            Self::NovaTerm => "nova-term",
            Self::NovaFailPoint => "nova-fail-point",
            Self::NovaKillMidInsert => "nova-kill-mid-insert",
            Self::NovaKillMidCommit => "nova-kill-mid-commit",
            Self::NovaStopMidInsert => "nova-stop-mid-insert",
            Self::MemberJoinLeave => "member-join-leave",
            Self::ClickHouseKill => "clickhouse-kill",
            Self::ClickHouseStop => "clickhouse-stop",
            Self::KafkaKill => "kafka-kill",
            Self::ConnectKill => "connect-kill",
            Self::PostgresRestart => "postgres-restart",
            Self::SnapshotIncremental => "snapshot-incremental",
            Self::SnapshotAgain => "snapshot-again",
        }
    }

    /// Whether nothing else may break meanwhile.
    pub(super) fn comes_alone(self) -> bool {
        self == Self::SnapshotAgain
    }

    /// Shortest and longest time between breaking and mending, in milliseconds.
    fn lasts_ms(self) -> (u64, u64) {
        match self {
            // Beyond the session timeout.
            Self::NovaStop | Self::NovaStopMidInsert => (7_000, 10_000),
            // Longer than the linger, so that a request is on its way; also beyond the request timeout.
            Self::NovaKillMidInsert | Self::NovaKillMidCommit => (500, 4_000),
            // The request timeout is 3 s.
            Self::ClickHouseStop => (3_500, 7_000),
            Self::MemberJoinLeave => (1_000, 5_000),
            _ => (0, 2_000),
        }
    }

    /// Breaks it, waits, mends it; answers what was done to whom.
    ///
    /// # Errors
    /// When a process cannot be signalled or does not come back.
    async fn inflict(self, site: &Site, draw: Draw, lasts: Duration) -> Result<String> {
        let target = draw.target;
        match self {
            Self::NovaFailPoint => fail_points::die_at_one(site, draw).await,
            Self::NovaKill => replace_member(site, target, Signal::SIGKILL, KILLED_WITHIN, lasts).await,
            Self::NovaTerm => replace_member(site, target, Signal::SIGTERM, DRAINED_WITHIN, lasts).await,
            Self::NovaStop => {
                let (index, member) = site.fleet.member(target).await?;
                pause(&member.process, lasts).await?;
                Ok(format!("member {index}, {:.1} s", lasts.as_secs_f64()))
            }
            Self::NovaKillMidInsert => {
                let clickhouse = site.clickhouse.read().await;
                let silent = Silent::since(clickhouse.process()?)?;
                sleep(lasts).await;
                let index = kill_member(site, target, silent).await?;
                Ok(format!("member {index}, after {:.1} s", lasts.as_secs_f64()))
            }
            Self::NovaKillMidCommit => {
                let kafka = site.kafka.read().await;
                let silent = Silent::since(&kafka.process)?;
                sleep(lasts).await;
                let index = kill_member(site, target, silent).await?;
                Ok(format!("member {index}, after {:.1} s", lasts.as_secs_f64()))
            }
            Self::NovaStopMidInsert => {
                let clickhouse = site.clickhouse.read().await;
                let answers = Silent::since(clickhouse.process()?)?;
                // Beyond the request timeout or not: the insert is repeated, or its reply is late.
                sleep(lasts - SESSION_TIMEOUT).await;
                let (index, member) = site.fleet.member(target).await?;
                let goes_on = Silent::since(&member.process)?;
                drop(answers);
                sleep(lasts).await;
                drop(goes_on);
                Ok(format!("member {index}, {:.1} s", lasts.as_secs_f64()))
            }
            Self::MemberJoinLeave => join_and_leave(site, lasts).await,
            Self::ClickHouseKill => {
                kill(site.clickhouse.read().await.process()?, lasts).await?;
                site.clickhouse.write().await.restart().await?;
                Ok("server".to_owned())
            }
            Self::ClickHouseStop => {
                pause(site.clickhouse.read().await.process()?, lasts).await?;
                Ok(format!("server, {:.1} s", lasts.as_secs_f64()))
            }
            Self::KafkaKill => {
                kill(&site.kafka.read().await.process, lasts).await?;
                site.kafka.write().await.restart().await?;
                Ok("broker".to_owned())
            }
            Self::ConnectKill => {
                kill(&site.connect.read().await.process, lasts).await?;
                site.connect.write().await.restart().await?;
                Ok("worker".to_owned())
            }
            Self::PostgresRestart => restart_postgres(site, lasts).await,
            Self::SnapshotIncremental => snapshots::incremental(site, draw.turn).await,
            Self::SnapshotAgain => snapshots::again(site, draw.turn).await,
        }
    }
}

impl Draw {
    /// Carries the fault out and notes it.
    ///
    /// # Errors
    /// When what was broken does not come back.
    pub(super) async fn inflict(self, site: &Site) -> Result<()> {
        let (shortest, longest) = self.fault.lasts_ms();
        let lasts = shortest + (longest - shortest) * u64::from(self.length.min(1000)) / 1000;
        let at = site.timeline.now();
        let what = self.fault.inflict(site, self, Duration::from_millis(lasts)).await?;
        site.timeline.healed(at, self.fault.name(), what);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for fault in Fault::value_variants() {
            let value = fault.to_possible_value().unwrap();
            assert_eq!(fault.name(), value.get_name());
        }
    }
}
