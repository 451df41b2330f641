UPDATE queue_state SET active = $1, early_reports = $2 WHERE (active, early_reports) IS DISTINCT FROM ($1, $2)
