//! The stack's promises on real servers: they start, come back on the same port and data after SIGKILL, say when a
//! port is taken, and are gone when their handle is.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use xtask::stack::{
    KafkaServer, Kit, Launch, Lifetime, NotReady, PostgresServer, RunDir, Server, ServerProcess, Site, Stack,
    StackOptions, StopManner, free_port, state,
};

#[tokio::test]
async fn postgres_keeps_its_data_through_sigkill_and_goes_with_its_handle() {
    let mut stack = Stack::start(StackOptions::only(&[Server::Postgres])).await.unwrap();
    let url = stack.postgres().unwrap().admin_url();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT 7 AS number").execute(&mut connection).await.unwrap();
    let wal_level: String = sqlx::query_scalar("SHOW wal_level").fetch_one(&mut connection).await.unwrap();
    assert_eq!(wal_level, "logical");

    let postgres = stack.postgres.as_mut().unwrap();
    let first = postgres.process.pid();
    postgres.process.kill(Signal::SIGKILL).unwrap();
    postgres.restart().await.unwrap();
    assert_ne!(postgres.process.pid(), first);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let number: i32 = sqlx::query_scalar("SELECT number FROM kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(number, 7);

    let wrong = url.replace(stack.postgres().unwrap().password(), "wrong");
    assert!(PgConnection::connect(&wrong).await.is_err());

    let (pid, folder) = (stack.postgres().unwrap().process.pid(), stack.run_dir.path().to_owned());
    stack.stop().await.unwrap();
    assert_eq!(state::running_since(pid), None);
    assert!(!folder.exists());
}

#[tokio::test]
async fn kafka_and_connect_come_back_after_sigkill() {
    let mut stack = Stack::start(StackOptions::only(&[Server::Connect])).await.unwrap();
    let kafka = stack.kafka.as_mut().unwrap();
    let bootstrap = kafka.bootstrap();
    let topics = "org.apache.kafka.tools.TopicCommand";
    let create = ["--bootstrap-server", &bootstrap, "--create", "--topic", "kept", "--partitions", "3"];
    kafka.tool(topics, &create).await.unwrap();
    kafka.process.kill(Signal::SIGKILL).unwrap();
    kafka.restart().await.unwrap();
    let list = kafka.tool(topics, &["--bootstrap-server", &bootstrap, "--list"]).await.unwrap();
    assert!(list.lines().any(|topic| topic == "kept"), "{list}");

    let connect = stack.connect.as_mut().unwrap();
    connect.process.kill(Signal::SIGKILL).unwrap();
    assert!(connect.process.wait_ended(Duration::from_secs(10)));
    connect.restart().await.unwrap();
    let plugins =
        reqwest::get(format!("{}/connector-plugins", connect.url())).await.unwrap().text().await.unwrap();
    assert!(plugins.contains("io.debezium.connector.postgresql.PostgresConnector"), "{plugins}");

    let pids: Vec<i32> = stack.processes().iter().map(|process| process.pid()).collect();
    drop(stack);
    assert_eq!(pids.len(), 2);
    assert!(pids.into_iter().all(|pid| state::running_since(pid).is_none()));
}

/// GIVEN a port that somebody took after we looked / WHEN a server starts on it / THEN the error says so in a way that
/// `Stack::start` understands.
#[tokio::test]
async fn a_port_lost_in_a_race_is_recognised() {
    let options = StackOptions::only(&[Server::Postgres, Server::Kafka]);
    let kit = Kit::prepare(&options).await.unwrap();
    let run_dir = RunDir::create(false, false).unwrap();
    let site = Site { run_dir: &run_dir, options: &options };
    let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap())).unwrap();
    let port = holder.local_addr().unwrap().port();

    let postgres = PostgresServer::start(site, kit.postgres_bin.as_ref().unwrap(), port).await.unwrap_err();
    assert!(postgres.downcast_ref::<NotReady>().unwrap().port_was_taken(), "{postgres}");
    let kafka =
        KafkaServer::start(site, kit.jvm.as_ref().unwrap(), port, free_port().unwrap()).await.unwrap_err();
    assert!(kafka.downcast_ref::<NotReady>().unwrap().port_was_taken(), "{kafka}");
}

/// The program that the next test kills: it owns one server and does nothing else.
#[test]
#[ignore = "run by a_server_ends_when_its_owner_is_killed, as a process of its own"]
fn owner_of_one_server() {
    let dir = std::env::temp_dir();
    let launch = Launch {
        name: "sleep",
        program: "sleep".into(),
        args: vec!["600".into()],
        envs: vec![],
        account: None,
        log: "/dev/null".into(),
        dir,
        stop: StopManner::Terminate,
        lifetime: Lifetime::WithOwner,
    };
    let server = ServerProcess::spawn(launch).unwrap();
    println!("server {}", server.pid());
    assert!(server.wait_ended(Duration::from_secs(600)));
}

#[test]
fn a_server_ends_when_its_owner_is_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner_of_one_server", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let pid = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("server ")?.parse().ok());
    let pid: i32 = pid.unwrap();
    let alive = state::running_since(pid);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(alive.is_some());
    let end = Instant::now() + Duration::from_secs(10);
    while state::running_since(pid).is_some() {
        assert!(Instant::now() < end, "the server {pid} outlived its owner");
        std::thread::yield_now();
    }
}
