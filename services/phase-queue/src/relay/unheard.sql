-- The first $2 phases that were announced before $1 and have not begun.
SELECT queue_id, phase_number, queue_position, announcements
FROM phase_queue
WHERE announced_at <= $1
ORDER BY announced_at
LIMIT $2
