DELETE FROM shelved_phases WHERE queue_id = ANY ($1)
