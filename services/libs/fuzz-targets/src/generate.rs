use std::hash::{BuildHasher as _, RandomState};

use serde_json::{Value, json};

/// An acceptable input, in two parts that are changed in different ways.
#[derive(Debug, Clone)]
pub struct Seed {
    /// What the target reads before the body; its bytes are changed now and then.
    pub head: Vec<u8>,
    /// The body. As JSON, if it is; else as bytes.
    pub body: Vec<u8>,
}

/// Pseudo-random numbers that are the same for the same seed, everywhere: `SplitMix64` (Steele, Lea, Flood, 2014).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that nobody knows.
    pub fn any_seed() -> u64 {
        RandomState::new().hash_one(())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// Texts that tend to be where they should not, as they are written in JSON and outside of it.
const TEXTS: [&str; 28] = [
    "",
    " ",
    ".",
    "*",
    ">",
    "a.b",
    "\0",
    "\r\nNats-Rollup: all",
    "\u{1b}[31m",
    "é",
    "\u{202e}\u{2028}",
    "' OR 1=1 --",
    "<script>",
    "=1+1",
    "-",
    "completed",
    "failed",
    "started",
    "adw_plan_iso",
    "workflow.completed",
    "2026-11-23T12:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "0000-01-01T00:00:00+12:00",
    "1764583200",
    "https://x/r",
    "%00%ff%zz",
    "payload",
    "\u{10ffff}",
];

/// Pieces of text that no `Value` would print.
const PIECES: [&str; 24] = [
    "1e400",
    "-0",
    "1E-400",
    "9007199254740993",
    "01",
    "\\ud800",
    "\\u0000",
    "\"\\ud800\"",
    "\"a\":1,",
    ",",
    ":",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "\u{feff}",
    "\\",
    "&payload=",
    "%",
    "+",
    "=",
    "\n",
    "null",
];

/// An input made of one of a target's seeds.
pub fn generate(rng: &mut Rng, seeds: &[Seed]) -> Vec<u8> {
    let seed = rng.pick(seeds);
    let mut head = seed.head.clone();
    if rng.one_in(6) {
        change_bytes(rng, &mut head);
    }
    let mut body = seed.body.clone();
    match rng.below(10) {
        0 => {}
        // As JSON, so that what is changed is a value in its place.
        1..=6 => match serde_json::from_slice(&body) {
            Ok(mut document) => {
                for _ in 0..=rng.below(3) {
                    change_value(rng, &mut document, 0);
                }
                body = serde_json::to_vec(&document).unwrap();
                if rng.one_in(4) {
                    change_bytes(rng, &mut body);
                }
            }
            Err(_) => change_bytes(rng, &mut body),
        },
        7 => {
            // Another's body behind this head, or in the middle of this body.
            let other = &rng.pick(seeds).body;
            let at = rng.below(body.len() + 1);
            let end = if rng.one_in(2) { body.len() } else { at };
            body.splice(at..end, other.iter().copied());
        }
        _ => change_bytes(rng, &mut body),
    }
    [head, body].concat()
}

/// One to four changes of bytes: another, one less, one more, a piece that means something, a repeated stretch.
fn change_bytes(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len() + 1);
        let end = (at + rng.below(8)).min(bytes.len());
        match rng.below(7) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(rng.below(256)).unwrap(),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.insert(at, u8::try_from(rng.below(256)).unwrap()),
            4 => drop(bytes.splice(at..at, rng.pick(&TEXTS).bytes())),
            5 => drop(bytes.splice(at..end, rng.pick(&PIECES).bytes())),
            _ => {
                let stretch = bytes[at..end].repeat(1 + rng.below(200));
                bytes.splice(at..at, stretch);
            }
        }
    }
}

/// Goes down the document by chance, and there puts another value, takes one away or adds one.
fn change_value(rng: &mut Rng, value: &mut Value, depth: usize) {
    let children = match value {
        Value::Array(elements) => elements.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    };
    if children == 0 || (depth > 0 && rng.one_in(4)) {
        *value = any_value(rng);
        return;
    }
    let at = rng.below(children);
    match value {
        Value::Array(elements) if rng.one_in(3) => {
            let element = if rng.one_in(2) { elements[at].clone() } else { any_value(rng) };
            elements.insert(at, element);
        }
        Value::Array(elements) if rng.one_in(4) => drop(elements.remove(at)),
        Value::Array(elements) => change_value(rng, &mut elements[at], depth + 1),
        Value::Object(members) => {
            let key = members.keys().nth(at).unwrap().clone();
            match rng.below(8) {
                0 => drop(members.remove(&key)),
                1 => {
                    let value = any_value(rng);
                    members.insert((*rng.pick(&TEXTS)).to_owned(), value);
                }
                2 => {
                    let taken = members.remove(&key).unwrap();
                    members.insert(key.to_uppercase(), taken);
                }
                _ => change_value(rng, members.get_mut(&key).unwrap(), depth + 1),
            }
        }
        _ => {}
    }
}

fn any_value(rng: &mut Rng) -> Value {
    let small = i64::try_from(rng.below(200)).unwrap() - 50;
    match rng.below(14) {
        0 => Value::Null,
        1 => Value::Bool(rng.one_in(2)),
        2 | 3 => small.into(),
        4 => i64::from_ne_bytes(rng.next().to_ne_bytes()).into(),
        5 => u64::MAX.into(),
        6 => f64::from_bits(rng.next()).into(),
        7 => json!(1e9),
        8 => json!([]),
        9 => json!({}),
        10 => {
            let mut nested = json!([]);
            for _ in 0..rng.below(140) {
                nested = if rng.one_in(2) { json!([nested]) } else { json!({ "a": nested }) };
            }
            nested
        }
        11 => rng.pick(&TEXTS).repeat(rng.below(5000)).into(),
        _ => (*rng.pick(&TEXTS)).into(),
    }
}
