SELECT projection, sequence
FROM projection_checkpoints
