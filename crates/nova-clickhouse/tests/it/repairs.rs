//! Rows of a repair, in the reserved partition: they count for the state of their key, and disturb nothing else.

use nova_pipeline::{Block as _, REPAIR_PARTITION, Ranges, Seen, Sink as _};

use crate::doubtful::{Likes, Message, is, ranges};
use crate::recovery::TOPIC;

/// As high as a plan's names reach.
const PLACE: i64 = i64::MAX - 3;

/// A repair's row of the key.
fn repair(offset: i64, event: u128, sign: i64, key: u128) -> Message {
    Message { partition: REPAIR_PARTITION, ..Message::change(offset, event, &[(sign, is(key, 5))]) }
}

/// GIVEN a key that was lost and one that is there twice / WHEN they are repaired / THEN positions are those of the
/// partitions that have messages, a snapshot's read of them adds nothing, and each row is found by its place.
#[tokio::test]
async fn repaired_keys_are_read_again_without_effect_and_positions_stay_what_they_are() {
    let likes = Likes::new().await;
    let lost = Message::change(10, 1, &[(1, is(1, 5)), (-1, is(1, 5))]);
    let doubled = Message::change(11, 2, &[(1, is(2, 5)), (1, is(2, 5))]);
    likes.settle(&[lost, doubled]).await;
    let before = likes.sink.seen(TOPIC, &[0, 1]).await.unwrap();
    assert_eq!(before, [Seen { partition: 0, next_offset: 12, lsn: 20 }]);

    let repairs = [repair(PLACE, 1_000, 1, 1), repair(PLACE + 1, 1_001, -1, 2)];
    likes.settle(&repairs).await;
    assert_eq!(likes.states().await, "1:5×1 2:5×1");
    assert_eq!(likes.sink.seen(TOPIC, &[0, 1]).await.unwrap(), before);

    // What has been written of a plan: asked for by place, beside messages that have the same offsets.
    likes.settle(&[Message::change(PLACE, 3, &[(1, is(3, 5))])]).await;
    let of_plan = ranges(&repairs);
    let mut places: Vec<i64> =
        likes.sink.present(TOPIC, &of_plan).await.unwrap().iter().map(|row| row.offset).collect();
    places.sort_unstable();
    assert_eq!(places, [PLACE, PLACE + 1]);
    let message = Ranges::from_iter([(0, 10..12)]);
    assert_eq!(likes.sink.present(TOPIC, &message).await.unwrap().len(), 4, "the messages' own rows alone");

    // A snapshot reads both, in the partition as it goes on and in one that is read afresh.
    let read = [Message::read(20, 4, is(1, 5)), Message::read(21, 5, is(2, 5))];
    let resolved = likes.resolve(&read, false).await;
    assert_eq!((resolved.known, resolved.block.rows()), (2, 0));
    let afresh = read.map(Message::afresh);
    assert_eq!(likes.resolve(&afresh, false).await.known, 2);
    // A change that comes again is known by its event; the repair is none of it.
    let again = Message::doubtful(30, 2, &[(1, is(2, 5)), (1, is(2, 5))]);
    assert_eq!(likes.resolve(&[again], false).await.repeated, 1);
    let new = Message::doubtful(31, 6, &[(-1, is(1, 5))]);
    assert_eq!(likes.settle(&[new]).await, (0, 0));
    assert_eq!(likes.states().await, "2:5×1 3:5×1");
}
