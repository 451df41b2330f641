#!/usr/bin/env python3
"""Checks what `hookstream audit export` printed, by the rules of README.md beside it and with nothing of hookstream's.

    verify.py [FILE]        standard input by default

Recomputes each entry's hash, the chain from entry to entry, and the way from each leaf to the root of its checkpoint. The
checkpoints' signatures are left to a tool that knows Ed25519: each checkpoint that was used is printed.
"""
import base64, datetime, hashlib, json, struct, sys


def sha256(data): return hashlib.sha256(data).digest()
def field(data): return b"\xff\xff\xff\xff" if data is None else struct.pack(">I", len(data)) + data
def integer(number): return field(None if number is None else struct.pack(">q", number))
def text(string): return field(None if string is None else string.encode("utf-8"))
def digest(digits): return field(None if digits is None else bytes.fromhex(digits))


def time(rfc3339):
    whole, _, fraction = rfc3339.removesuffix("Z").partition(".")
    since = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S") - datetime.datetime(1970, 1, 1)
    return integer((since.days * 86400 + since.seconds) * 1_000_000 + int(fraction.ljust(6, "0")))


def entry_hash(e):
    return sha256(
        text("hookstream audit entry") + integer(e["version"]) + integer(e["audit_sequence"]) + text(e["kind"])
        + text(e["stream"]) + integer(e["stream_sequence"]) + text(e["event_id"]) + text(e["source"])
        + text(e["event_type"]) + digest(e["body_sha256"]) + text(e["signature"]) + text(e["key_id"])
        + text(e["actor"]) + integer(e["count"]) + text(e["details"]) + time(e["received_at"])
        + time(e["recorded_at"]) + digest(e["previous_hash"]))


def root_of(leaf, at, size, siblings):  # RFC 9162, 2.1.3.2
    last, found = size - 1, leaf
    for sibling in siblings:
        assert last > 0, "inclusion has too many hashes"
        if at & 1 or at == last:
            found = sha256(b"\x01" + sibling + found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = sha256(b"\x01" + found + sibling)
        at, last = at >> 1, last >> 1
    assert last == 0, "inclusion has too few hashes"
    return found


first, sequence, previous, checkpoints = None, 0, "00" * 32, {}
for number, line in enumerate(open(sys.argv[1], "rb") if sys.argv[1:] else sys.stdin.buffer, 1):
    try:
        proof = json.loads(line)
        e = proof["entry"]
        if first is None and e["audit_sequence"] > 1:  # what comes before is not here
            sequence, previous = e["audit_sequence"] - 1, e["previous_hash"]
        first, sequence = first or e["audit_sequence"], sequence + 1
        assert e["version"] == 1, "has a version that this verifier does not know"
        assert e["audit_sequence"] == sequence, f"is entry {e['audit_sequence']}, but entry {sequence} comes next"
        assert e["previous_hash"] == previous, "does not follow the entry before it"
        assert e["entry_hash"] == entry_hash(e).hex(), "was changed: its hash is another"
        origin, size, root = proof["checkpoint"].split("\n\n")[0].split("\n")[:3]
        assert 0 < sequence <= int(size), "is not covered by its checkpoint"
        found = root_of(sha256(b"\x00" + entry_hash(e)), sequence - 1, int(size), map(bytes.fromhex, proof["inclusion"]))
        assert found == base64.b64decode(root), "is not in the tree of its checkpoint"
        previous = e["entry_hash"]
        checkpoints[proof["checkpoint"]] = f"{size} entries of {origin}, root {root}"
    except Exception as problem:
        sys.exit(f"line {number} (entry {sequence}): {problem or repr(problem)}")
if first is None:
    sys.exit("there is no entry")
print(f"entries {first} to {sequence} are chained, and in", *checkpoints.values(), "(signature not checked)", sep="\n  ")
