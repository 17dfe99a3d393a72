//! Everything that prints, at level `trace`, and what it must not print.

use anyhow::{Result, ensure};

use super::{Site, TEXT, WRONG, query};
use crate::world::World;

pub(super) async fn commands(world: &World, site: &Site) -> Result<()> {
    for args in [
        &["config", "check"][..],
        &["config", "show"],
        &["migrate", "--dry-run"],
        &["migrate", "--render"],
        &["migrate", "--render", "--set", "clickhouse.cluster=events"],
        &["connector", "render"],
        &["connector", "status"],
        &["offsets", "show", "-o", "json"],
        &["dlq", "list"],
        &["dlq", "list", "-o", "json"],
        &["dlq", "list", "-o", "jsonl"],
        &["dlq", "retry"],
        &["dlq", "discard", "--matching", "JSON", "--reason", "canary"],
    ] {
        site.quietly(world, 0, args, &[]).await?;
    }
    site.quietly(world, 4, &["dlq", "retry", "--execute"], &[]).await?;
    // Whatever it finds of these streams, which it does not know of in PostgreSQL's publication.
    for form in ["table", "json"] {
        let answer = site.nova(world, &["doctor", "-o", form], &[]).await?;
        site.quiet("doctor", &format!("{}\n{}", answer.stdout, answer.stderr))?;
        for command in ["status", "lag"] {
            let answer = site.nova(world, &[command, "-o", form], &[]).await?;
            ensure!(answer.stdout.contains("canary_poison"), "{answer:?}");
            site.quiet(command, &format!("{}\n{}", answer.stdout, answer.stderr))?;
        }
    }
    let shown = site.nova(world, &["dlq", "show"], &[]).await?;
    ensure!(shown.stdout.contains(TEXT), "who asks for the message gets it: {shown:?}");
    site.quiet("the messages of `dlq show`", &shown.stderr)
}

/// Commands that go over messages and rows again.
pub(super) async fn jobs(world: &World, site: &Site) -> Result<()> {
    for stream in ["canary_posts", "canary_poison"] {
        let replay = ["replay", "kafka", "--stream", stream, "--from", "earliest"];
        for more in [&[][..], &["-o", "json"], &["--execute"], &["--mode", "rebuild"]] {
            site.quietly(world, 0, &[&replay[..], more].concat(), &[]).await?;
        }
    }
    for more in [&[][..], &["--execute", "-o", "json"]] {
        site.quietly(world, 0, &[&["backfill", "--stream", "canary_posts"], more].concat(), &[]).await?;
    }
    Ok(())
}

/// Differences in a text, as `reconcile`, `audit` and `repair` tell them.
pub(super) async fn reports(world: &World, site: &Site) -> Result<()> {
    let alter = format!(
        "ALTER TABLE nova.canary_posts UPDATE body = concat(body, ' and more') WHERE body = '{TEXT}' \
         SETTINGS mutations_sync = 1"
    );
    query(world, &alter).await?;
    let file = |name: &str| site.folder.join(name).display().to_string();
    let (html, masked, whole, plan) =
        (file("r.html"), file("masked.json"), file("whole.json"), file("plan.json"));
    let reconcile = ["reconcile", "--stream", "canary_posts"];
    let with = |more: &[&'static str]| [&reconcile[..], more].concat();
    let text = site.quietly(world, 3, &[&with(&[])[..], &["--html", &html]].concat(), &[]).await?;
    let words = "PostgreSQL (text 1, 22 characters), ClickHouse (text 2, 31 characters)";
    ensure!(text.stdout.contains(words), "{}", text.stdout);
    site.quiet("the page", &std::fs::read_to_string(&html)?)?;
    let json = site.quietly(world, 3, &with(&["-o", "json"]), &[]).await?;
    std::fs::write(&masked, json.stdout)?;
    site.quietly(world, 0, &["reconcile", "history"], &[]).await?;
    for form in ["text", "json", "jsonl"] {
        site.quietly(world, 3, &["audit", "--stream", "canary_posts", "-o", form], &[]).await?;
    }
    let planning = |report| ["repair", "plan", "--report", report, "--out", plan.as_str()];
    let refused = site.quietly(world, 2, &planning(&masked), &[]).await?;
    ensure!(refused.stderr.contains("--values"), "{refused:?}");

    let shown = site.nova(world, &with(&["--values", "-o", "json"]), &[]).await?;
    ensure!(shown.stdout.contains(TEXT), "who asks for values gets them: {shown:?}");
    site.quiet("the messages of `reconcile --values`", &shown.stderr)?;
    std::fs::write(&whole, shown.stdout)?;
    // Who plans sees what would be written.
    let execute = ["repair", "apply", &plan, "--execute", "--reason", "canary", "--actor", "tests"];
    for args in [&planning(&whole)[..], &["repair", "apply", &plan], &execute] {
        let answer = site.nova(world, args, &[]).await?;
        ensure!(answer.code == Some(0), "{args:?}: {answer:?}");
        site.quiet(&args.join(" "), &answer.stderr)?;
    }
    let records = ["reconcile_runs", "repairs", "dead_letter_actions", "jobs"];
    for table in records {
        let rows =
            world.clickhouse()?.query(&format!("SELECT * FROM nova.{table} FORMAT JSONEachRow")).await?;
        site.quiet(table, &rows)?;
    }
    Ok(())
}

/// Errors about secrets and addresses that are wrong.
pub(super) async fn refusals(world: &World, site: &Site) -> Result<()> {
    let variables = [
        ("NOVA_POSTGRES_PASSWORD", WRONG),
        ("NOVA_POSTGRES_OWNER_PASSWORD", WRONG),
        ("NOVA_CONNECT_REPLICATION_PASSWORD", WRONG),
        ("NOVA_CLICKHOUSE_PASSWORD", WRONG),
    ];
    for args in [&["doctor"][..], &["reconcile"], &["migrate"], &["outbox", "maintain"]] {
        let answer = site.nova(world, args, &variables).await?;
        ensure!(answer.code != Some(0), "{args:?}: {answer:?}");
        site.quiet(
            &format!("{args:?} with wrong passwords"),
            &format!("{}\n{}", answer.stdout, answer.stderr),
        )?;
    }
    let inside = format!("clickhouse.url=http://nova:{WRONG}@127.0.0.1:1");
    site.quietly(world, 2, &["migrate", "--set", &inside], &[]).await?;
    Ok(())
}
