-- Those whose phase has come ($1), and all but the latest (up to ordinal $2).
DELETE FROM early_reports WHERE queue_id = ANY ($1) OR ordinal <= $2
