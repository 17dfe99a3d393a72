//! One Kafka node in KRaft mode on free ports of the loopback, in a temporary folder.
//!
//! Invariant: the process is killed by its own id when the last test that uses it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::world::eventually;

static SHARED: Mutex<Weak<Broker>> = Mutex::const_new(Weak::new());

pub(crate) struct Broker {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Broker {
    /// The broker that tests share while any of them runs.
    pub(crate) async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(broker) = shared.upgrade() {
            return broker;
        }
        let broker = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&broker);
        broker
    }

    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, controller) = free_ports();
        std::fs::write(folder.path().join("server.properties"), properties(folder.path(), port, controller))
            .unwrap();
        let formatted = java(folder.path(), "kafka.tools.StorageTool")
            .args(["format", "-t", "bm92YS1rYWZrYS10ZXN0cw", "-c"])
            .arg(folder.path().join("server.properties"))
            .status()
            .unwrap();
        assert!(formatted.success(), "formatting Kafka's folder failed");
        let process = run(folder.path());
        let broker = Self { process, port, folder };
        broker.ready().await;
        broker
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills the broker as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on its port and data.
    pub(crate) async fn start_again(&mut self) {
        self.process = run(self.folder.path());
        self.ready().await;
    }

    async fn ready(&self) {
        let address = self.address();
        eventually("the broker is ready", Duration::from_secs(60), async || {
            let config = ClientConfig::new().set("bootstrap.servers", &address).clone();
            let asked = tokio::task::spawn_blocking(move || {
                let consumer: BaseConsumer = config.create().unwrap();
                consumer
                    .fetch_metadata(None, Duration::from_secs(1))
                    .is_ok_and(|found| !found.brokers().is_empty())
            });
            asked.await.unwrap().then_some(())
        })
        .await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(folder: &Path) -> Child {
    java(folder, "kafka.Kafka").arg(folder.join("server.properties")).spawn().unwrap()
}

fn java(folder: &Path, main_class: &str) -> Command {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("kafka.log")).unwrap();
    let mut command = Command::new("java");
    command
        .args(["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(libs().join("*"))
        .arg(main_class)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command
}

fn libs() -> PathBuf {
    if let Some(libs) = std::env::var_os("NOVA_KAFKA_LIBS") {
        return libs.into();
    }
    let cache = std::env::var_os("NOVA_CACHE_DIR").map(PathBuf::from).unwrap_or_else(|| {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
        base.join("nova-cdc")
    });
    cache.join("kafka-4.3.1")
}

fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [broker, controller] = listeners.map(|listener| listener.local_addr().unwrap().port());
    (broker, controller)
}

fn properties(folder: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         group.consumer.min.heartbeat.interval.ms=300\n\
         group.consumer.heartbeat.interval.ms=300\n\
         log.cleaner.dedupe.buffer.size=8388608\n",
        folder.join("data").display()
    )
}
