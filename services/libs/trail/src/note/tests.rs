use super::*;
use crate::{Checkpoint, CheckpointError, Hash};

/// From <https://pkg.go.dev/golang.org/x/mod/sumdb/note>, the example of a note by another implementation.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signer() -> Signer {
    Signer::parse(&Signer::private_key("example.org/trail", &[7; 32]).unwrap()).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "example.org/trail".to_owned(), size: 5, root: Hash::of(b"root") }
}

#[test]
fn a_note_of_another_implementation_is_opened() {
    let key = PublicKey::parse(GO_KEY).unwrap();
    assert_eq!(key.to_string(), GO_KEY);
    assert!(open(GO_NOTE, std::slice::from_ref(&key)).unwrap().ends_with("your problem is.\n"));
    let changed = GO_NOTE.replace("is the answer", "was the answer");
    assert_eq!(open(&changed, &[key]), Err(NoteError::Signature("PeterNeumann".to_owned())));
}

#[test]
fn a_checkpoint_is_signed_opened_and_not_to_be_changed() {
    let (signer, checkpoint) = (signer(), checkpoint());
    let keys = [signer.public().clone()];
    let note = checkpoint.sign(&signer);
    assert_eq!(Checkpoint::open(&note, &keys), Ok(checkpoint));
    // Any change of any character is noticed, in one way or another.
    for (at, character) in note.char_indices() {
        let mut changed = note.clone();
        let other = if character == 'x' { "y" } else { "x" };
        changed.replace_range(at..at + character.len_utf8(), other);
        assert!(Checkpoint::open(&changed, &keys).is_err(), "{changed}");
    }
}

#[test]
fn a_note_of_another_key_is_named_as_such() {
    let note = checkpoint().sign(&signer());
    let other = Signer::parse(&Signer::private_key("example.org/trail", &[8; 32]).unwrap()).unwrap();
    let error = Checkpoint::open(&note, &[other.public().clone()]).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Note(NoteError::UnknownKey { found }) if found.starts_with("example.org"))
    );
    // Both keys, as while one follows the other: each note is opened.
    let both = [other.public().clone(), signer().public().clone()];
    assert!(Checkpoint::open(&note, &both).is_ok());
    assert!(Checkpoint::open(&checkpoint().sign(&other), &both).is_ok());
}

#[test]
fn keys_round_trip_and_anything_else_is_refused_without_being_quoted() {
    let private = Signer::private_key("example.org/trail", &[7; 32]).unwrap();
    let public = signer().public().clone();
    assert_eq!(PublicKey::parse(&public.to_string()), Ok(public.clone()));
    assert_eq!(PublicKey::parse_list(&format!(" {public},\n{GO_KEY}\n")).map(|keys| keys.len()), Ok(2));
    assert!(!format!("{:?}", signer()).contains(private.rsplit('+').next().unwrap()));
    for wrong in
        ["", "a", "a+b", "a+00000000+AQ==", "a+00000000+!", &private, &GO_KEY.replace("c74f20a3", "c74f20a4")]
    {
        assert!(PublicKey::parse(wrong).is_err(), "{wrong}");
    }
    for wrong in
        ["", "PRIVATE+KEY+", GO_KEY, &private.replace("example", "other"), &private.replace("PRIVATE", "P")]
    {
        assert!(Signer::parse(wrong).is_err(), "{wrong}");
    }
    for name in ["", "a b", "a+b", "a\n"] {
        assert_eq!(Signer::private_key(name, &[7; 32]), Err(KeyError::Name), "{name:?}");
    }
}

#[test]
fn what_is_no_note_or_no_checkpoint_says_why() {
    let keys = [signer().public().clone()];
    for note in [
        "",
        "\n",
        "a\n",
        "a\n\n",
        "a\n\n\u{2014} b\n",
        "a\n\n\u{2014} b AA\n",
        "a\u{7}\n\n\u{2014} b AAAAAAAA\n",
    ] {
        assert!(matches!(open(note, &keys), Err(NoteError::Malformed(_))), "{note:?}");
    }
    assert_eq!(open(&"x".repeat(5000), &keys), Err(NoteError::Malformed("it is too long")));
    for text in [
        "",
        "origin\n",
        "origin\n5\n",
        "origin\n05\nAA==\n",
        "origin\n-1\nAA==\n",
        "origin\n5\nAA==\n",
        "\n5\n",
    ] {
        assert!(Checkpoint::parse(text).is_err(), "{text:?}");
    }
}

/// `checkpoint` and `proof` of `vectors.json`, which another implementation made.
#[derive(serde::Deserialize)]
struct Vectors {
    checkpoint: CheckpointVector,
    proof: crate::Proof,
}

#[derive(serde::Deserialize)]
struct CheckpointVector {
    private_key: String,
    public_key: String,
    size: u64,
    root: Hash,
    note: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../../schemas/postgres/audit/vectors.json")).unwrap()
}

#[test]
fn the_published_checkpoint_is_signed_alike_and_verifies() {
    let vector = vectors().checkpoint;
    let signer = Signer::parse(&vector.private_key).unwrap();
    assert_eq!(signer.public().to_string(), vector.public_key);
    let origin = signer.public().name().to_owned();
    let checkpoint = Checkpoint { origin, size: vector.size, root: vector.root };
    assert_eq!(checkpoint.sign(&signer), vector.note);
    assert_eq!(Checkpoint::open(&vector.note, &[signer.public().clone()]), Ok(checkpoint));
}

#[test]
fn the_published_proof_holds_and_no_change_of_it_does() {
    use crate::ProofError;

    let Vectors { checkpoint, proof } = vectors();
    let keys = [PublicKey::parse(&checkpoint.public_key).unwrap()];
    assert_eq!(proof.check(&keys, Some("example.org/trail")).map(|checkpoint| checkpoint.size), Ok(5));
    // It is read from what it is written as.
    let text = serde_json::to_string(&proof).unwrap();
    assert_eq!(serde_json::from_str::<crate::Proof>(&text).unwrap(), proof);

    let other_log = proof.check(&keys, Some("example.org/other"));
    assert!(matches!(other_log, Err(ProofError::Origin { .. })), "{other_log:?}");
    let changed = |change: fn(&mut crate::Proof)| {
        let mut changed = proof.clone();
        change(&mut changed);
        changed.check(&keys, None).unwrap_err()
    };
    assert_eq!(changed(|proof| proof.entry.record.count += 1), ProofError::Entry);
    assert_eq!(changed(|proof| proof.entry.version += 1), ProofError::Version(2));
    assert!(matches!(changed(|proof| proof.inclusion[1].0[0] ^= 1), ProofError::Inclusion(_)));
    assert!(matches!(changed(|proof| proof.inclusion.clear()), ProofError::Inclusion(_)));
    // With a hash made anew, the entry is another one, and not in the tree.
    let forged = changed(|proof| {
        proof.entry.record.count += 1;
        proof.entry.entry_hash = proof.entry.computed_hash(&mut Vec::new());
    });
    assert!(matches!(forged, ProofError::Inclusion(_)));
    assert!(matches!(
        changed(|proof| proof.checkpoint = proof.checkpoint.replace("\n5\n", "\n6\n")),
        ProofError::Checkpoint(_)
    ));
    let stranger = Signer::parse(&Signer::private_key("example.org/trail", &[9; 32]).unwrap()).unwrap();
    assert!(matches!(proof.check(&[stranger.public().clone()], None), Err(ProofError::Checkpoint(_))));
}
