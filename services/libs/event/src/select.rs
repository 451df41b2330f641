//! Picks a few values out of a JSON document in one pass, without building the rest.
//!
//! A webhook's body is some kilobytes of which we need a dozen values. Wanted paths form a trie; what is on no wanted
//! path is skipped by serde's `IgnoredAny`, which keeps nothing and does not recurse.
//!
//! Where a key occurs twice in an object, the last one wins, as in `serde_json::Value` and Postgres's `jsonb`.

mod walk;

use std::borrow::Cow;

use crate::BodyError;

/// Deepest nesting of arrays and objects in a body that is taken.
///
/// Postgres's `jsonb` and many parsers recurse. A document that could exhaust a reader's stack is no event.
pub const DEPTH_MAX: usize = 128;

/// Checks what no JSON parser should be given unchecked: empty bodies, bytes that are no UTF-8, and deep nesting.
/// Returns the body as text. Whether it is JSON is for the parser to say.
pub fn check_body(body: &[u8]) -> Result<&str, BodyError> {
    if body.is_empty() {
        return Err(BodyError::Empty);
    }
    let text = str::from_utf8(body).map_err(|_| BodyError::NotUtf8)?;
    if is_too_deep(body) { Err(BodyError::TooDeep) } else { Ok(text) }
}

/// Counts brackets outside of texts. For bytes that are no JSON the count means nothing, and the parser refuses them.
fn is_too_deep(body: &[u8]) -> bool {
    // Most bodies have so few in all, those in texts included, that none can be too deep. That is much quicker to see.
    if opening_brackets(body) <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// How many `[` and `{` there are, which differ by one bit. Summed by bytes, many at a time: no sum of 255 ones overflows.
fn opening_brackets(body: &[u8]) -> usize {
    let ones = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    body.chunks(255).map(|chunk| usize::from(ones(chunk))).sum()
}

/// A set of wanted paths, such as `issue.number`; built once, read with often.
#[derive(Debug)]
pub struct Selection {
    /// Sorted, without doubles; a value's place is its path's.
    paths: Vec<String>,
    root: Node,
}

/// What a selection found in one document.
#[derive(Debug)]
pub struct Selected<'s> {
    paths: &'s [String],
    values: Vec<Option<Picked>>,
}

/// A value at a wanted path. Numbers that are not whole, arrays and objects are only marked as being there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picked {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number written without fraction and exponent, within 128 bits.
    Integer(i128),
    /// Any other number.
    Number,
    /// A text. U+0000, which Postgres refuses, and halves of surrogate pairs have become U+FFFD.
    Text(String),
    /// An array.
    Array,
    /// An object.
    Object,
}

/// One key on the way to wanted values.
#[derive(Debug, Default)]
struct Node {
    /// Place of the value that is wanted here, if one is.
    place: Option<usize>,
    children: Vec<(String, Node)>,
}

impl Selection {
    /// Takes paths of object keys joined by dots. Keys that themselves hold a dot cannot be selected.
    pub fn new<P: AsRef<str>>(paths: impl IntoIterator<Item = P>) -> Self {
        let mut paths: Vec<String> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut root = Node::default();
        for (place, path) in paths.iter().enumerate() {
            let leaf = path.split('.').fold(&mut root, |node, key| node.child_or_new(key));
            leaf.place = Some(place);
        }
        Self { paths, root }
    }

    /// Reads a body, which must be one JSON object that passes [`check_body`].
    ///
    /// A number beyond a double's range or half a surrogate pair is fine where it is skipped or wanted, but where an
    /// object with wanted values should be, it is [`BodyError::NotJson`].
    pub fn read(&self, body: &[u8]) -> Result<Selected<'_>, BodyError> {
        let text = check_body(body)?;
        let mut values = vec![None; self.paths.len()];
        walk::document(&self.root, text, &mut values)?;
        Ok(Selected { paths: &self.paths, values })
    }
}

impl Selected<'_> {
    /// The value at a path of the selection; `None` if the document has none there.
    pub fn get(&self, path: &str) -> Option<&Picked> {
        let place = self.paths.binary_search_by(|known| known.as_str().cmp(path));
        debug_assert!(place.is_ok(), "'{path}' is not in the selection");
        self.values[place.ok()?].as_ref()
    }

    /// Whether there is a value, `null` excepted.
    pub fn has(&self, path: &str) -> bool {
        !matches!(self.get(path), None | Some(Picked::Null))
    }

    /// The text at a path; `None` if it is absent or no text.
    pub fn text(&self, path: &str) -> Option<&str> {
        if let Some(Picked::Text(text)) = self.get(path) { Some(text) } else { None }
    }

    /// The whole number at a path; `None` if it is absent, no whole number, or beyond 64 bits.
    pub fn integer(&self, path: &str) -> Option<i64> {
        if let Some(Picked::Integer(integer)) = self.get(path) { i64::try_from(*integer).ok() } else { None }
    }

    /// The text or whole number at a path, as text.
    pub fn name(&self, path: &str) -> Option<Cow<'_, str>> {
        match self.get(path)? {
            Picked::Text(text) => Some(Cow::Borrowed(text)),
            Picked::Integer(integer) => Some(Cow::Owned(integer.to_string())),
            _ => None,
        }
    }
}

impl Node {
    fn child(&self, key: &[u8]) -> Option<&Self> {
        self.children.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, child)| child)
    }

    fn child_or_new(&mut self, key: &str) -> &mut Self {
        let at = self.children.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            self.children.push((key.to_owned(), Self::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    /// Forgets what an earlier key of the same name left behind.
    fn clear(&self, values: &mut [Option<Picked>]) {
        if let Some(place) = self.place {
            values[place] = None;
        }
        self.children.iter().for_each(|(_, child)| child.clear(values));
    }
}

#[cfg(test)]
mod tests;
