//! Messages that are there already are taken in bursts, and none is left out between two of them.

use super::*;
use crate::read::BURST;

#[tokio::test(start_paused = true)]
async fn messages_of_many_bursts_become_rows_once_and_in_order() {
    let messages = i64::try_from(3 * BURST + 7).unwrap();
    for batch_rows in [BURST - 1, BURST, BURST + 1, 10 * BURST] {
        let mut bench = Bench::start(|_, _, options| options.batch_rows = batch_rows);
        bench.send([assigned(&[0])].into_iter().chain((0..messages).map(|offset| like(0, offset))));
        bench.until("all rows", |world| world.offset(0) == Some(messages)).await;
        bench.stop().await;
        assert_eq!(bench.rows(), (0..messages).collect::<Vec<_>>());
        let inserted = bench.world.inserted.lock().unwrap();
        assert!(inserted.iter().all(|(_, rows)| rows.len() <= batch_rows), "nothing beyond a full batch");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_behind_messages_is_answered_before_what_follows_it() {
    let mut bench = Bench::start(|_, _, _| {});
    bench.send([assigned(&[0, 1]), like(0, 0), like(1, 0), SourceEvent::Revoked(vec![1]), like(0, 1)]);
    bench.until("the rest", |world| world.offset(0) == Some(2)).await;
    bench.stop().await;
    assert_eq!(bench.world.inserted.lock().unwrap()[0].1.len(), 2, "the drain takes what came before");
    assert_eq!(bench.committed(1), Some(1));
}
