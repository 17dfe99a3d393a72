-- Keeps the question "which of these changes are here?" fast, which is asked when the source may have emitted them before.
--
-- Positions in the write-ahead log grow with time, so a part holds a narrow range of them, and where a table is ordered
-- by time, a granule does. Parts from before this migration are read whole until they are merged, or until
-- `ALTER TABLE … MATERIALIZE INDEX by_lsn` is run.
ALTER TABLE ${database}.post_engagement_events ADD INDEX IF NOT EXISTS by_lsn source_lsn TYPE minmax GRANULARITY 1;
ALTER TABLE ${database}.user_follow_events ADD INDEX IF NOT EXISTS by_lsn source_lsn TYPE minmax GRANULARITY 1;
ALTER TABLE ${database}.post_events ADD INDEX IF NOT EXISTS by_lsn source_lsn TYPE minmax GRANULARITY 1;
