SELECT audit_sequence FROM audit_head
