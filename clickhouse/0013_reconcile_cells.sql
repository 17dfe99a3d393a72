-- The heat map of each run: its windows, folded into at most 96 columns that stand for the same time in all streams of the run.
--
-- `level` says how bad a cell is: 0 equal, 1 explained by dead letters, 2 not compared, then by differences that nothing
-- explains: 3 one, 4 up to 9, 5 up to 99, 6 more. Runs from before this migration have no cells.
ALTER TABLE ${database}.reconcile_runs ADD COLUMN IF NOT EXISTS cells Array(Tuple(
    from_ms Int64, to_ms Int64, first_column UInt16, end_column UInt16, rows Int64, differences UInt64, level UInt8));
