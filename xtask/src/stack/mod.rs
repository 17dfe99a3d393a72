//! The real servers on loopback: PostgreSQL, Kafka, Kafka Connect with Debezium, ClickHouse.
//!
//! Invariant: whatever ends a stack (stop, drop, panic, a signal, SIGKILL), its servers end too, and its folder goes
//! at the latest when the next stack starts. Only a detached, released stack stays up.

mod account;
mod clickhouse;
mod clickhouse_config;
mod connect;
mod jvm;
mod kafka;
mod kit;
mod launch;
mod options;
mod ports;
mod postgres;
mod process;
mod protection;
pub(crate) mod readiness;
mod run_dir;
pub mod state;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use account::Account;
pub use clickhouse::{ClickHouseServer, ClickHouseSource};
pub use connect::ConnectServer;
pub use jvm::Jvm;
pub use kafka::KafkaServer;
pub use kit::Kit;
pub use launch::{Launch, Lifetime, StopManner};
pub use options::{Server, Site, StackOptions};
use ports::PortPlan;
pub use ports::{Ports, free_port, is_free};
pub use postgres::PostgresServer;
pub use process::ServerProcess;
pub use protection::{ClickHouseUser, Protection};
pub use readiness::{NotReady, wait_ready};
pub use run_dir::{RunDir, sweep_abandoned};

const ATTEMPTS: u32 = 3;
const GRACE: Duration = Duration::from_secs(10);

/// Running servers; those not asked for are `None`. Fields are dropped, and so stopped, in this order.
#[derive(Debug)]
pub struct Stack {
    /// Kafka Connect.
    pub connect: Option<ConnectServer>,
    /// Kafka.
    pub kafka: Option<KafkaServer>,
    /// PostgreSQL.
    pub postgres: Option<PostgresServer>,
    /// ClickHouse.
    pub clickhouse: Option<ClickHouseServer>,
    /// Data and logs.
    pub run_dir: RunDir,
}

impl Stack {
    /// Prepares (programs, downloads, builds) and starts the servers side by side; answers when all are ready.
    ///
    /// # Errors
    /// When something is missing, a port is taken, or a server does not become ready; then nothing is left running.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let kit = Kit::prepare(&options).await?;
        let mut attempt = 1;
        loop {
            let lost_port = match Self::start_once(&options, &kit).await {
                Err(error) if error.downcast_ref::<NotReady>().is_some_and(NotReady::port_was_taken) => error,
                answer => return answer,
            };
            // Between our look at a free port and the server's bind, another program may have taken it.
            if matches!(options.ports, Ports::From(_)) || attempt == ATTEMPTS {
                return Err(lost_port);
            }
            attempt += 1;
        }
    }

    async fn start_once(options: &StackOptions, kit: &Kit) -> Result<Self> {
        let run_dir = RunDir::create(options.keep, options.lifetime == Lifetime::Detached)?;
        let site = Site { run_dir: &run_dir, options };
        // All ports before the first server: a taken one is reported before anything runs.
        let ports = PortPlan::pick(options.ports)?;
        let (postgres, streaming, clickhouse) = tokio::try_join!(
            start_postgres(site, kit, ports),
            start_streaming(site, kit, ports),
            start_clickhouse(site, kit, ports)
        )?;
        let (kafka, connect) = streaming;
        Ok(Self { connect, kafka, postgres, clickhouse, run_dir })
    }

    /// PostgreSQL.
    ///
    /// # Errors
    /// When the stack was started without it.
    pub fn postgres(&self) -> Result<&PostgresServer> {
        self.postgres.as_ref().context("this stack was started without PostgreSQL")
    }

    /// Kafka.
    ///
    /// # Errors
    /// When the stack was started without it.
    pub fn kafka(&self) -> Result<&KafkaServer> {
        self.kafka.as_ref().context("this stack was started without Kafka")
    }

    /// Kafka Connect.
    ///
    /// # Errors
    /// When the stack was started without it.
    pub fn connect(&self) -> Result<&ConnectServer> {
        self.connect.as_ref().context("this stack was started without Kafka Connect")
    }

    /// ClickHouse.
    ///
    /// # Errors
    /// When the stack was started without it.
    pub fn clickhouse(&self) -> Result<&ClickHouseServer> {
        self.clickhouse.as_ref().context("this stack was started without ClickHouse")
    }

    /// Stops the servers in order and removes the folder, off the async threads.
    ///
    /// # Errors
    /// When the blocking task cannot be finished.
    pub async fn stop(self) -> Result<()> {
        tokio::task::spawn_blocking(move || drop(self)).await.context("stopping the stack")
    }

    /// Leaves the servers of a detached stack running and its folder in place.
    pub fn release(mut self) {
        self.run_dir.keep();
        self.processes_mut().into_iter().for_each(ServerProcess::release);
    }

    /// The processes, in the order in which they are stopped.
    #[must_use]
    pub fn processes(&self) -> Vec<&ServerProcess> {
        let connect = self.connect.as_ref().map(|server| &server.process);
        let kafka = self.kafka.as_ref().map(|server| &server.process);
        let postgres = self.postgres.as_ref().map(|server| &server.process);
        let clickhouse = self.clickhouse.as_ref().and_then(|server| server.process().ok());
        [connect, kafka, postgres, clickhouse].into_iter().flatten().collect()
    }

    fn processes_mut(&mut self) -> Vec<&mut ServerProcess> {
        let connect = self.connect.as_mut().map(|server| &mut server.process);
        let kafka = self.kafka.as_mut().map(|server| &mut server.process);
        let postgres = self.postgres.as_mut().map(|server| &mut server.process);
        let clickhouse = self.clickhouse.as_mut().and_then(ClickHouseServer::process_mut);
        [connect, kafka, postgres, clickhouse].into_iter().flatten().collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.processes().iter().all(|process| process.is_released()) {
            return;
        }
        // Connect first: it needs the others to end in order. Then all the others at the same time.
        if let Some(connect) = &self.connect {
            connect.process.stop(GRACE);
        }
        for process in self.processes() {
            let _ = process.kill(process.stop_manner().ask());
        }
        for process in self.processes() {
            process.stop(GRACE);
        }
    }
}

