INSERT INTO audit_checkpoints (tree_size, note) VALUES ($1, $2)
ON CONFLICT (tree_size) DO NOTHING
