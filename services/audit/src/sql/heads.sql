SELECT audit_sequence, entry_hash, peaks FROM audit_head
