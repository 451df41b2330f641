//! Writes the inputs that cargo-fuzz begins with: `services/fuzz/corpus/<target>/seed-<number>`.

use std::fs;
use std::io;

use hookstream_fuzz_targets::ALL;

fn main() -> io::Result<()> {
    for target in ALL {
        let folder = format!("{}/../../fuzz/corpus/{}", env!("CARGO_MANIFEST_DIR"), target.name);
        fs::create_dir_all(&folder)?;
        for (at, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(format!("{folder}/seed-{at}"), [seed.head, seed.body].concat())?;
        }
    }
    Ok(())
}
