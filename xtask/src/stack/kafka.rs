//! One Kafka node (KRaft: broker and controller in one process), on 127.0.0.1 only.
//!
//! Invariant: ready means that the broker names itself in its own metadata, i.e. it is registered and not fenced.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::jvm::{self, Jvm};
use super::launch::{Launch, StopManner};
use super::options::Site;
use super::ports::free_port;
use super::process::ServerProcess;
use super::protection::Protection;
use super::readiness::wait_ready;

const READY_WITHIN: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);
const HEAP_MIB: u32 = 512;
const INFORMED: [&str; 2] = ["kafka.server.KafkaRaftServer", "org.apache.kafka.common.utils.AppInfoParser"];

/// A running Kafka node.
#[derive(Debug)]
pub struct KafkaServer {
    /// Its process.
    pub process: ServerProcess,
    port: u16,
    jvm: Jvm,
    protected: Option<ProtectedListeners>,
}

/// The listeners that ask for TLS and a login.
#[derive(Debug)]
struct ProtectedListeners {
    port: u16,
    /// The one with the expired certificate.
    expired_port: u16,
    users: Vec<(String, String)>,
}

impl KafkaServer {
    /// Formats a new log folder and starts the node.
    ///
    /// # Errors
    /// When formatting fails or the broker is not registered in time.
    pub async fn start(site: Site<'_>, jvm: &Jvm, port: u16, controller_port: u16) -> Result<Self> {
        let home = site.run_dir.subdir("kafka")?;
        let logs = home.join("data");
        let config = home.join("server.properties");
        let mut properties = server_properties(&logs, port, controller_port);
        let mut protected = None;
        if let Some(protection) = &site.options.protection {
            let listeners = ProtectedListeners {
                port: free_port()?,
                expired_port: free_port()?,
                users: protection.kafka_users.clone(),
            };
            listeners.add_to(&mut properties, protection, &home)?;
            protected = Some(listeners);
        }
        fs::write(&config, jvm::properties(&properties))
            .with_context(|| format!("writing {}", config.display()))?;
        format_storage(jvm, &config, protected.as_ref()).await?;
        let mut args = jvm::arguments(HEAP_MIB, &jvm.libs, &INFORMED, "kafka.Kafka");
        args.push(config.display().to_string());
        let process = ServerProcess::spawn(Launch {
            name: "Kafka",
            program: jvm.java.clone(),
            args,
            envs: vec![],
            account: None,
            dir: home,
            log: site.run_dir.log("kafka"),
            stop: StopManner::Terminate,
            lifetime: site.options.lifetime,
        })?;
        let server = Self { process, port, jvm: jvm.clone(), protected };
        server.wait_ready().await?;
        Ok(server)
    }

