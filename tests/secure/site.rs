//! The servers with TLS, logins and least rights, and Nova's configuration for them.
//!
//! Invariant: Nova and Kafka Connect reach Kafka, ClickHouse and PostgreSQL by TLS only, as the users of
//! `deploy/security`, whose scripts are applied here as they stand. PostgreSQL refuses its roles otherwise, and the
//! other two are named by addresses that speak nothing else.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::ClientConfig;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;
use toml::Table;
use xtask::installation::Installation;
use xtask::stack::{
    ClickHouseUser, ConnectServer, Kit, Lifetime, Protection, Server, Site as Place, Stack, StackOptions,
    free_port,
};
use xtask::workspace;

use crate::authority::{Authority, text};
use crate::privileges::clickhouse_users;
use crate::scripts::{OWNER, kafka_acls, postgres_roles};

/// No command under test takes longer.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
const KAFKA_USERS: [&str; 3] = ["nova", "nova-deploy", "nova-connect"];

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Everything that runs. Dropped, and so stopped, in this order.
pub(crate) struct Site {
    pub(crate) installation: Installation,
    pub(crate) stack: Stack,
    pub(crate) authority: Authority,
    kafka_users: Vec<(String, String)>,
    clickhouse_users: Vec<ClickHouseUser>,
    owner_password: String,
}

impl Site {
    pub(crate) async fn start() -> Result<Self> {
        let authority = Authority::make()?;
        let security = workspace::root().join("deploy/security");
        let sql = std::fs::read_to_string(security.join("clickhouse.sql")).context("clickhouse.sql")?;
        let clickhouse_users = clickhouse_users(&sql)?;
        let kafka_users: Vec<_> = KAFKA_USERS.map(|name| (name.to_owned(), new_password())).into();
        let protection = Protection {
            certificate: authority.certificate(),
            expired: authority.expired(),
            key: authority.key(),
            ca: authority.ca(),
            kafka_users: kafka_users.clone(),
            connect_user: Some("nova-connect".to_owned()),
            clickhouse_users: clickhouse_users.clone(),
        };
        let options = StackOptions {
            protection: Some(protection),
            ..StackOptions::only(&[Server::Postgres, Server::Kafka, Server::ClickHouse])
        };
        let mut stack = Stack::start(options.clone()).await?;
        let owner_password = new_password();
        // Kafka Connect wants its rights when it starts.
        tokio::try_join!(kafka_acls(&stack), postgres_roles(&stack, &owner_password))?;
        let kit = Kit::prepare(&options).await?;
        let place = Place { run_dir: &stack.run_dir, options: &options };
        let jvm = kit.jvm.as_ref().context("no Java")?;
        let connect =
            ConnectServer::launch(place, jvm, &stack.kafka()?.protected_bootstrap()?, free_port()?)?;
        connect.wait_ready().await?;
        stack.connect = Some(connect);
        let installation = Installation::prepare(&stack, Lifetime::WithOwner).await?;
        let site = Self { installation, stack, authority, kafka_users, clickhouse_users, owner_password };
        site.configure()?;
        Ok(site)
    }

    /// Replaces addresses and accounts in the installation's configuration.
    fn configure(&self) -> Result<()> {
        let file = &self.installation.config;
        let mut config: Table = std::fs::read_to_string(file)?.parse()?;
        let ca = text(&self.authority.ca());
        let kafka = self.stack.kafka()?.protected_bootstrap()?;
        let clickhouse = self.stack.clickhouse()?.tls_url()?;
        for (section, key, value) in [
            ("postgres", "host", "localhost"),
            ("postgres", "ssl_mode", "verify-full"),
            ("postgres", "ca_file", &ca),
            ("postgres", "owner", OWNER),
            ("postgres", "owner_password", &self.owner_password),
            ("kafka", "brokers", &kafka),
            ("kafka", "security", "sasl_ssl"),
            ("kafka", "ca_file", &ca),
            ("kafka", "user", "nova"),
            ("kafka", "password", self.kafka_password("nova")?),
            ("clickhouse", "url", &clickhouse),
            ("clickhouse", "ca_file", &ca),
            ("clickhouse", "user", "nova_writer"),
            ("clickhouse", "password", self.clickhouse_password("nova_writer")?),
        ] {
            let section = config.get_mut(section).and_then(toml::Value::as_table_mut);
            section.context("nova.toml lacks a section")?.insert(key.to_owned(), value.into());
        }
        std::fs::write(file, toml::to_string(&config)?).context("nova.toml")
    }

    fn kafka_password(&self, user: &str) -> Result<&str> {
        let found = self.kafka_users.iter().find(|(name, _)| name == user);
        Ok(&found.with_context(|| format!("no user {user} in Kafka"))?.1)
    }

