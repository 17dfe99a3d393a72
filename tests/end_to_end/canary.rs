//! What must not come out: secrets and what people wrote, in everything that Nova says about itself.
//!
//! Canaries are put where secrets and texts are (every password of the configuration, a token, a column of text, messages
//! that are poison), everything that speaks is made to speak at level `trace`, and all of it is searched. They may stand where
//! they were meant to be: in the event table, in a dead letter's own key, value and headers, and in what was asked for
//! by `--values` or `nova dlq show`, which also proves that the search would find them.

mod commands;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use xtask::installation::{RunningWorker, clickhouse_number};

use crate::admin::get;
use crate::collector::Collector;
use crate::topics::{Record, create, produce, read_all};
use crate::wait::{s, until};
use crate::world::{Answer, World, ended};

const POISON: &str = "canary.poison";
const LETTERS: &str = "canary.letters";
/// What somebody wrote.
const TEXT: &str = "canary-ada@example.org";
const TOKEN: &str = "canary-token-4711";
const KEY: &str = "canary-key-4711";
const WRONG: &str = "canary-wrong-4711";
const ADMIN: &str = "canary-admin-4711";

/// Where everything of this scenario lies.
struct Site {
    streams: String,
    folder: PathBuf,
    /// What must not come out, and what it is.
    canaries: Vec<(String, String)>,
}

/// GIVEN canaries in all secrets, in rows and in poison / WHEN streams run and every command that prints has run / THEN no log,
/// metric, span, error, report or header of a dead letter holds one.
pub(crate) async fn canary(world: &mut World) -> Result<()> {
    world.traffic(1, 100.0).await?;
    let site = Site::prepare(world).await?;
    let poison = poison(world).await?;
    let count = poison.len();
    write_posts(world).await?;
    let collector = Collector::start().await?;
    let worker = site.run(world, &collector.endpoint).await?;
    arrived(world, count).await?;

    letters(world, &site, &poison)?;
    site.quiet("the admin server", &told(&worker).await?)?;
    site.quiet("the dashboard", &shown(&worker).await?)?;
    commands::commands(world, &site).await?;
    commands::jobs(world, &site).await?;
    commands::reports(world, &site).await?;
    commands::refusals(world, &site).await?;

    let code = ended(&worker.process, Signal::SIGTERM).await?;
    ensure!(code == Some(0), "exit code {code:?} after SIGTERM");
    let log = std::fs::read_to_string(worker.process.log())?;
    ensure!(log.contains("TRACE") && log.len() > 10_000, "the log is not at level trace:\n{log}");
    site.quiet("the worker's log", &log)?;
    let mut spans = collector.spans();
    ensure!(
        spans.iter().any(|span| span.authorization.ends_with(TOKEN)),
        "the token did not reach the collector"
    );
    spans.iter_mut().for_each(|span| span.authorization.clear());
    site.quiet("spans", &format!("{spans:#?}"))?;
    for table in ["canary_posts", "canary_poison"] {
        query(world, &format!("DROP TABLE nova.{table} SYNC")).await?;
    }
    Ok(())
}

impl Site {
    async fn prepare(world: &World) -> Result<Self> {
        for topic in [POISON, LETTERS] {
            create(&world.brokers()?, topic).await?;
        }
        let mut declared = String::new();
        for (name, topic) in [("canary_posts", "cdc.posts"), ("canary_poison", POISON)] {
            query(world, &format!("CREATE TABLE nova.{name} AS nova.post_events")).await?;
            query(world, &format!("ALTER TABLE nova.{name} ADD COLUMN body String")).await?;
            declared += &stream(name, topic);
        }
        let folder = world.stack.run_dir.subdir("canary")?;
        let file = folder.join("streams.toml");
        std::fs::write(&file, declared)?;
        let mut canaries = passwords(&world.installation.config)?;
        ensure!(canaries.len() >= 4, "the configuration has {} passwords", canaries.len());
        let ours = [
            ("text", TEXT),
            ("OTLP token", TOKEN),
            ("password of a TLS key", KEY),
            ("wrong password", WRONG),
            ("dashboard's token", ADMIN),
        ];
        canaries.extend(ours.map(|(what, text)| (what.to_owned(), text.to_owned())));
        Ok(Self { streams: file.display().to_string(), folder, canaries })
    }

