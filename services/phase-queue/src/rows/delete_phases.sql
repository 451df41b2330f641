DELETE FROM phase_queue WHERE queue_id = ANY ($1)
