//! Changes at a steady rate, each sent by itself.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::changes::Changes;
use crate::{Topic, content};

/// Keeps what the broker acknowledged: partition, offset, and when it was sent, in microseconds since 1970.
#[derive(Debug, Default)]
struct Acknowledged(Mutex<Vec<(i32, i64, u128)>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = Box<u128>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent_us: Box<u128>) {
        // A message that failed is not in the list, which is then too short.
        if let Ok(message) = result {
            let acknowledged = (message.partition(), message.offset(), *sent_us);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(acknowledged);
        }
    }
}

/// Prints a line for each message (partition, offset, microseconds since 1970 when it was handed to the producer) and
/// answers what they must become.
pub(crate) fn write(args: &Topic, rate: u32, mut changes: Changes) -> Result<String, Box<dyn Error>> {
    let producer: ThreadedProducer<Acknowledged> = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("enable.idempotence", "true")
        .set("compression.codec", "lz4")
        .set("linger.ms", "0")
        .create_with_context(Acknowledged::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let bytes = runtime.block_on(send(args, rate, &producer, &mut changes))?;
    producer.flush(Duration::from_secs(30))?;
    let acknowledged = producer.context().0.lock().unwrap_or_else(PoisonError::into_inner);
    if u64::try_from(acknowledged.len())? != changes.made() {
        let (acknowledged, sent) = (acknowledged.len(), changes.made());
        return Err(format!("{}: {acknowledged} of {sent} messages were acknowledged", args.topic).into());
    }
    for (partition, offset, sent_us) in acknowledged.iter() {
        println!("{partition}\t{offset}\t{sent_us}");
    }
    Ok(content(&changes, bytes))
}

async fn send(
    args: &Topic,
    rate: u32,
    producer: &ThreadedProducer<Acknowledged>,
    changes: &mut Changes,
) -> Result<usize, Box<dyn Error>> {
    let period = Duration::from_secs(1) / rate.max(1);
    let mut clock = interval_at(Instant::now(), period);
    // What a busy machine delays is made up for.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut bytes = 0;
    while let Some(change) = changes.next() {
        clock.tick().await;
        bytes += change.value.len();
        let partition = i32::try_from(change.number % u128::try_from(args.partitions)?)?;
        let sent_us = Box::new(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros());
        let record = BaseRecord::with_opaque_to(&args.topic, sent_us)
            .partition(partition)
            .key(&change.key)
            .payload(&change.value);
        producer.send(record).map_err(|(error, _)| error)?;
    }
    Ok(bytes)
}