async fn start_postgres(site: Site<'_>, kit: &Kit, ports: PortPlan) -> Result<Option<PostgresServer>> {
    let Some(bin) = &kit.postgres_bin else { return Ok(None) };
    let begun = Instant::now();
    let server = PostgresServer::start(site, bin, ports.postgres).await?;
    announce(site, &server.process, begun);
    Ok(Some(server))
}

/// Kafka and Connect together: Connect's JVM loads while Kafka starts.
async fn start_streaming(
    site: Site<'_>,
    kit: &Kit,
    ports: PortPlan,
) -> Result<(Option<KafkaServer>, Option<ConnectServer>)> {
    let Some(jvm) = &kit.jvm else { return Ok((None, None)) };
    let begun = Instant::now();
    let connect = if site.options.wants(Server::Connect) {
        let bootstrap = format!("127.0.0.1:{}", ports.kafka);
        Some(ConnectServer::launch(site, jvm, &bootstrap, ports.connect)?)
    } else {
        None
    };
    let kafka = KafkaServer::start(site, jvm, ports.kafka, ports.controller).await?;
    announce(site, &kafka.process, begun);
    if let Some(connect) = &connect {
        connect.wait_ready().await?;
        announce(site, &connect.process, begun);
    }
    Ok((Some(kafka), connect))
}

async fn start_clickhouse(site: Site<'_>, kit: &Kit, ports: PortPlan) -> Result<Option<ClickHouseServer>> {
    let Some(source) = &kit.clickhouse else { return Ok(None) };
    let begun = Instant::now();
    let server = ClickHouseServer::start(site, source, ports.clickhouse).await?;
    if let Ok(process) = server.process() {
        announce(site, process, begun);
    }
    Ok(Some(server))
}

fn announce(site: Site<'_>, process: &ServerProcess, begun: Instant) {
    if site.options.announce {
        crate::say(&format!("{} is ready after {:.1} s", process.name(), begun.elapsed().as_secs_f64()));
    }
}
