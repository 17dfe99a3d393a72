-- Why: the EventRouter's messages say nothing of where in PostgreSQL an event comes from, and Nova needs both halves
-- of a position. Whether a connector tells an event for the second time is asked first of a number that never falls
-- in the order of INSERTs (seq); and which events a snapshot of PostgreSQL sees is a question about transactions
-- (source_tx, 64 bits, so that it does not wrap around). Both become headers of the message.
--
-- Two transactions side by side take their numbers before they commit, so seq does not follow the order of commits:
-- the one that is overtaken costs Nova a question to its table, and nothing else. Numbers of a transaction that was
-- rolled back are gaps. A sequence of its own, not an identity column: partitions have none before PostgreSQL 17.
--
-- The rows that are there get numbers, too, and the transaction of this migration; the table is rewritten for that,
-- which is no change that anybody captures.

CREATE SEQUENCE engagement_outbox_seq AS bigint;

ALTER TABLE engagement_outbox
    ADD COLUMN seq bigint NOT NULL DEFAULT nextval('engagement_outbox_seq'),
    ADD COLUMN source_tx bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;

ALTER SEQUENCE engagement_outbox_seq OWNED BY engagement_outbox.seq;

-- An event goes to the topic events.<aggregate_type>. For a topic that does not exist, Debezium's producer waits for
-- ever, and with it every table that is captured: better the one INSERT fails. A further type gets its stream and its
-- topic first (`nova connector apply`), then its place here.
ALTER TABLE engagement_outbox
    ADD CONSTRAINT engagement_outbox_aggregate_type_has_a_topic CHECK (aggregate_type = 'engagement');

-- An event has happened: it does not change. The router would leave an UPDATE out, with nothing but a line in its log,
-- and the row of a TRUNCATE, which is none, ends its task. A DELETE does no harm: events stay what they were.
CREATE FUNCTION nova_outbox_is_append_only() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'engagement_outbox takes no %: an event that was written has happened', TG_OP
        USING ERRCODE = 'feature_not_supported',
              HINT = 'To correct an event, write another. To get rid of days that were read: nova outbox maintain --execute.';
END
$$;

CREATE TRIGGER engagement_outbox_is_append_only
    BEFORE UPDATE OR TRUNCATE ON engagement_outbox
    FOR EACH STATEMENT EXECUTE FUNCTION nova_outbox_is_append_only();

-- A day is made beside the outbox and then attached: CREATE … PARTITION OF would wait for all writers of the outbox and
-- hold up those that come after it, ATTACH does neither.
CREATE OR REPLACE FUNCTION nova_create_engagement_outbox_partition(day date) RETURNS text
LANGUAGE plpgsql
SET timezone = 'UTC'
SET search_path = public, pg_temp
AS $$
DECLARE
    partition text := format('engagement_outbox_%s', to_char(day, 'YYYY_MM_DD'));
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('nova_create_partition'));
    IF to_regclass(format('public.%I', partition)) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I (LIKE public.engagement_outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                       partition);
        EXECUTE format('ALTER TABLE public.engagement_outbox ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       partition, day::timestamptz, (day + 1)::timestamptz);
    END IF;
    RETURN partition;
END
$$;
