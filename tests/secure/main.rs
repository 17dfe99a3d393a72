//! Nova on real servers that speak TLS and let nobody in without a login: what works, and what each mistake is told by.
//!
//! Invariant: the servers are started once, for all scenarios, which run one after the other and leave them as they
//! were; they are gone at the end whatever that is.

mod authority;
mod commands;
mod faults;
mod privileges;
mod right;
mod scripts;
mod site;
#[path = "../end_to_end/wait.rs"]
mod wait;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use site::Site;

/// The servers, once a scenario wants them.
type Servers = Arc<OnceCell<Site>>;

fn trial<S>(servers: &Servers, name: &str, scenario: S) -> Trial
where
    S: AsyncFnOnce(&Site) -> Result<()> + Send + 'static,
{
    let (servers, runtime) = (Arc::clone(servers), Handle::current());
    let perform = move || {
        let outcome = runtime.block_on(async { scenario(servers.get_or_try_init(Site::start).await?).await });
        outcome.map_err(|error| Failed::from(format!("{error:#}")))
    };
    Trial::test(name, perform)
}

fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // They share the servers, and some of them break one for a while.
    arguments.test_threads = Some(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let _entered = runtime.enter();
    let servers = Servers::default();
    let trials = vec![
        trial(&servers, "right", right::right),
        trial(&servers, "commands", commands::commands),
        trial(&servers, "clickhouse_rights", privileges::clickhouse),
        trial(&servers, "postgres_rights", privileges::postgres),
        trial(&servers, "kafka_rights", privileges::kafka),
        trial(&servers, "connector", faults::connector),
        trial(&servers, "configuration", faults::configuration),
        trial(&servers, "kafka", faults::kafka),
        trial(&servers, "clickhouse", faults::clickhouse),
        trial(&servers, "postgres", faults::postgres),
    ];
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}
