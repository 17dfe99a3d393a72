//! The server killed with SIGKILL at random moments of inserts over many months, again and again on the same table;
//! in every second round the worker dies with it. `NOVA_TEST_SEED` chooses the moments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nova_worker::CancellationToken;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::recovery::{TABLE, Topic, assert_exactly_once, migrated, work, work_off};
use crate::server::{Server, number};

const ROUNDS: u64 = 30;
const LIKES: usize = 240;
const MONTHS: usize = 48;

#[tokio::test]
async fn a_server_killed_during_inserts_of_many_months_has_every_row_once() {
    let mut server = Server::start().await;
    let client = migrated(&server).await;
    let topic = Arc::new(Topic::default());
    // An insert that nobody disturbs says how long there is something to disturb.
    topic.append(LIKES, MONTHS);
    let insert = tokio::join!(work_off(&topic, &client), undisturbed(&topic)).1;

    let chosen = std::env::var("NOVA_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed: u64 = chosen.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("seed {seed}, an insert takes {insert:?}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut none, mut some, mut all) = (0, 0, 0);
    for round in 0..ROUNDS {
        let before = topic.rows();
        topic.append(LIKES, MONTHS);
        let moment =
            Duration::from_micros(random.random_range(0..=u64::try_from(insert.as_micros()).unwrap()));
        let stop = CancellationToken::new();
        let reached = async {
            topic.announced().await;
            tokio::time::sleep(moment).await;
        };
        if round.is_multiple_of(2) {
            // Dropped with the server, the worker leaves its intent behind.
            tokio::select! {
                () = work(&topic, &client, &stop) => {}
                () = reached => {}
            }
            server.kill();
            server.start_again().await;
            let found = number(&client, &format!("SELECT count() FROM {TABLE}")).await - before;
            match found {
                0 => none += 1,
                found if found == topic.rows() - before => all += 1,
                _ => some += 1,
            }
            work_off(&topic, &client).await;
        } else {
            let surviving = async {
                reached.await;
                server.kill();
                server.start_again().await;
                topic.closed().await;
                stop.cancel();
            };
            tokio::join!(work(&topic, &client, &stop), surviving);
        }
        assert_exactly_once(&topic, &client).await;
    }
    println!(
        "after the kill, of {} batches: {none} with no row, {some} with some, {all} with all",
        ROUNDS / 2
    );
}

/// From the announcement of the batch until it is committed.
async fn undisturbed(topic: &Topic) -> Duration {
    topic.announced().await;
    let begun = Instant::now();
    topic.closed().await;
    begun.elapsed()
}
