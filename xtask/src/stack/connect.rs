//! One Kafka Connect worker (distributed mode) with the Debezium plugins and exactly-once sources.
//!
//! Invariant: ready means that `/health` answers 200: the worker has joined its group and read its topics (KIP-1017).

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::jvm::{self, Jvm};
use super::launch::{Launch, StopManner};
use super::options::Site;
use super::process::ServerProcess;
use super::protection::Protection;
use super::readiness::wait_ready;

const READY_WITHIN: Duration = Duration::from_secs(90);
const GRACE: Duration = Duration::from_secs(10);
const HEAP_MIB: u32 = 512;
const INFORMED: [&str; 3] = [
    "io.debezium",
    "org.apache.kafka.connect.runtime.WorkerSourceTask",
    "org.apache.kafka.common.utils.AppInfoParser",
];

/// A running Connect worker.
#[derive(Debug)]
pub struct ConnectServer {
    /// Its process.
    pub process: ServerProcess,
    port: u16,
}

impl ConnectServer {
    /// Launches the worker without waiting: its JVM loads while Kafka starts. `bootstrap` is Kafka's
    /// address.
    ///
    /// # Errors
    /// When the configuration cannot be written or the process not be started.
    pub fn launch(site: Site<'_>, jvm: &Jvm, bootstrap: &str, port: u16) -> Result<Self> {
        let home = site.run_dir.subdir("connect")?;
        let config = home.join("connect.properties");
        let mut properties = worker_properties(&jvm.plugins, bootstrap, port);
        let login = site.options.protection.iter().flat_map(Protection::connect_login).collect::<Vec<_>>();
        let login: Vec<(&str, String)> =
            login.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        properties.push_str(&jvm::properties(&login));
        fs::write(&config, properties).with_context(|| format!("writing {}", config.display()))?;
        let main_class = "org.apache.kafka.connect.cli.ConnectDistributed";
        let mut args = jvm::arguments(HEAP_MIB, &jvm.libs, &INFORMED, main_class);
        args.push(config.display().to_string());
        let process = ServerProcess::spawn(Launch {
            name: "Kafka Connect",
            program: jvm.java.clone(),
            args,
            envs: vec![],
            account: None,
            dir: home,
            log: site.run_dir.log("connect"),
            stop: StopManner::Terminate,
            lifetime: site.options.lifetime,
        })?;
        Ok(Self { process, port })
    }

    /// Waits until the worker can serve requests.
    ///
    /// # Errors
    /// When it ends first or is not ready in time.
    pub async fn wait_ready(&self) -> Result<()> {
        let health = format!("{}/health", self.url());
        wait_ready(&self.process, READY_WITHIN, async || {
            let status = reqwest::get(&health).await?.status();
            ensure!(status.is_success(), "/health answered {status}");
            Ok(())
        })
        .await
    }

    /// Starts the worker again on its port; ends it first when it still runs. Connectors live in Kafka and resume.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.respawn(GRACE)?;
        self.wait_ready().await
    }

    /// Base URL of the REST interface.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn worker_properties(plugins: &Path, bootstrap: &str, port: u16) -> String {
    let fixed = [
        ("group.id", "nova-connect"),
        ("config.storage.topic", "connect-configs"),
        ("config.storage.replication.factor", "1"),
        ("offset.storage.topic", "connect-offsets"),
        ("offset.storage.replication.factor", "1"),
        ("offset.storage.partitions", "1"),
        ("status.storage.topic", "connect-status"),
        ("status.storage.replication.factor", "1"),
        ("status.storage.partitions", "1"),
        ("exactly.once.source.support", "enabled"),
        ("key.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("key.converter.schemas.enable", "false"),
        ("value.converter", "org.apache.kafka.connect.json.JsonConverter"),
        ("value.converter.schemas.enable", "false"),
        // All our plugins carry service manifests; reading every class instead costs seconds.
        ("plugin.discovery", "service_load"),
        ("scheduled.rebalance.max.delay.ms", "0"),
        // A killed worker's successor waits for this; 6 s is the least that brokers allow by default.
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "2000"),
        ("rest.advertised.host.name", "127.0.0.1"),
        // Kafka may still be starting: ask again soon.
        ("reconnect.backoff.max.ms", "200"),
    ];
    let mut pairs: Vec<(&str, String)> = fixed.map(|(key, value)| (key, value.to_owned())).into();
    pairs.push(("bootstrap.servers", bootstrap.to_owned()));
    pairs.push(("listeners", format!("http://127.0.0.1:{port}")));
    pairs.push(("plugin.path", plugins.display().to_string()));
    jvm::properties(&pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worker_supports_exactly_once_sources_and_plain_json() {
        let text = worker_properties(Path::new("/cache/plugins"), "127.0.0.1:9001", 8083);
        for line in [
            "exactly.once.source.support=enabled",
            "value.converter.schemas.enable=false",
            "bootstrap.servers=127.0.0.1:9001",
            "listeners=http://127.0.0.1:8083",
            "plugin.path=/cache/plugins",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
