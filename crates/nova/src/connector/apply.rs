//! `nova connector apply`: checks, makes topics, registers, waits; or puts everything back.
//!
//! Invariant: whatever ends it (a failure, the deadline, Ctrl-C), Connect holds the new settings and runs them, or
//! holds what it held before. Doing it twice changes nothing.

use std::collections::BTreeMap;

use nova_kafka::{Created, TopicSpec, create_topics};
use nova_streams::StreamSet;

use super::progress::Progress;
use super::rest::Connect;
use super::slot::Slot;
use super::verdict::Verdict;
use super::{Cause, Rendered, Routing, slot, status, topics, wait};
use crate::config::Config;
use crate::doctor::source_failures;
use crate::exit::{Exit, Failure, Outcome};
use crate::run::kafka_connection;

/// Brings Kafka and Connect to what the configuration and the streams declare.
pub(super) async fn run(config: &Config, streams: &StreamSet) -> Outcome {
    let routing = Routing::of(streams)?;
    let rendered = Rendered::of(config, &routing)?;
    let connect = Connect::new(&config.connect.url)?;
    connect.version().await?;
    let name = &config.connect.connector;
    let former = connect.config(name).await.map_err(|error| scrubbed(error.into(), &rendered))?;
    validate(&connect, config, &rendered).await?;
    check_source(config, streams).await?;
    make_topics(config, &topics::specs(config, &routing)).await?;
    let apply = Apply { connect, config, name, rendered };
    match former {
        Some(former) if apply.rendered.differences(&former).is_empty() => apply.unchanged().await,
        former => apply.changed(former).await,
    }
}

async fn validate(connect: &Connect, config: &Config, rendered: &Rendered) -> Outcome {
    let _progress = Progress::start("letting Kafka Connect check the settings".to_owned());
    let findings = connect.validate(&config.connect.connector, rendered.settings()).await;
    let findings = findings.map_err(|error| {
        let cause = Cause::of(&error.to_string(), config);
        scrubbed(Failure { cure: cause.cure, ..Failure::from(error) }, rendered)
    })?;
    let Some(first) = findings.first() else { return Ok(()) };
    let Cause { cure, exit, .. } = Cause::of(&first.message, config);
    let list: Vec<String> = findings
        .iter()
        .map(|finding| format!("{}: {}", finding.key, Cause::of(&finding.message, config).sentence))
        .collect();
    let message = format!("Kafka Connect refuses the connector's settings: {}", list.join("; "));
    Err(scrubbed(Failure::new(exit, message).with_cure(cure), rendered))
}

/// What Connect does not look at: a missing grant or publication shows only after the connector has started.
async fn check_source(config: &Config, streams: &StreamSet) -> Outcome {
    let Some(failures) = source_failures(config, streams).await else {
        tracing::warn!("PostgreSQL was not checked: [postgres] cannot log in from here");
        return Ok(());
    };
    let Some(first) = failures.first() else { return Ok(()) };
    let list: Vec<String> =
        failures.iter().map(|check| format!("PostgreSQL, {}: {}", check.name, check.finding)).collect();
    Err(Failure::new(Exit::Failure, list.join("\n")).with_cure(&first.cure))
}

async fn make_topics(config: &Config, specs: &[TopicSpec]) -> Outcome {
    let progress = Progress::start(format!("making the topics that {} lacks", config.kafka.brokers));
    let created = create_topics(&kafka_connection(config), specs).await?;
    drop(progress);
    for (spec, created) in specs.iter().zip(created) {
        match created {
            Created::New => println!("topic {}: created ({} partitions)", spec.name, spec.partitions),
            Created::Existed => println!("topic {}: exists", spec.name),
        }
    }
    Ok(())
}

struct Apply<'a> {
    connect: Connect,
    config: &'a Config,
    name: &'a str,
    rendered: Rendered,
}

impl Apply<'_> {
    /// The settings are right already; what failed is started once more.
    async fn unchanged(&self) -> Outcome {
        let seen = self.connect.status(self.name).await?;
        match (Verdict::of(seen.as_ref()), &seen) {
            (Verdict::Halted, Some(seen)) => return Err(status::halted(self.name, seen)),
            (Verdict::Failed, _) => self.connect.restart_failed(self.name).await?,
            _ => {}
        }
        wait::until_running(&self.connect, self.config)
            .await
            .map_err(|failure| scrubbed(failure, &self.rendered))?;
        println!("connector {}: unchanged, running", self.name);
        Ok(())
    }

    async fn changed(&self, former: Option<BTreeMap<String, String>>) -> Outcome {
        let slot = slot::look(self.config).await;
        if former.is_none() && slot == Slot::Read {
            let name = &self.config.connect.slot;
            return Err(Failure::new(Exit::Failure, format!("another connection reads slot {name} already"))
                .with_cure("Stop the connector that does, or set another connect.slot."));
        }
        let outcome = tokio::select! {
            outcome = self.register() => outcome,
            _ = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        };
        let Err(failure) = outcome else {
            let did = if former.is_some() { "updated" } else { "created" };
            println!("connector {}: {did}, running", self.name);
            return Ok(());
        };
        let undone = self.undo(former, slot).await;
        let failure = scrubbed(failure, &self.rendered);
        Err(Failure { message: format!("{}\n{undone}", failure.message), ..failure })
    }

    async fn register(&self) -> Outcome {
        self.connect.put(self.name, self.rendered.settings()).await.map_err(|error| {
            let cause = Cause::of(&error.to_string(), self.config);
            Failure { cure: cause.cure, ..Failure::from(error) }
        })?;
        wait::until_running(&self.connect, self.config).await
    }

    /// Puts Connect back to what it held before; what came of it, in one sentence.
    async fn undo(&self, former: Option<BTreeMap<String, String>>, slot: Slot) -> String {
        let name = self.name;
        if let Some(former) = former {
            return match self.connect.put(name, &former).await {
                Ok(()) => format!("Connector {name} has its former settings again."),
                Err(error) => format!("Connector {name} still has the new settings: {error}"),
            };
        }
        // A registration that was refused has left nothing to delete, and that is an answer too.
        match self.connect.config(name).await {
            Ok(None) => return "Nothing was registered.".to_owned(),
            Ok(Some(_)) => {}
            Err(error) => return format!("Connector {name} may still be registered: {error}"),
        }
        if let Err(error) = self.connect.delete(name).await {
            return format!("Connector {name} is still registered: {error}");
        }
        match slot {
            Slot::Idle | Slot::Read => format!("Connector {name} was deleted again."),
            Slot::Absent if slot::drop_idle(self.config).await => {
                format!("Connector {name} was deleted again, and no slot is left of it.")
            }
            _ => format!(
                "Connector {name} was deleted again; its slot may be left and would keep WAL: SELECT pg_drop_replication_slot('{}').",
                self.config.connect.slot
            ),
        }
    }
}

fn scrubbed(failure: Failure, rendered: &Rendered) -> Failure {
    Failure { message: rendered.scrub(&failure.message), ..failure }
}
