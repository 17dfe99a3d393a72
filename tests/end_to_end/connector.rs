//! A connector that cannot work must leave nothing behind.

use anyhow::{Result, ensure};

use crate::checks::goes_on;
use crate::world::World;

/// GIVEN a wrong replication password / WHEN a connector is applied / THEN the answer names the user, and neither
/// connector nor slot is left; the one that works is not disturbed.
pub(crate) async fn bad_password(world: &mut World) -> Result<()> {
    let password = "wrong-and-secret";
    let answer = world
        .nova(&[
            "connector",
            "apply",
            "--set=connect.connector=nova-wrong",
            "--set=connect.slot=nova_wrong",
            &format!("--set=connect.replication_password={password}"),
        ])
        .await?;
    world.note(&format!("{answer:?}"));
    ensure!(answer.code.is_some_and(|code| code != 0), "exit code {:?}", answer.code);
    ensure!(answer.stderr.contains("password authentication failed"), "the cause is not named");
    ensure!(answer.stderr.contains("nova_replication"), "the user is not named");
    ensure!(answer.stderr.contains("connect.replication_password"), "the setting to correct is not named");
    ensure!(!answer.stderr.contains(password), "the password is told");
    ensure!(!answer.stderr.contains("\tat "), "a stack trace is shown");

    let connectors =
        reqwest::get(format!("{}/connectors", world.stack.connect()?.url())).await?.text().await?;
    ensure!(connectors == r#"["nova-cdc"]"#, "registered are {connectors}");
    let slots: Vec<String> = sqlx::query_scalar("SELECT slot_name::text FROM pg_replication_slots")
        .fetch_all(world.postgres())
        .await?;
    ensure!(slots == ["nova_cdc"], "slots are {slots:?}");

    let again = world.nova(&["connector", "apply"]).await?;
    ensure!(again.code == Some(0) && again.stdout.contains("unchanged"), "applied again: {again:?}");
    let status = world.nova(&["connector", "status"]).await?;
    ensure!(status.code == Some(0), "{status:?}");
    goes_on(world).await
}
