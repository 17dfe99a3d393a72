//! Puts the configuration together: defaults, file, environment, flags, each over the one before.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use thiserror::Error;

use super::security::SecurityError;
use super::show::is_secret;
use super::telemetry::OTEL_VARIABLES;
use super::{Config, Secret};

/// The file that is read when none is named and it is there.
const DEFAULT_FILE: &str = "nova.toml";

/// Variables of the development tools that share the prefix.
const NOT_OURS: [&str; 6] =
    ["NOVA_CACHE_DIR", "NOVA_CONFIG", "NOVA_KAFKA_LIBS", "NOVA_KEEP_LOGS", "NOVA_LIBCHDB", "NOVA_MUTANT"];

/// A configuration that cannot be used, with what to do about it.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The named file is not there, or not readable.
    #[error("configuration file {path}: {error}; name an existing file with --config")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A key or a value is wrong; the text names key, value and origin.
    #[error("{0}; `nova config show` lists all keys")]
    Invalid(String),
    /// A variable names no setting.
    #[error(
        "environment variable {0} names no setting: write NOVA_<SECTION>_<KEY>, for example NOVA_KAFKA_BROKERS"
    )]
    Variable(String),
    /// A flag is not of the form `key=value`.
    #[error("--set {0}: write key=value, for example --set kafka.brokers=localhost:9092")]
    Flag(String),
    /// Settings about TLS and logins do not go together.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// A password file cannot be read.
    #[error("{key} = {path}: {error}")]
    PasswordFile {
        /// The setting.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// Where each value came from.
pub struct Origins(Figment);

/// A configuration with its origins.
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Where they came from.
    pub origins: Origins,
}

impl Loaded {
    /// Loads from the file (or `nova.toml` when it is there), the environment and `key=value` flags.
    ///
    /// # Errors
    /// Any unknown key, any value of the wrong type, any unreadable file: with name, origin and cure.
    pub fn load(file: Option<&Path>, flags: &[String]) -> Result<Self, ConfigError> {
        Self::load_from(file, env::vars(), flags)
    }

