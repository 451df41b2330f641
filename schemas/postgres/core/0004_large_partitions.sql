-- To count a partition of a busy day or month takes longer than a statement may, and whoever drops it, a projection with its
-- stream waiting, would fail for ever. So a million rows are counted; beyond that the planner's estimate has to do.
CREATE OR REPLACE FUNCTION drop_first_partition(parent text, below text) RETURNS bigint LANGUAGE plpgsql
SET lock_timeout = '1s' AS $$
DECLARE
    part text;
    rows bigint;
    estimate bigint;
BEGIN
    SELECT child.relname, child.reltuples INTO part, estimate
    FROM pg_inherits
    JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
    WHERE pg_inherits.inhparent = to_regclass(quote_ident(parent)) AND child.relname < below
    ORDER BY child.relname
    LIMIT 1;
    IF part IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I LIMIT 1000001) AS counted', part) INTO rows;
    EXECUTE format('DROP TABLE %I', part);
    RETURN CASE WHEN rows > 1000000 THEN greatest(rows, estimate) ELSE rows END;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION drop_first_partition(text, text) IS
    'Drops the first partition by name, if it is below that one; how many rows it had (an estimate beyond a million), or null if nothing was dropped';
