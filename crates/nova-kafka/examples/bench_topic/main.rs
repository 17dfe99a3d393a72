//! The parts of `cargo xtask bench` that need librdkafka: fills a topic with changes as Debezium writes them, at once or
//! as a trickle, and reads a topic with librdkafka alone, which is the ceiling for everybody who uses it.
//!
//! Each prints one JSON object, on its last line.

#![expect(clippy::print_stdout, reason = "the result is the program's data")]

mod changes;
mod trickle;

use std::error::Error;
use std::time::{Duration, Instant};

use changes::Changes;
use clap::{Args, Parser};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

#[derive(Debug, Parser)]
enum Command {
    /// Write changes of `public.likes` to a topic that exists
    Fill {
        #[command(flatten)]
        topic: Topic,
        /// Over how many months the event times are spread; 0: they advance as in life
        #[arg(long, default_value_t = 0)]
        months: u64,
    },
    /// Write changes at a steady rate, and say of each where it is and when it was sent
    Trickle {
        #[command(flatten)]
        topic: Topic,
        /// Changes per second
        #[arg(long)]
        rate: u32,
    },
    /// Read a topic from beginning to end
    Read(Topic),
}

#[derive(Debug, Args)]
struct Topic {
    /// Bootstrap servers
    #[arg(long)]
    brokers: String,
    /// The topic
    #[arg(long)]
    topic: String,
    /// Its partitions; a key stays in one
    #[arg(long)]
    partitions: i32,
    /// How many messages it holds, or is to hold
    #[arg(long)]
    messages: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Command::parse() {
        Command::Fill { topic, months } => fill(&topic, Changes::new(topic.messages, months)),
        Command::Trickle { topic, rate } => {
            trickle::write(&topic, rate, Changes::new(topic.messages, 0)).map(|content| println!("{content}"))
        }
        Command::Read(topic) => read(&topic),
    }
}

/// As fast as the broker takes them.
fn fill(args: &Topic, mut changes: Changes) -> Result<(), Box<dyn Error>> {
    let Topic { brokers, topic, partitions, .. } = args;
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("compression.codec", "lz4")
        .set("linger.ms", "50")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "200000")
        .create()?;
    let mut bytes = 0;
    while let Some(change) = changes.next() {
        bytes += change.value.len();
        let partition = i32::try_from(change.number % u128::try_from(*partitions)?)?;
        let mut record = BaseRecord::to(topic).partition(partition).key(&change.key).payload(&change.value);
        while let Err((error, again)) = producer.send(record) {
            if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(10));
            record = again;
        }
    }
    producer.flush(Duration::from_secs(120))?;
    println!("{}", content(&changes, bytes));
    Ok(())
}

/// How many messages and bytes were written, and the rows and the sum of signs they must become.
fn content(changes: &Changes, bytes: usize) -> String {
    let (messages, rows, state) = (changes.made(), changes.rows(), changes.state());
    format!(r#"{{"messages":{messages},"bytes":{bytes},"rows":{rows},"state":{state}}}"#)
}

/// Prints how long reading took from the first poll, in seconds, and the processor time of this whole process.
fn read(args: &Topic) -> Result<(), Box<dyn Error>> {
    let Topic { brokers, topic, partitions, messages } = args;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench-read")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("fetch.queue.backoff.ms", "20")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..*partitions {
        assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let begun = Instant::now();
    let (mut found, mut bytes) = (0, 0);
    while found < *messages {
        let Some(message) = consumer.poll(Duration::from_secs(30)) else {
            return Err(format!("{topic}: no message for 30 s after {found} of {messages}").into());
        };
        bytes += message?.payload_len();
        found += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = processor_seconds()?;
    println!(r#"{{"messages":{found},"bytes":{bytes},"seconds":{seconds:.3},"cpu_seconds":{cpu:.2}}}"#);
    Ok(())
}

/// User and system time of this process (`proc(5)`, fields 14 and 15 of `stat`, in ticks of 10 ms).
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat has another form")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(ticks.sum::<Result<u32, _>>().map(f64::from)? / 100.0)
}