    /// The same with these variables in place of the environment.
    pub(crate) fn load_from(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, ConfigError> {
        let variables: Vec<_> = variables.collect();
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        for (variable, key) in OTEL_VARIABLES {
            if let Some((_, text)) = variables.iter().find(|(name, _)| name == variable) {
                let mut layer = Layer { name: variable, values: Dict::new() };
                layer.insert(key, text);
                figment = figment.merge(layer);
            }
        }
        let default = Path::new(DEFAULT_FILE);
        if let Some(path) = file.or(default.exists().then_some(default)) {
            fs::metadata(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
            figment = figment.merge(Toml::file_exact(path));
        }
        figment = figment.merge(Layer::of_environment(variables.into_iter())?).merge(Layer::of_flags(flags)?);
        let mut config: Config = figment.extract().map_err(|error| ConfigError::Invalid(describe(&error)))?;
        read_password_files(&mut config)?;
        config.check_security()?;
        let origins = Origins(figment);
        if let (Some(streams), Some(file)) = (&mut config.streams, origins.file_of("streams")) {
            *streams = file.parent().unwrap_or(Path::new("")).join(&streams);
        }
        Ok(Self { config, origins })
    }
}

impl Origins {
    /// The file that a key's value came from, if it is one.
    fn file_of(&self, key: &str) -> Option<&Path> {
        match self.0.find_metadata(key)?.source.as_ref()? {
            figment::Source::File(path) => Some(path),
            _ => None,
        }
    }

    /// Where the value of a key such as `kafka.brokers` came from.
    pub fn of(&self, key: &str) -> String {
        let Some(metadata) = self.0.find_metadata(key) else { return "default".to_owned() };
        match &metadata.source {
            Some(figment::Source::File(path)) => path.display().to_string(),
            _ if metadata.name == Layer::ENVIRONMENT => {
                format!("environment NOVA_{}", key.replace('.', "_").to_uppercase())
            }
            _ if metadata.name == Layer::FLAGS => "flag --set".to_owned(),
            _ if OTEL_VARIABLES.iter().any(|(variable, _)| metadata.name == *variable) => {
                format!("environment {}", metadata.name)
            }
            _ => "default".to_owned(),
        }
    }
}

/// The environment or the flags, as a tree of values.
struct Layer {
    name: &'static str,
    values: Dict,
}

impl Layer {
    const ENVIRONMENT: &'static str = "environment";
    const FLAGS: &'static str = "flag --set";

    fn of_environment(variables: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut layer = Self { name: Self::ENVIRONMENT, values: Dict::new() };
        for (variable, text) in variables {
            let Some(rest) =
                variable.strip_prefix("NOVA_").filter(|_| !NOT_OURS.contains(&variable.as_str()))
            else {
                continue;
            };
            let rest = rest.to_lowercase();
            let key = match rest.split_once('_') {
                Some((section, key)) if is_section(section) => format!("{section}.{key}"),
                _ if rest == "streams" => rest,
                _ => return Err(ConfigError::Variable(variable)),
            };
            layer.insert(&key, &text);
        }
        Ok(layer)
    }

    fn of_flags(flags: &[String]) -> Result<Self, ConfigError> {
        let mut layer = Self { name: Self::FLAGS, values: Dict::new() };
        for flag in flags {
            let (key, text) = flag.split_once('=').ok_or_else(|| ConfigError::Flag(flag.clone()))?;
            layer.insert(key.trim(), text);
        }
        Ok(layer)
    }

    fn insert(&mut self, key: &str, text: &str) {
        // A password such as `007` must stay a text; everything else is read as TOML would read it.
        let value = if is_secret(key) {
            Value::from(text)
        } else {
            text.parse().unwrap_or_else(|_| Value::from(text))
        };
        // A map's key (`kafka.librdkafka.ssl.key.location`) has dots of its own.
        let maps = ["kafka.librdkafka.", "connect.extra.", "telemetry.resource."];
        let path: Vec<&str> = if maps.iter().any(|map| key.starts_with(map)) {
            key.splitn(3, '.').collect()
        } else {
            key.split('.').collect()
        };
        insert(&mut self.values, &path, value);
    }
}

fn insert(into: &mut Dict, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => {
            into.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let inner = into.entry((*first).to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

fn is_section(name: &str) -> bool {
    matches!(
        name,
        "postgres"
            | "kafka"
            | "connect"
            | "clickhouse"
            | "pipeline"
            | "reconcile"
            | "monitoring"
            | "admin"
            | "log"
            | "telemetry"
    )
}

/// All findings in one line each: key, what was found, what was expected, where it was set.
fn describe(error: &figment::Error) -> String {
    let findings: Vec<String> = error
        .clone()
        .into_iter()
        .map(|finding| {
            let key = finding.path.join(".");
            let origin = match finding.metadata.as_ref().map(|metadata| (&metadata.name, &metadata.source)) {
                Some((_, Some(figment::Source::File(path)))) => format!("{}: ", path.display()),
                Some((name, _)) => format!("{name}: "),
                None => String::new(),
            };
            if is_secret(&key) {
                format!("{origin}{key}: not a text (the value is not repeated)")
            } else if key.is_empty() {
                format!("{origin}{}", without_excerpt(&finding.kind.to_string()))
            } else {
                format!("{origin}{key}: {}", finding.kind)
            }
        })
        .collect();
    findings.join("\n")
}

/// The parser's message without the lines of the file that it quotes: one of them may hold a password.
fn without_excerpt(message: &str) -> String {
    let quoted = |line: &str| {
        let number = |character: char| character.is_ascii_digit() || character.is_whitespace();
        line.trim_start_matches(number).starts_with('|')
    };
    let lines: Vec<&str> =
        message.lines().map(str::trim).filter(|line| !line.is_empty() && !quoted(line)).collect();
    lines.join(": ")
}

fn read_password_files(config: &mut Config) -> Result<(), ConfigError> {
    let places = [
        ("postgres.password_file", &config.postgres.password_file, &mut config.postgres.password),
        (
            "postgres.owner_password_file",
            &config.postgres.owner_password_file,
            &mut config.postgres.owner_password,
        ),
        ("kafka.password_file", &config.kafka.password_file, &mut config.kafka.password),
        ("clickhouse.password_file", &config.clickhouse.password_file, &mut config.clickhouse.password),
        (
            "connect.replication_password_file",
            &config.connect.replication_password_file,
            &mut config.connect.replication_password,
        ),
        ("admin.token_file", &config.admin.token_file, &mut config.admin.token),
        (
            "telemetry.otlp_headers_file",
            &config.telemetry.otlp_headers_file,
            &mut config.telemetry.otlp_headers,
        ),
    ];
    for (key, path, password) in places {
        if let Some(path) = path {
            let text = fs::read_to_string(path).map_err(|error| ConfigError::PasswordFile {
                key,
                path: path.clone(),
                error,
            })?;
            *password = Secret::new(text.trim_end_matches(['\r', '\n']));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
