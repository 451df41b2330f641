//! Every target with inputs that are made of its seeds: 20,000, or `HOOKSTREAM_FUZZ_INPUTS`.
//!
//! A finding prints the input and the seed of the run; `HOOKSTREAM_FUZZ_SEED` repeats it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::print_stdout, reason = "what a run is repeated with is of no use if it is not told")]

use std::panic::catch_unwind;

use hookstream_fuzz_targets::{FORM, GENERIC, GITHUB, INTERNAL, Rng, SIGNATURES, Target, generate};

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

#[track_caller]
fn run(target: &Target) {
    let inputs = number("HOOKSTREAM_FUZZ_INPUTS").unwrap_or(20_000);
    let seed = number("HOOKSTREAM_FUZZ_SEED").unwrap_or_else(Rng::any_seed);
    println!("{}: {inputs} inputs, HOOKSTREAM_FUZZ_SEED={seed}", target.name);
    let (mut rng, seeds) = (Rng::new(seed), (target.seeds)());
    let mut accepted = 0;
    for at in 0..inputs {
        let input = generate(&mut rng, &seeds);
        let outcome = catch_unwind(|| (target.check)(&input));
        accepted += u64::from(outcome.unwrap_or_else(|_| {
            let shown = input.escape_ascii();
            panic!("{}: a finding at input {at} of HOOKSTREAM_FUZZ_SEED={seed}: \"{shown}\"", target.name)
        }));
    }
    println!("{}: {accepted} accepted", target.name);
    // Neither side of the checks may be empty.
    let share = accepted * 100 / inputs;
    assert!((2..=98).contains(&share), "{share} % of the inputs were accepted");
}

#[test]
fn signature_headers_verify_only_what_a_key_made() {
    run(&SIGNATURES);
}

#[test]
fn internal_events_are_what_their_schemas_say() {
    run(&INTERNAL);
}

#[test]
fn forms_are_decoded_as_another_decoder_does() {
    run(&FORM);
}

#[test]
fn github_bodies_make_events_that_can_be_stored() {
    run(&GITHUB);
}

#[test]
fn bodies_of_configured_sources_make_events_that_can_be_stored() {
    run(&GENERIC);
}
