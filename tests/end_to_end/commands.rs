//! Commands that need no traffic: `nova migrate` and `nova config`.

use anyhow::{Context, Result, ensure};

use crate::world::{Answer, World};

/// GIVEN a new database / WHEN it is migrated twice / THEN the second time there is nothing to do, and a dry run
/// changes nothing.
pub(crate) async fn migrate(world: &mut World) -> Result<()> {
    let again = world.nova(&["migrate"]).await?;
    succeeded(&again)?;
    ensure!(again.stdout == "database `nova` is up to date\n", "{again:?}");

    let database = "--set=clickhouse.database=nova_second";
    let dry = world.nova(&[database, "migrate", "--dry-run"]).await?;
    succeeded(&dry)?;
    let count = dry.stdout.lines().filter(|line| line.starts_with("would apply ")).count();
    ensure!(count > 0 && dry.stdout.lines().count() == count, "{dry:?}");
    let there = "SELECT count() FROM system.databases WHERE name = 'nova_second' FORMAT TSV";
    ensure!(world.clickhouse()?.query(there).await?.trim() == "0", "a dry run made the database");

    let first = world.nova(&[database, "migrate"]).await?;
    succeeded(&first)?;
    ensure!(first.stdout == dry.stdout.replace("would apply", "applied"), "{first:?}");
    let second = world.nova(&[database, "migrate"]).await?;
    succeeded(&second)?;
    ensure!(second.stdout == "database `nova_second` is up to date\n", "{second:?}");
    world.clickhouse()?.query("DROP DATABASE nova_second").await?;
    Ok(())
}

fn succeeded(answer: &Answer) -> Result<()> {
    ensure!(answer.code == Some(0), "{answer:?}");
    Ok(())
}

/// GIVEN values from a file, the environment and a flag / THEN each is shown with its origin, and no secret is.
pub(crate) async fn config(world: &mut World) -> Result<()> {
    let check = world.nova(&["config", "check"]).await?;
    succeeded(&check)?;
    ensure!(check.stdout.contains("worker cdc: streams comments, follows, likes, posts"), "{check:?}");

    let file = std::fs::read_to_string(&world.installation.config)?;
    let file: toml::Table = file.parse()?;
    let variables =
        [("NOVA_KAFKA_GROUP_PREFIX", "elsewhere"), ("NOVA_POSTGRES_PASSWORD", "of-the-environment")];
    let shown = world
        .nova_with(
            &["--set=pipeline.linger=1s", "config", "show", "--set", "pipeline.batch_rows=7"],
            &variables,
        )
        .await?;
    succeeded(&shown)?;
    for (section, key) in
        [("postgres", "password"), ("connect", "replication_password"), ("clickhouse", "password")]
    {
        let secret = file.get(section).and_then(|section| section.get(key)).and_then(toml::Value::as_str);
        let secret = secret.with_context(|| format!("{section}.{key} is not configured"))?;
        ensure!(!shown.stdout.contains(secret), "`config show` tells {section}.{key}");
        origin(&shown, &format!("{section}.{key} = ********"), "")?;
    }
    ensure!(!shown.stdout.contains("of-the-environment"), "`config show` tells a secret of the environment");
    let path = world.installation.config.display().to_string();
    origin(&shown, "kafka.group_prefix = elsewhere", "# environment NOVA_KAFKA_GROUP_PREFIX")?;
    origin(&shown, "postgres.password = ********", "# environment NOVA_POSTGRES_PASSWORD")?;
    origin(&shown, "pipeline.linger = 1s", "# flag --set")?;
    origin(&shown, "pipeline.batch_rows = 7", "# flag --set")?;
    origin(&shown, "clickhouse.database = nova", &format!("# {path}"))?;
    origin(&shown, "kafka.session_timeout = 45s", "# default")
}

fn origin(shown: &Answer, setting: &str, origin: &str) -> Result<()> {
    let found = shown.stdout.lines().find(|line| line.starts_with(setting));
    let line = found.with_context(|| format!("`{setting}` is not shown:\n{}", shown.stdout))?;
    ensure!(line.ends_with(origin), "`{line}` does not end with `{origin}`");
    Ok(())
}
