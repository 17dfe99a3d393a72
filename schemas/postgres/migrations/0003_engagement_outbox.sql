-- Why: events that are no table row (a view, a share) enter the stream in the transaction that causes them, as
-- an outbox row which Debezium's EventRouter turns into a message. Rows are only inserted and are of no use once
-- they were read from the WAL, so the table is partitioned by day and old days are dropped: dropping a
-- partition writes no row changes.
--
-- Only inserts count here (the EventRouter takes nothing else), so the primary key suffices as replica identity.
-- No default partition, for the reasons in 0001.

CREATE TABLE engagement_outbox (
    id             uuid        NOT NULL,
    aggregate_type text        NOT NULL,
    aggregate_id   uuid        NOT NULL,
    event_type     text        NOT NULL,
    payload        jsonb       NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, created_at)
) PARTITION BY RANGE (created_at);

-- Creates the partition of one UTC day and returns its name. Safe to repeat, also side by side.
CREATE FUNCTION nova_create_engagement_outbox_partition(day date) RETURNS text
LANGUAGE plpgsql
SET timezone = 'UTC'
SET search_path = public, pg_temp
AS $$
DECLARE
    partition text := format('engagement_outbox_%s', to_char(day, 'YYYY_MM_DD'));
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('nova_create_partition'));
    IF to_regclass(format('public.%I', partition)) IS NULL THEN
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.engagement_outbox FOR VALUES FROM (%L) TO (%L)',
                       partition, day::timestamptz, (day + 1)::timestamptz);
    END IF;
    RETURN partition;
END
$$;

-- Makes every posts month and outbox day that the closed range of days [first_day, last_day] touches.
-- Call it from a scheduler, well ahead of the days it makes.
CREATE FUNCTION nova_ensure_partitions(first_day date, last_day date) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
    day date := first_day;
BEGIN
    IF first_day IS NULL OR last_day IS NULL OR first_day > last_day THEN
        RAISE EXCEPTION 'nova_ensure_partitions: first_day (%) must not be after last_day (%)', first_day, last_day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WHILE day <= last_day LOOP
        PERFORM nova_create_engagement_outbox_partition(day);
        IF day = first_day OR extract(day FROM day) = 1 THEN
            PERFORM nova_create_posts_partition(day);
        END IF;
        day := day + 1;
    END LOOP;
END
$$;

-- A day back for clocks that disagree about today, five weeks ahead so that next month is always there.
SELECT nova_ensure_partitions((now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 35);
