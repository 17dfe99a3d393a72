//! Kafka Connect: the connector and its tasks.

use serde::Serialize;

use crate::config::Config;
use crate::connector::{Connect, missing};
use crate::exit::{Exit, Failure};

/// What Kafka Connect says of the connector.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectorFacts {
    /// Its name.
    pub connector: String,
    /// `RUNNING`, `FAILED`, `PAUSED`, `STOPPED`, `RESTARTING` or `UNASSIGNED`; `None` if it is not registered.
    pub state: Option<String>,
    /// Each task's state, in their order.
    pub tasks: Vec<String>,
    /// What keeps it from running, if anything does.
    pub trouble: Option<Trouble>,
}

/// Something that a person must see to.
#[derive(Debug, Clone, Serialize)]
pub struct Trouble {
    /// What it is.
    pub what: String,
    /// What to do.
    pub cure: String,
    /// Whether it only needs time, or a worker of Connect.
    #[serde(skip)]
    pub pending: bool,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { what: failure.message, cure: failure.cure, pending: failure.exit == Exit::Unavailable }
    }
}

pub(super) async fn look(config: &Config) -> Result<ConnectorFacts, Failure> {
    let connector = config.connect.connector.clone();
    let Some(status) = Connect::new(&config.connect.url)?.status(&connector).await? else {
        let trouble = Some(missing(&connector).into());
        return Ok(ConnectorFacts { connector, state: None, tasks: Vec::new(), trouble });
    };
    let trouble = status.verdict(&connector, config).err().map(Trouble::from);
    let tasks = status.tasks.into_iter().map(|task| task.state).collect();
    Ok(ConnectorFacts { connector, state: Some(status.connector.state), tasks, trouble })
}