    /// What every command gets.
    fn settings(&self) -> Vec<String> {
        let key = format!("kafka.librdkafka.ssl.key.password={KEY}");
        let letters = format!("kafka.dead_letter_topic={LETTERS}");
        let settings = ["log.level=trace", "kafka.group_prefix=canary", &key, &letters];
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        settings.chain(["--streams", &self.streams]).map(str::to_owned).collect()
    }

    async fn run(&self, world: &World, endpoint: &str) -> Result<RunningWorker> {
        let endpoint = format!("telemetry.otlp_endpoint={endpoint}");
        let settings = self.settings();
        let mut args = vec!["canary", "--from-beginning", "--set", &endpoint];
        args.extend(settings.iter().map(String::as_str));
        let headers = ("NOVA_TELEMETRY_OTLP_HEADERS".to_owned(), format!("authorization=Bearer {TOKEN}"));
        let token = ("NOVA_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
        let worker = world.installation.spawn_worker_with("canary", &args, vec![headers, token])?;
        worker.wait_ready().await?;
        Ok(worker)
    }

    /// Runs a command; what it writes holds no canary.
    async fn quietly(
        &self,
        world: &World,
        code: i32,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Answer> {
        let answer = self.nova(world, args, variables).await?;
        ensure!(answer.code == Some(code), "{args:?}: {answer:?}");
        self.quiet(&args.join(" "), &format!("{}\n{}", answer.stdout, answer.stderr))?;
        Ok(answer)
    }

    async fn nova(&self, world: &World, args: &[&str], variables: &[(&str, &str)]) -> Result<Answer> {
        let mut settings = self.settings();
        if matches!(args.first(), Some(&"connector" | &"doctor" | &"outbox")) {
            // These are about the connector and the installation's own streams.
            settings.truncate(settings.len() - 2);
        }
        let args: Vec<&str> = args.iter().copied().chain(settings.iter().map(String::as_str)).collect();
        world.nova_with(&args, variables).await
    }

    fn quiet(&self, place: &str, text: &str) -> Result<()> {
        for (what, canary) in &self.canaries {
            if let Some(line) = text.lines().find(|line| line.contains(canary.as_str())) {
                anyhow::bail!("{place} tells the {what}: {line}");
            }
        }
        Ok(())
    }
}

fn stream(name: &str, topic: &str) -> String {
    format!(
        "[streams.{name}]\nworker = \"canary\"\ntopic = \"{topic}\"\nformat = \"debezium\"\nsource = \"public.posts\"\n\
         table = \"{name}\"\nkey = [\"id\"]\ntime = \"created_at\"\n[streams.{name}.columns]\n\
         event_time = {{ field = \"created_at\" }}\npost_id = {{ field = \"id\" }}\nauthor_id = {{ field = \"author_id\" }}\n\
         visibility = {{ field = \"visibility\" }}\nbody = {{ field = \"body\" }}\n"
    )
}

/// Every password of a configuration file.
fn passwords(file: &Path) -> Result<Vec<(String, String)>> {
    let file: toml::Table = std::fs::read_to_string(file)?.parse()?;
    let sections = file.iter().filter_map(|(section, table)| Some((section, table.as_table()?)));
    let settings =
        sections.flat_map(|(section, table)| table.iter().map(move |(key, value)| (section, key, value)));
    let secret = |(section, key, value): (&String, &String, &toml::Value)| {
        let value = value.as_str().filter(|value| key.ends_with("password") && value.len() > 8)?;
        Some((format!("{section}.{key}"), value.to_owned()))
    };
    Ok(settings.filter_map(secret).collect())
}

/// Messages that name somebody and cannot become rows.
async fn poison(world: &World) -> Result<Vec<Record>> {
    let brokers = world.brokers()?;
    let is_insert = |record: &Record| {
        let value = record.value.as_deref().unwrap_or_default();
        serde_json::from_slice::<Value>(value).is_ok_and(|value| value["op"] == "c")
    };
    let genuine =
        read_all(&brokers, "cdc.posts")?.into_iter().find(is_insert).context("no insert of a post")?;
    let value: Value = serde_json::from_slice(genuine.value.as_deref().unwrap_or_default())?;
    let mut values = vec![
        format!("no JSON: {TEXT}").into_bytes(),
        format!("{{\"op\":\"c\",\"after\":{{\"body\":\"{TEXT}\",").into_bytes(),
        format!("\"{TEXT}\"").into_bytes(),
        format!("{{\"op\":\"{TEXT}\",\"source\":{{}}}}").into_bytes(),
        format!("{{\"op\":\"c\",\"source\":\"{TEXT}\"}}").into_bytes(),
        format!("{{\"status\":\"{TEXT}\",\"id\":\"1\"}}").into_bytes(),
    ];
    for field in ["id", "author_id", "visibility", "created_at"] {
        let mut value = value.clone();
        value["after"][field] = json!(TEXT);
        values.push(serde_json::to_vec(&value)?);
    }
    let mut nested = value;
    nested["after"]["body"] = json!({ "text": TEXT });
    values.push(serde_json::to_vec(&nested)?);
    let header = ("who".to_owned(), Some(TEXT.as_bytes().to_vec()));
    let record = |value| Record {
        key: Some(TEXT.as_bytes().to_vec()),
        value: Some(value),
        headers: vec![header.clone()],
        ..Record::default()
    };
    produce(&brokers, POISON, values.into_iter().map(record).collect()).await
}

async fn write_posts(world: &World) -> Result<()> {
    sqlx::query(
        "INSERT INTO posts (id, author_id, body) SELECT gen_random_uuid(), id, $1 FROM users ORDER BY id LIMIT 2",
    )
    .bind(TEXT)
    .execute(world.postgres())
    .await?;
    Ok(())
}

async fn arrived(world: &World, letters: usize) -> Result<()> {
    let sql = format!("SELECT count() FROM nova.canary_posts WHERE body = '{TEXT}'");
    until("the posts are in the table, the poison in its topic", s(60), async || {
        let rows = clickhouse_number(world.clickhouse()?, &sql).await?;
        let found = read_all(&world.brokers()?, LETTERS)?.len();
        ensure!(rows == 2 && found == letters, "{rows} rows, {found} of {letters} dead letters");
        Ok(())
    })
    .await
}

/// A dead letter holds the message as it was; what Nova adds to it holds none of it.
fn letters(world: &World, site: &Site, poison: &[Record]) -> Result<()> {
    for letter in read_all(&world.brokers()?, LETTERS)? {
        ensure!(poison.iter().any(|record| record.value == letter.value), "{letter:?} is not what was sent");
        let key = String::from_utf8_lossy(letter.key.as_deref().unwrap_or_default()).into_owned();
        site.quiet("a dead letter's key", &key)?;
        for (name, value) in &letter.headers {
            let text = String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
            if name != "nova.original.key" && name != "who" {
                site.quiet(&format!("the header {name} of a dead letter"), &text)?;
            }
        }
    }
    Ok(())
}

async fn told(worker: &RunningWorker) -> Result<String> {
    let mut text = String::new();
    for path in ["/metrics", "/health/live", "/health/ready", "/openapi.json", "/"] {
        text += &get(&worker.admin, path).await?.1;
    }
    ensure!(text.contains("nova_dead_letters_total"), "{text}");
    Ok(text)
}

/// What the dashboard answers with and without its token; the first view among it.
async fn shown(worker: &RunningWorker) -> Result<String> {
    let (client, url) = (reqwest::Client::new(), &worker.dashboard);
    let refused = client.get(format!("{url}/")).bearer_auth(WRONG).send().await?;
    ensure!(refused.status().as_u16() == 401, "the dashboard is open: {refused:?}");
    let mut text = format!("{:?}\n{}", refused.headers().clone(), refused.text().await?);
    text += &client.get(format!("{url}/app.js")).bearer_auth(ADMIN).send().await?.text().await?;
    let mut events = client.get(format!("{url}/events")).bearer_auth(ADMIN).send().await?;
    let view = async {
        let mut view = String::new();
        while !view.ends_with("\n\n") {
            let chunk = events.chunk().await?.context("the stream has ended")?;
            view += &String::from_utf8_lossy(&chunk);
        }
        anyhow::Ok(view)
    };
    let view = tokio::time::timeout(s(60), view).await.context("the dashboard tells nothing")??;
    ensure!(view.contains("canary_poison"), "the view lacks the stream: {view}");
    Ok(text + &view)
}

async fn query(world: &World, sql: &str) -> Result<()> {
    world.clickhouse()?.query(sql).await.context(sql.to_owned())?;
    Ok(())
}