    fn clickhouse_password(&self, user: &str) -> Result<&str> {
        let found = self.clickhouse_users.iter().find(|found| found.name == user);
        Ok(&found.with_context(|| format!("no user {user} in ClickHouse"))?.password)
    }

    /// What must come out nowhere.
    pub(crate) fn passwords(&self) -> impl Iterator<Item = &str> {
        let kafka = self.kafka_users.iter().map(|(_, password)| password.as_str());
        let clickhouse = self.clickhouse_users.iter().map(|user| user.password.as_str());
        kafka.chain(clickhouse).chain([self.owner_password.as_str()])
    }

    /// Settings with which a command logs in to Kafka and ClickHouse as others.
    pub(crate) fn accounts(&self, kafka: &str, clickhouse: &str) -> Result<Vec<String>> {
        Ok(vec![
            format!("kafka.user={kafka}"),
            format!("kafka.password={}", self.kafka_password(kafka)?),
            format!("clickhouse.user={clickhouse}"),
            format!("clickhouse.password={}", self.clickhouse_password(clickhouse)?),
        ])
    }

    /// A client of Kafka's that logs in as this user.
    pub(crate) fn kafka_as(&self, user: &str) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.stack.kafka()?.protected_bootstrap()?)
            .set("security.protocol", "sasl_ssl")
            .set("ssl.ca.location", text(&self.authority.ca()))
            .set("sasl.mechanisms", "SCRAM-SHA-512")
            .set("sasl.username", user)
            .set("sasl.password", self.kafka_password(user)?);
        Ok(config)
    }

    /// Runs a statement in ClickHouse as this user: the answer, or the exception's code.
    pub(crate) async fn clickhouse_as(&self, user: &str, sql: &str) -> Result<Result<String, String>> {
        let request = reqwest::Client::new().post(self.stack.clickhouse()?.url()).body(sql.to_owned());
        let request = request
            .header("X-ClickHouse-User", user)
            .header("X-ClickHouse-Key", self.clickhouse_password(user)?);
        let response = request.send().await?;
        let code = response.headers().get("x-clickhouse-exception-code").cloned();
        match code {
            Some(code) => Ok(Err(code.to_str()?.to_owned())),
            None => Ok(Ok(response.text().await?)),
        }
    }

    /// PostgreSQL's URL for one of Nova's roles, with the password that the configuration has.
    pub(crate) fn postgres_as(&self, role: &str) -> Result<String> {
        let config: Table = std::fs::read_to_string(&self.installation.config)?.parse()?;
        let (section, key) = match role {
            "nova_reader" => ("postgres", "password"),
            "nova_replication" => ("connect", "replication_password"),
            _ => ("postgres", "owner_password"),
        };
        let password = config.get(section).and_then(|section| section.get(key)).and_then(toml::Value::as_str);
        let password = password.with_context(|| format!("{section}.{key}"))?;
        let port = self.stack.postgres()?.port();
        let ca = text(&self.authority.ca());
        Ok(format!("postgres://{role}:{password}@localhost:{port}/nova?sslmode=verify-full&sslrootcert={ca}"))
    }

    /// Runs `nova` with these settings and arguments to its end.
    pub(crate) async fn nova(&self, settings: &[String], args: &[&str]) -> Result<Answer> {
        let mut command = Command::new(&self.installation.nova);
        command.arg("--config").arg(&self.installation.config).args(args);
        for setting in settings {
            command.arg("--set").arg(setting);
        }
        command.stdin(std::process::Stdio::null()).kill_on_drop(true);
        let output = timeout(ENDS_WITHIN, command.output()).await;
        let output =
            output.with_context(|| format!("nova {} {settings:?} did not end", args.join(" ")))??;
        Ok(Answer {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The same for a command that must succeed.
    pub(crate) async fn nova_ok(&self, settings: &[String], args: &[&str]) -> Result<String> {
        let answer = self.nova(settings, args).await?;
        ensure!(answer.code == Some(0), "nova {}: {answer:#?}", args.join(" "));
        Ok(answer.stdout)
    }

    /// `nova doctor`: the exit code, and one line for each check that failed.
    pub(crate) async fn doctor(&self, settings: &[String]) -> Result<(Option<i32>, Vec<String>)> {
        let answer = self.nova(settings, &["doctor", "-o", "json"]).await?;
        let document: Value = serde_json::from_str(&answer.stdout).with_context(|| format!("{answer:?}"))?;
        let checks = document["checks"].as_array().context("no checks")?;
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let line = |check| ["group", "name", "finding", "cure"].map(|key| text(check, key)).join(" | ");
        Ok((answer.code, checks.iter().filter(|check| check["level"] == "fail").map(line).collect()))
    }
}

fn new_password() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