    /// Starts the node again on its ports and data; ends it first when it still runs.
    ///
    /// # Errors
    /// When the broker is not registered in time.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.respawn(GRACE)?;
        self.wait_ready().await
    }

    async fn wait_ready(&self) -> Result<()> {
        wait_ready(&self.process, READY_WITHIN, async || broker_is_registered(self.port).await).await
    }

    /// `host:port` for `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `host:port` of the listener that asks for TLS and a login.
    ///
    /// # Errors
    /// When the stack is not protected.
    pub fn protected_bootstrap(&self) -> Result<String> {
        Ok(format!("localhost:{}", self.protected()?.port))
    }

    /// The same with an expired certificate.
    ///
    /// # Errors
    /// When the stack is not protected.
    pub fn expired_bootstrap(&self) -> Result<String> {
        Ok(format!("localhost:{}", self.protected()?.expired_port))
    }

    fn protected(&self) -> Result<&ProtectedListeners> {
        self.protected.as_ref().context("this Kafka was started without protection")
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The program and the first arguments of one of Kafka's own tools.
    #[must_use]
    pub fn tool_command(&self, main_class: &str) -> (&Path, Vec<String>) {
        (&self.jvm.java, jvm::arguments(256, &self.jvm.libs, &[], main_class))
    }

    /// Runs one of Kafka's own tools, e.g. `org.apache.kafka.tools.TopicCommand`, and answers its standard output.
    ///
    /// # Errors
    /// When the tool fails; with its last lines.
    pub async fn tool(&self, main_class: &str, args: &[&str]) -> Result<String> {
        let (program, fixed) = self.tool_command(main_class);
        let mut command = Command::new(program);
        command.args(fixed).args(args);
        let output = crate::command::run(main_class, &mut command).await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn server_properties(logs: &Path, port: u16, controller_port: u16) -> Vec<(&'static str, String)> {
    let fixed = [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.listener.names", "CONTROLLER"),
        ("auto.create.topics.enable", "false"),
        ("log.retention.hours", "720"),
        ("offsets.topic.replication.factor", "1"),
        ("offsets.topic.num.partitions", "8"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("transaction.state.log.num.partitions", "8"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        // After SIGKILL a broker may register again only when its old session has timed out (by default 9 s).
        ("broker.session.timeout.ms", "4000"),
        ("broker.heartbeat.interval.ms", "1000"),
        // The default, 128 MiB, is taken from the heap.
        ("log.cleaner.dedupe.buffer.size", "8388608"),
    ];
    let mut pairs: Vec<(&str, String)> = fixed.map(|(key, value)| (key, value.to_owned())).into();
    let (broker, controller) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{controller_port}"));
    pairs.push(("listeners", format!("PLAINTEXT://{broker},CONTROLLER://{controller}")));
    pairs.push(("advertised.listeners", format!("PLAINTEXT://{broker}")));
    pairs.push(("controller.quorum.voters", format!("1@{controller}")));
    pairs.push(("log.dirs", logs.display().to_string()));
    pairs
}

impl ProtectedListeners {
    /// Two listeners more, and ACLs (<https://kafka.apache.org/documentation/#security_authz>). Whoever comes by the plain
    /// listener is a superuser.
    fn add_to(
        &self,
        properties: &mut Vec<(&'static str, String)>,
        protection: &Protection,
        home: &Path,
    ) -> Result<()> {
        let Self { port, expired_port, .. } = self;
        for (key, value) in &mut *properties {
            if matches!(*key, "listeners" | "advertised.listeners") {
                value.push_str(&format!(",SECURE://localhost:{port},EXPIRED://localhost:{expired_port}"));
            }
        }
        let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let keystore = |expired| protection.keystore(home, expired).map(|path| path.display().to_string());
        properties.extend([
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,EXPIRED:SASL_SSL".to_owned(),
            ),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-512".to_owned()),
            ("listener.name.secure.scram-sha-512.sasl.jaas.config", jaas.to_owned()),
            ("listener.name.expired.scram-sha-512.sasl.jaas.config", jaas.to_owned()),
            ("ssl.keystore.type", "PEM".to_owned()),
            ("listener.name.secure.ssl.keystore.location", keystore(false)?),
            ("listener.name.expired.ssl.keystore.location", keystore(true)?),
            ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned()),
            ("super.users", "User:ANONYMOUS".to_owned()),
        ]);
        Ok(())
    }
}

async fn format_storage(jvm: &Jvm, config: &Path, protected: Option<&ProtectedListeners>) -> Result<()> {
    // A cluster id is a UUID in URL-safe base64 without padding: 22 characters.
    let id = &uuid::Uuid::new_v4().simple().to_string();
    let id = id.get(..22).context("a UUID has 32 hexadecimal digits")?;
    let mut command = Command::new(&jvm.java);
    command.args(["-XX:TieredStopAtLevel=1"]).args(jvm::arguments(
        256,
        &jvm.libs,
        &[],
        "kafka.tools.StorageTool",
    ));
    command.args(["format", "-t", id, "-c"]).arg(config);
    for (name, password) in protected.into_iter().flat_map(|listeners| &listeners.users) {
        command.arg("--add-scram").arg(format!("SCRAM-SHA-512=[name={name},password={password}]"));
    }
    crate::command::run("formatting Kafka's log folder", &mut command).await.map(drop)
}

/// Asks for Metadata v1 without topics, and wants one broker in the answer.
///
/// Request: int32 size, int16 key 3, int16 version 1, int32 correlation, nullable string client id, array of topics.
/// Response: int32 size, int32 correlation, array of brokers (<https://kafka.apache.org/protocol#The_Messages_Metadata>).
async fn broker_is_registered(port: u16) -> Result<()> {
    const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(&REQUEST).await?;
    let (_size, correlation) = (stream.read_i32().await?, stream.read_i32().await?);
    let brokers = stream.read_i32().await?;
    ensure!(correlation == 1 && brokers == 1, "the broker is not registered yet");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_properties_name_both_listeners_and_refuse_unknown_topics() {
        let text = jvm::properties(&server_properties(Path::new("/run/kafka"), 9001, 9002));
        for line in [
            "listeners=PLAINTEXT://127.0.0.1:9001,CONTROLLER://127.0.0.1:9002",
            "controller.quorum.voters=1@127.0.0.1:9002",
            "auto.create.topics.enable=false",
            "log.retention.hours=720",
            "log.dirs=/run/kafka",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
