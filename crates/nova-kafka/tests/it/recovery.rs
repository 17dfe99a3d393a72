//! A broker that dies and comes back.

use std::time::{Duration, Instant};

use nova_kafka::KafkaSource;
use nova_pipeline::{ErrorKind, Source};

use crate::broker::Broker;
use crate::world::{World, assigned, commit, message, start};

#[tokio::test]
async fn reading_and_committing_go_on_after_a_crash_of_the_broker() {
    let mut broker = Broker::start().await;
    let world = World::on(&broker, 1).await;
    world.write_numbers(0, 0..3).await;
    let mut options = world.options();
    // Longer than the broker is away, or the partitions were lost.
    options.session_timeout = Duration::from_secs(45);
    let source = KafkaSource::connect(&options).await.unwrap();
    assert_eq!(assigned(&source).await, [0]);
    start(&source, &[0], 0).await;
    for number in 0..3 {
        assert_eq!(message(&source).await.1, number);
    }
    broker.kill();
    let begun = Instant::now();
    let conduct = async {
        // Asked for while nobody is there: it waits for the coordinator, or says so and is asked again.
        loop {
            match source.commit(&[commit(0, 3, "held")]).await {
                Ok(()) => break,
                Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable, "{error}"),
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let restart = async {
        broker.start_again().await;
        world.write_numbers(0, 3..6).await;
    };
    let reading = async {
        for number in 3..6 {
            assert_eq!(message(&source).await.1, number, "the same member, the next offset");
        }
    };
    tokio::join!(conduct, restart, reading);
    assert_eq!(source.committed().await.unwrap()[0].offset, Some(3));

    // A farewell to nobody must end too.
    broker.kill();
    let begun = Instant::now();
    source.close().await.unwrap();
    tokio::task::spawn_blocking(move || drop(source)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
