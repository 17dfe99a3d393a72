//! Partitions are taken over: what stands open is settled, and where nobody knows what was read, the table is asked.
//!
//! Invariant: nothing of a partition is read on before every batch that may have rows in it is durable, and its
//! position is known: from the committed metadata, or from what the table has.

use std::sync::Arc;

use nova_streams::Format;
use tracing::{debug, info, warn};

use crate::batch::Batch;
use crate::deliver::Delivery;
use crate::fail_points::{self, Boundary};
use crate::ledger::Open;
use crate::run::Run;
use crate::trace::{self, traced};
use crate::{
    Committed, DeadLetters, ErrorKind, PipelineError, Position, Ranges, Recovery, Seen, Sink, Source,
    Watermarks, transform,
};

impl<S: Source, K: Sink, L: DeadLetters> Run<S, K, L> {
    pub(crate) async fn assigned(&mut self, partitions: &[i32]) -> Result<(), PipelineError> {
        let delivery = Arc::clone(&self.delivery);
        let committed = delivery.retried("committed offsets", || self.source.committed()).await?;
        #[cfg(feature = "mutants")]
        let committed = crate::mutants::without_boundaries(committed);
        let held = delivery.retried("watermarks", || self.source.watermarks(partitions)).await?;
        let mut recovery = self.ledger.recover(&committed, &held)?;
        self.positions.append(&mut recovery.positions);
        for open in std::mem::take(&mut recovery.open) {
            self.settle_open(open).await?;
        }
        if !recovery.unknown.is_empty() {
            self.look_back(&recovery, &held, &committed).await?;
        }
        let commits = recovery.commits(&self.positions);
        if !commits.is_empty() {
            delivery.retried("commit of offsets", || self.source.commit(&commits)).await?;
        }
        self.source.start(&recovery.starts).await?;
        self.rebalanced("assigned", partitions);
        Ok(())
    }

    /// Forms a batch again that a former owner announced, exactly: the same ranges, those of partitions that others
    /// own included, and makes it durable. Others may do the same at the same time, with the same effect.
    async fn settle_open(&mut self, Open { intent, positions }: Open) -> Result<(), PipelineError> {
        let delivery = Arc::clone(&self.delivery);
        let (stream, ranges) = (&delivery.stream, &intent.ranges);
        info!(stream, ?ranges, "settling a batch that was left open");
        if intent.mapping != self.mapping.fingerprint() {
            warn!(
                stream,
                "the batch left open was made by another mapping; what is missing is made by today's"
            );
        }
        let (source, mapping) = (&self.source, &self.mapping);
        let (mut batch, moved) = delivery
            .retried("re-forming a batch", || async {
                let mut batch = Batch::new(delivery.sink.block());
                let mut moved = positions.clone();
                source
                    .reread(ranges, &mut |message| {
                        let position = moved.entry(message.partition()).or_default();
                        transform::take(mapping, source.topic(), message, position, &mut batch)
                    })
                    .await?;
                Ok((batch, moved))
            })
            .await?;
        fail_points::reach(Boundary::Reformed);
        let process = batch.traced_as(&delivery);
        trace::recovered(&process);
        let settle = async {
            match delivery.resolve(&**source, batch, ranges, true).await? {
                Some(batch) => delivery.settle(&batch, ranges).await?,
                None => debug!(stream, ?ranges, "others have settled it and moved on"),
            }
            Ok(())
        };
        traced(process, settle).await?;
        // Where the batch stands in the metadata of an own partition, reading goes on at its end.
        for (partition, position) in &mut self.positions {
            if positions.contains_key(partition) {
                *position = moved.get(partition).cloned().unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Learns from the table how far these partitions were read before, and by whom: by this very topic, or by another
    /// of the same name.
    async fn look_back(
        &mut self,
        recovery: &Recovery,
        held: &[Watermarks],
        committed: &[Committed],
    ) -> Result<(), PipelineError> {
        let delivery = Arc::clone(&self.delivery);
        // Keys may have moved between partitions, when some were added or the topic was made again.
        let topic: Vec<i32> = committed.iter().map(|position| position.partition).collect();
        let seen =
            delivery.retried("what the table has", || delivery.sink.seen(&delivery.topic, &topic)).await?;
        let floor = seen.iter().map(|seen| seen.lsn).max().unwrap_or_default();
        for partition in &recovery.unknown {
            let start = recovery.starts.iter().find(|start| start.partition == *partition);
            let high = held.iter().find(|held| held.partition == *partition).map_or(0, |held| held.high);
            let set = committed.iter().any(|at| at.partition == *partition && at.offset.is_some());
            // Somebody was here before: a batch that he left open may be known by its token alone.
            let mut until = if set || !seen.is_empty() { high } else { 0 };
            let mut afresh = false;
            let seen = seen.iter().find(|seen| seen.partition == *partition);
            if let Some(seen) = seen.filter(|seen| start.is_some_and(|at| at.offset < seen.next_offset)) {
                until = until.max(seen.next_offset);
                afresh =
                    !is_of_this_topic(&delivery, &*self.source, self.mapping.format(), seen, high).await?;
            }
            let position = Position::behind(until, floor, afresh);
            if until > 0 {
                let stream = &delivery.stream;
                info!(
                    stream,
                    partition, until, floor, afresh, "read before: compared with the table up to there"
                );
            }
            self.positions.insert(*partition, position);
        }
        Ok(())
    }
}

/// Whether the topic has, at the last offset that the table knows of the partition, the same change.
async fn is_of_this_topic<S: Source, K: Sink, L: DeadLetters>(
    delivery: &Delivery<K, L>,
    source: &S,
    format: Format,
    seen: &Seen,
    high: i64,
) -> Result<bool, PipelineError> {
    let last = seen.next_offset.saturating_sub(1);
    if last >= high {
        return Ok(false);
    }
    let range: Ranges = [(seen.partition, last..seen.next_offset)].into_iter().collect();
    let rows = delivery.retried("lineage", || delivery.sink.present(&delivery.topic, &range)).await?;
    let read = delivery.retried("reading a message again", || async {
        let mut found = None;
        source
            .reread(&range, &mut |message| {
                found = transform::event_id(format, message);
                Ok(())
            })
            .await
            .map(|()| found)
    });
    let event = match read.await {
        // No message there at all: an end of a transaction, or a hole.
        Err(error) if error.kind == ErrorKind::OffsetGap => None,
        read => read?,
    };
    Ok(rows.iter().any(|row| Some(row.event_id) == event))
}
