//! Reads the step out of an event.

use hookstream_event::{InvalidBody, RecordedEvent, Source, internal};

use crate::{Step, github};

/// What an event means to the queue.
#[derive(Debug)]
pub(crate) enum Intake {
    /// A step to take.
    Step(Step),
    /// Nothing.
    Irrelevant,
    /// It should mean something, and cannot be read.
    Unreadable(InvalidBody),
}

/// Reads an event. Never panics, whatever its bytes are.
pub(crate) fn read(event: &RecordedEvent, rules: &github::Rules) -> Intake {
    let source = event.envelope.source();
    let step = if *source == Source::github() {
        github::step(event, rules)
    } else if *source == Source::internal() {
        // A report of an old workflow may not name its type: the envelope does.
        internal::decode_stored(&event.payload, event.envelope.event_type.internal_name())
            .map(Step::from_internal)
    } else {
        Ok(None)
    };
    match step {
        Ok(Some(step)) => Intake::Step(step),
        Ok(None) => Intake::Irrelevant,
        Err(invalid) => Intake::Unreadable(invalid),
    }
}
