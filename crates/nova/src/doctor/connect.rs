//! Kafka Connect: the connector is there, runs, and has the settings that `nova connector render` shows.

use nova_streams::StreamSet;

use super::check::{Check, Group};
use crate::config::Config;
use crate::connector::{Cause, Connect, ConnectError, Rendered, Routing};
use crate::exit::Failure;

const GROUP: Group = Group("Kafka Connect");

/// All checks of Kafka Connect.
pub(super) async fn checks(config: &Config, streams: &StreamSet) -> Vec<Check> {
    let name = &config.connect.url;
    let skip = || ["settings", "connector"].map(|name| GROUP.skipped(name, "needs the answer above"));
    let connect = match Connect::new(name) {
        Ok(connect) => connect,
        Err(error @ ConnectError::NotOurs) => return vec![GROUP.skipped("connect.url", error.to_string())],
        Err(error) => return std::iter::once(away(name, &error)).chain(skip()).collect(),
    };
    let mut checks = match connect.version().await {
        Ok(version) => vec![GROUP.ok(name, format!("Kafka {version}"))],
        Err(error) => return std::iter::once(away(name, &error)).chain(skip()).collect(),
    };
    match Routing::of(streams).and_then(|routing| Rendered::of(config, &routing)) {
        Ok(rendered) => {
            checks.extend(validation(&connect, config, &rendered).await);
            checks.push(settings(&connect, config, &rendered).await);
        }
        Err(Failure { message, cure, .. }) => checks.push(GROUP.fail("settings", message, cure)),
    }
    checks.push(state(&connect, config).await);
    checks
}

fn away(name: &str, error: &ConnectError) -> Check {
    let cure = "Start Kafka Connect, or correct connect.url.";
    match error {
        ConnectError::Unreachable { .. } => GROUP.unreachable(name, error.to_string(), cure),
        _ => GROUP.fail(name, error.to_string(), cure),
    }
}

/// Connect's own check: the plugin, exactly-once sources, the login to PostgreSQL from where Connect stands.
async fn validation(connect: &Connect, config: &Config, rendered: &Rendered) -> Vec<Check> {
    let what = "settings, as Connect sees them";
    match connect.validate(&config.connect.connector, rendered.settings()).await {
        Ok(findings) if findings.is_empty() => {
            vec![GROUP.ok(what, "accepted: plugin, exactly-once sources, login to PostgreSQL")]
        }
        Ok(findings) => {
            let check = |message: &str, key: &str| {
                let Cause { sentence, cure, .. } = Cause::of(message, config);
                GROUP.fail(format!("setting {key}"), rendered.scrub(&sentence), cure)
            };
            findings.iter().map(|finding| check(&finding.message, &finding.key)).collect()
        }
        Err(error) => {
            let Cause { sentence, cure, .. } = Cause::of(&error.to_string(), config);
            vec![GROUP.fail(what, rendered.scrub(&sentence), cure)]
        }
    }
}

async fn settings(connect: &Connect, config: &Config, rendered: &Rendered) -> Check {
    let name = format!("connector {}: settings", config.connect.connector);
    match connect.config(&config.connect.connector).await {
        Ok(None) => GROUP.fail(name, "not registered", "Run `nova connector apply`."),
        Ok(Some(registered)) => {
            let differing = rendered.differences(&registered);
            if differing.is_empty() {
                return GROUP.ok(name, "as `nova connector render` shows");
            }
            let finding = format!("differ in {}", differing.join(", "));
            GROUP.fail(name, finding, "Run `nova connector apply`, or bring the configuration up to date.")
        }
        Err(error) => GROUP.fail(name, error.to_string(), "See Connect's log."),
    }
}

async fn state(connect: &Connect, config: &Config) -> Check {
    let name = format!("connector {}: state", config.connect.connector);
    match connect.status(&config.connect.connector).await {
        Ok(None) => GROUP.fail(name, "not registered", "Run `nova connector apply`."),
        Ok(Some(status)) => match status.verdict(&config.connect.connector, config) {
            Ok(()) => GROUP.ok(name, "RUNNING"),
            Err(Failure { message, cure, .. }) => GROUP.fail(name, message, cure),
        },
        Err(error) => GROUP.fail(name, error.to_string(), "See Connect's log."),
    }
}
