UPDATE event_memory SET processed = false WHERE projection = $1 AND stream_sequence = ANY ($2)
