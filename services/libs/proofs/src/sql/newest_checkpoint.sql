SELECT note, tree_size FROM audit_checkpoints ORDER BY tree_size DESC LIMIT 1
