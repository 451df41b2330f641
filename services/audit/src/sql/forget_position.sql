DELETE FROM projection_checkpoints
WHERE projection = $1 AND epoch = $2
