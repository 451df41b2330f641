-- Reports that were kept for these phases ($1), or for those of closed issues ($2) that may come back.
SELECT queue_id, ordinal, adw_id, failed, trigger_next, reported_at
FROM early_reports
WHERE queue_id = ANY (
    $1::text[] || ARRAY(SELECT shelved_phases.queue_id FROM shelved_phases WHERE shelved_phases.parent_issue = ANY ($2))
)
