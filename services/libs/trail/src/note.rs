//! Signed notes with Ed25519 keys, as <https://c2sp.org/signed-note> has them: a text, an empty line, and a line per
//! signature.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

/// Most bytes of a note, signatures included.
pub const NOTE_BYTES_MAX: usize = 4096;

/// Most signatures of a note that are looked at.
const SIGNATURES_MAX: usize = 16;

/// What signature lines begin with: an em dash and a space.
const MARK: &str = "\u{2014} ";

/// Identifies Ed25519 in keys.
const ED25519_ID: u8 = 1;

/// A key cannot be used. The text never quotes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not of the form that a key has.
    #[error("is not of the form {0}")]
    Form(&'static str),
    /// The name is empty, or holds a space or a plus sign.
    #[error("has a name that is empty or holds a space or a plus sign")]
    Name,
    /// The id is not that of the name and the key: a part was mistyped.
    #[error("has an id that belongs to another name or key")]
    Id,
    /// Another algorithm than Ed25519.
    #[error("is not an Ed25519 key")]
    Algorithm,
}

const PUBLIC_FORM: &str = "<name>+<8 hex digits>+<base64>";
const PRIVATE_FORM: &str = "PRIVATE+KEY+<name>+<8 hex digits>+<base64>";

/// Verifies notes. Printed as `<name>+<id>+<base64>`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

impl PublicKey {
    fn new(name: &str, key: [u8; 32]) -> Result<Self, KeyError> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+' || c.is_control()) {
            return Err(KeyError::Name);
        }
        let mut hasher = Sha256::new();
        hasher.update(name.as_bytes());
        hasher.update([b'\n', ED25519_ID]);
        hasher.update(key);
        let digest: [u8; 32] = hasher.finalize().into();
        Ok(Self { name: name.to_owned(), id: [digest[0], digest[1], digest[2], digest[3]], key })
    }

    /// Reads a key as it is printed.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form(PUBLIC_FORM));
        };
        let public = Self::new(name, key_bytes(key, PUBLIC_FORM)?)?;
        if public.id_text() == id { Ok(public) } else { Err(KeyError::Id) }
    }

    /// Reads keys that are separated by spaces, commas or ends of lines.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, KeyError> {
        let keys = text.split(|c: char| c.is_whitespace() || c == ',').filter(|key| !key.is_empty());
        keys.map(Self::parse).collect()
    }

    /// Whose key it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id_text(), key_text(&self.key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Signs notes.
pub struct Signer {
    public: PublicKey,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// Reads a private key, `PRIVATE+KEY+<name>+<id>+<base64>`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.trim().strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Form(PRIVATE_FORM))?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(seed)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form(PRIVATE_FORM));
        };
        let signer = Self::from_seed(name, &key_bytes(seed, PRIVATE_FORM)?)?;
        if signer.public.id_text() == id { Ok(signer) } else { Err(KeyError::Id) }
    }

    fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Algorithm)?;
        let key = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Algorithm)?;
        Ok(Self { public: PublicKey::new(name, key)?, pair })
    }

    /// The private key for `name` that 32 random bytes make, as text.
    pub fn private_key(name: &str, seed: &[u8; 32]) -> Result<String, KeyError> {
        let public = Self::from_seed(name, seed)?.public;
        Ok(format!("PRIVATE+KEY+{}+{}+{}", public.name, public.id_text(), key_text(seed)))
    }

    /// What verifies its notes.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The note of `text`, which ends with an end of line.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = self.public.id.to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n{MARK}{} {}\n", self.public.name, STANDARD.encode(signature))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public)
    }
}

/// A note is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a note at all.
    #[error("it is no signed note: {0}")]
    Malformed(&'static str),
    /// A key of ours is said to have signed it, and has not.
    #[error("the signature by {0} does not fit: the note was changed, or another key has signed it")]
    Signature(String),
    /// None of the keys that are trusted has signed it.
    #[error("it is signed by {found}, which is no key that is trusted here")]
    UnknownKey {
        /// Names of the keys that have.
        found: String,
    },
}

/// The text of a note that at least one of `keys` has signed, and none of them wrongly.
pub fn open<'n>(note: &'n str, keys: &[PublicKey]) -> Result<&'n str, NoteError> {
    let malformed = NoteError::Malformed;
    if note.len() > NOTE_BYTES_MAX {
        return Err(malformed("it is too long"));
    }
    if note.contains(|c: char| c.is_control() && c != '\n') {
        return Err(malformed("it holds control characters"));
    }
    let at = note.rfind("\n\n").ok_or(malformed("there is no empty line before the signatures"))?;
    let (text, lines) = (&note[..=at], &note[at + 2..]);
    let lines = lines.strip_suffix('\n').ok_or(malformed("the last line does not end"))?;
    let (mut verified, mut names) = (false, Vec::new());
    for line in lines.split('\n').take(SIGNATURES_MAX) {
        let (name, id, signature) = signature_of(line).ok_or(malformed("a signature is not of its form"))?;
        match keys.iter().find(|key| key.name == name && key.id == id) {
            Some(key) => {
                UnparsedPublicKey::new(&ED25519, key.key)
                    .verify(text.as_bytes(), &signature)
                    .map_err(|_| NoteError::Signature(name.to_owned()))?;
                verified = true;
            }
            None => names.push(format!("{name} ({:08x})", u32::from_be_bytes(id))),
        }
    }
    if verified { Ok(text) } else { Err(NoteError::UnknownKey { found: names.join(", ") }) }
}

fn signature_of(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(MARK)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (!name.is_empty()).then(|| (name, *id, signature.to_vec()))
}

fn key_text(key: &[u8; 32]) -> String {
    STANDARD.encode([&[ED25519_ID], key.as_slice()].concat())
}

fn key_bytes(text: &str, form: &'static str) -> Result<[u8; 32], KeyError> {
    let bytes = STANDARD.decode(text).map_err(|_| KeyError::Form(form))?;
    match bytes.split_first() {
        Some((&ED25519_ID, key)) => key.try_into().map_err(|_| KeyError::Form(form)),
        Some(_) => Err(KeyError::Algorithm),
        None => Err(KeyError::Form(form)),
    }
}

#[cfg(test)]
mod tests;
