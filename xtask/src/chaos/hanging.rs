//! Transactions that Kafka itself has lost sight of.
//!
//! A broker that is killed between the markers of one commit may, when it is back, take the transaction for complete
//! although some partitions never got theirs (seen with Kafka 4.3.1). Everything behind stays invisible to readers of
//! committed data: to Nova, and to Kafka Connect, which then cannot even start. No program outside of the broker can
//! mend that, so such a run says nothing about Nova.
//!
//! Invariant: asked only about runs that did not come to a good end; the broker and its coordinator are the witnesses.

use anyhow::Result;

use crate::stack::KafkaServer;

/// The partitions in which a transaction hangs, as `topic[partition]`.
///
/// # Errors
/// When the broker does not answer.
pub(super) async fn find(kafka: &KafkaServer) -> Result<Vec<String>> {
    let bootstrap = kafka.bootstrap();
    let args = ["--bootstrap-server", &bootstrap, "find-hanging", "--broker-id", "1"];
    // 0 minutes: also one that may still be within its time, if its coordinator does not know of it.
    let args = [&args[..], &["--max-transaction-timeout", "0"]].concat();
    let table = kafka.tool("org.apache.kafka.tools.TransactionsCommand", &args).await?;
    Ok(partitions(&table))
}

fn partitions(table: &str) -> Vec<String> {
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut rows = rows.skip_while(|row| !row.starts_with(&["Topic", "Partition", "ProducerId"])).skip(1);
    rows.by_ref()
        .filter_map(|row| match row.as_slice() {
            [topic, partition, ..] => Some(format!("{topic}[{partition}]")),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::partitions;

    #[test]
    fn reads_the_tools_table_and_nothing_before_it() {
        let table = "\tssl.truststore.type = JKS\nTopic          \tPartition\tProducerId\tProducerEpoch\n\
                     connect-offsets\t0        \t1         \t15\ncdc.likes      \t2        \t1         \t15\n";
        assert_eq!(partitions(table), ["connect-offsets[0]", "cdc.likes[2]"]);
        assert!(partitions("Topic          \tPartition\tProducerId\n").is_empty());
        assert!(partitions("").is_empty());
    }
}
