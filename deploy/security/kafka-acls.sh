#!/bin/sh
# What each of Kafka's users may do; everything else is refused (StandardAuthorizer, allow.everyone.if.no.acl.found=false).
# Safe to repeat.
#
#   BOOTSTRAP=broker:9093 ADMIN=admin.properties ./kafka-acls.sh
#
# ADMIN names the properties of an administrator's client; KAFKA_ACLS another program than kafka-acls.sh. The names are
# those of config/nova.toml and config/streams.toml: change both or neither.
# No file names are made of arguments: a class path may end with /*.
set -euf

add() {
    # shellcheck disable=SC2086 # KAFKA_ACLS may be a command with arguments
    ${KAFKA_ACLS:-kafka-acls.sh} --bootstrap-server "$BOOTSTRAP" ${ADMIN:+--command-config "$ADMIN"} --add --force "$@"
}

allow() {
    user=$1
    shift
    add --allow-principal "User:$user" "$@"
}

# Nova reads the topics of tables and events, with groups of its own, and commits their offsets.
allow nova --operation Read --operation DescribeConfigs \
    --topic cdc. --topic events. --resource-pattern-type prefixed
allow nova --operation Read --group nova --resource-pattern-type prefixed
add --deny-principal User:nova --operation All --group nova-connect
# Dead letters are written, and read again by `nova dlq`.
allow nova --operation Read --operation Write --operation DescribeConfigs --topic nova.dead-letters
# `nova doctor` asks whether the topics of Debezium's own are there.
allow nova --operation Describe --operation DescribeConfigs --topic __debezium-heartbeat. --resource-pattern-type prefixed

# `nova connector apply` makes topics, and changes none.
allow nova-deploy --operation Create --operation DescribeConfigs \
    --topic cdc. --topic events. --topic nova. --topic __debezium-heartbeat. --resource-pattern-type prefixed

# Kafka Connect (group.id nova-connect) with exactly-once sources: its own three topics, its group, transactions of the
# workers and of the connector's task, and the topics that Debezium writes.
allow nova-connect --operation Create --operation Read --operation Write --operation DescribeConfigs \
    --topic connect- --resource-pattern-type prefixed
allow nova-connect --operation Read --group nova-connect
allow nova-connect --operation Write --operation Describe \
    --transactional-id connect-cluster-nova-connect --transactional-id nova-connect- --resource-pattern-type prefixed
allow nova-connect --operation Write --operation Describe \
    --topic cdc. --topic events. --topic __debezium-heartbeat. --resource-pattern-type prefixed
