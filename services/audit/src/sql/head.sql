-- Locks the end of the trail until the transaction ends: there is one order.
SELECT audit_sequence, entry_hash, peaks
FROM audit_head
FOR UPDATE
