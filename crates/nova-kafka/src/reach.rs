//! Whether the brokers let us in, and why not. librdkafka tries for ever, and tells its reasons only beside.
//!
//! Invariant: what the failure is follows from librdkafka's codes and rustls's types; words are shown, never read.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nova_pipeline::{ErrorKind, PipelineError};
use nova_tls::{Keys, examine};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::errors::failed;
use crate::options::KafkaConnection;

/// Between two looks at what librdkafka complained of.
const SLICE: Duration = Duration::from_millis(250);
/// A broker that hangs up, or nobody there: told after so long, for the next try or another broker may do better.
const NOT_YET: Duration = Duration::from_secs(3);
/// How long a reason is looked for after something has failed already.
const REASON_WITHIN: Duration = Duration::from_secs(10);
/// Any topic will do; an answer that there is none is an answer.
const SOME_TOPIC: &str = "nova";
const KEYS: Keys = Keys { ca_file: "kafka.ca_file", address: "kafka.brokers" };

/// Connects to one of the brokers and logs in.
///
/// # Errors
/// `Untrusted` for a certificate that is not accepted, `AccessDenied` for a login that is refused, both at once; and
/// `Unavailable` when `within` has passed.
pub async fn reach(connection: &KafkaConnection, within: Duration) -> Result<(), PipelineError> {
    try_out(connection.config()?, within).await
}

/// The reason behind an error that only says that nobody answers.
pub(crate) async fn explained(config: &ClientConfig, error: PipelineError) -> PipelineError {
    if error.kind != ErrorKind::Unavailable || config.get("security.protocol").is_none() {
        return error;
    }
    match try_out(config.clone(), REASON_WITHIN).await {
        Err(reason) if reason.kind != ErrorKind::Unavailable => reason,
        _ => error,
    }
}

async fn try_out(mut config: ClientConfig, within: Duration) -> Result<(), PipelineError> {
    // No member of a group: the brokers would be asked for its coordinator.
    config.remove("group.id");
    config.remove("group.instance.id");
    let setting = |key: &str| config.get(key).unwrap_or_default().to_owned();
    let (brokers, ca_file, user) =
        (setting("bootstrap.servers"), setting("ssl.ca.location"), setting("sasl.username"));
    let asking = tokio::task::spawn_blocking(move || ask(&config, within));
    let complaint = match asking.await {
        Ok(answer) => answer?,
        Err(error) => Some((Code::Unknown, format!("a call to Kafka: {error}"))),
    };
    let Some((code, reason)) = complaint else { return Ok(()) };
    let at = format!("Kafka at {brokers}");
    Err(match code {
        Code::SSL => untrusted(&at, &brokers, &ca_file, &reason).await,
        Code::Authentication => {
            let message = format!(
                "{at} refused the login of `{user}`: {reason}; correct kafka.user and kafka.password"
            );
            PipelineError::new(ErrorKind::AccessDenied, message)
        }
        _ => PipelineError::new(ErrorKind::Unavailable, format!("{at}: {reason}")),
    })
}

async fn untrusted(at: &str, brokers: &str, ca_file: &str, reason: &str) -> PipelineError {
    let ca_file = (!ca_file.is_empty()).then(|| Path::new(ca_file));
    for broker in brokers.split(',').map(str::trim) {
        if let Some(fault) = examine(broker, ca_file).await {
            let message = format!("Kafka at {broker}: {fault}; {}", fault.cure(KEYS));
            return PipelineError::new(ErrorKind::Untrusted, message);
        }
    }
    PipelineError::new(ErrorKind::Untrusted, format!("{at}: {reason}"))
}

/// Asks until there is an answer, a complaint that will not go away by itself, or no time left.
fn ask(config: &ClientConfig, within: Duration) -> Result<Option<(Code, String)>, PipelineError> {
    let doing = "connecting to Kafka";
    let consumer: BaseConsumer<Witness> =
        config.create_with_context(Witness::default()).map_err(|error| failed(doing, &error))?;
    let begun = Instant::now();
    loop {
        if consumer.fetch_metadata(Some(SOME_TOPIC), SLICE).is_ok() {
            return Ok(None);
        }
        // Complaints wait on the queue until somebody polls it.
        while consumer.poll(Duration::ZERO).is_some() {}
        let last = consumer.context().last();
        match last {
            Some((Code::SSL | Code::Authentication, _)) => return Ok(last),
            Some(_) if begun.elapsed() >= NOT_YET.min(within) => return Ok(last),
            // Silence is waited out: on a busy machine a handshake takes its time.
            _ if begun.elapsed() < within => {}
            Some(_) => return Ok(last),
            None => {
                let reason = format!("no answer within {} s", within.as_secs());
                return Ok(Some((Code::OperationTimedOut, reason)));
            }
        }
    }
}

/// Keeps the last complaint.
#[derive(Default)]
struct Witness(Mutex<Option<(Code, String)>>);

impl Witness {
    fn last(&self) -> Option<(Code, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Witness {
    /// The caller tells the reason; twice would be too often.
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // That all brokers are down says less than why the last one is.
        if code != Code::AllBrokersDown {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((code, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Witness {}
