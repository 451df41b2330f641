SELECT projection, sequence
FROM projection_checkpoints
WHERE projection = ANY ($1)
