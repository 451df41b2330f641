//! Bodies made to exhaust whoever reads them: deep, wide and long, wherever in the document. That each of these tests
//! ends within its time is part of what it shows: reading is linear.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hookstream_event::generic::{Field, Fields, Rule};
use hookstream_event::internal::limit;
use hookstream_event::{BodyError, Source, Token, github, internal};
use time::OffsetDateTime;

const DEPTHS: [(usize, bool); 4] = [(127, true), (128, true), (129, false), (1_000_000, false)];

/// The place of a value in a body: where one is looked for, where an object is looked into, where JSON is kept as it
/// is, and where nobody looks.
const PLACES: [&str; 9] = [
    r#"{"type":"queue.paused","reason":HERE}"#,
    r#"{"type":"plan.enqueued","parent_issue":1,"phases":HERE}"#,
    r#"{"type":"workflow.completed","adw_id":"a","status":"failed","metadata":HERE}"#,
    r#"{"type":"queue.paused","unknown":HERE}"#,
    r#"{"action":HERE,"issue":{}}"#,
    r#"{"action":"opened","issue":HERE}"#,
    r#"{"action":"opened","issue":{"title":HERE}}"#,
    r#"{"action":"opened","issue":{},"repository":{"full_name":HERE}}"#,
    r#"{"action":"opened","issue":{},"unknown":{"a":HERE}}"#,
];

/// What becomes of a body in every reader.
fn read(body: &str) -> [Result<(), String>; 3] {
    let body = body.as_bytes();
    let now = OffsetDateTime::UNIX_EPOCH;
    let fields = Fields { id: vec![Field::Path("unknown.a".to_owned())], ..Fields::default() };
    let rule = Rule::new(Source::parse("any").unwrap(), "com.example", fields);
    let too_deep = |error: hookstream_event::InvalidBody| error.to_string();
    [
        internal::decode(body, None).map(drop).map_err(too_deep),
        github::describe(&Token::parse("issues").unwrap(), body, now).map(drop).map_err(too_deep),
        rule.describe(&|_| None, body, now).map(drop).map_err(too_deep),
    ]
}

/// How deep a place is in its document.
fn depth_of(place: &str) -> usize {
    let before = &place[..place.find("HERE").unwrap()];
    before.matches('{').count() - before.matches('}').count()
}

// J1
#[test]
fn a_body_may_nest_128_deep_and_no_deeper_in_every_place_and_every_reader() {
    let _alone = alone();
    let too_deep = BodyError::TooDeep.to_string();
    for place in PLACES {
        for (depth, fits) in DEPTHS {
            let inner = depth - depth_of(place);
            for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
                let last = if open == "[" { "" } else { "null" };
                let value = [&open.repeat(inner), last, &close.repeat(inner)].concat();
                for outcome in read(&place.replace("HERE", &value)) {
                    let refused = outcome.as_ref().is_err_and(|error| *error == too_deep);
                    assert_eq!(refused, !fits, "{depth} deep at {place}: {outcome:?}");
                }
                // Not closed: no less deep.
                if !fits {
                    let open = place.replace("HERE", &open.repeat(inner));
                    assert!(read(&open).iter().all(|outcome| *outcome == Err(too_deep.clone())), "{place}");
                }
            }
        }
    }
}

/// Keeps the other tests of this program waiting: the memory of the process is measured.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By how many bytes the process grew, at its largest, in the course of `act`.
fn growth(act: impl FnOnce()) -> usize {
    let field = |name: &str| -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    };
    // Forgets the largest size so far. (proc(5), clear_refs)
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = field("VmRSS");
    act();
    field("VmHWM").saturating_sub(before)
}

// J1
#[test]
fn a_wide_body_costs_no_more_memory_than_twice_its_bytes() {
    let _alone = alone();
    let keys = |count: usize| {
        let mut keys = "{".to_owned();
        for at in 0..count {
            write!(keys, r#""key{at}":{at},"#).unwrap();
        }
        keys + r#""last":0}"#
    };
    let elements = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    let fits = |body: &str, grown: usize| {
        // What is not proportional is noise of the process.
        assert!(grown <= body.len() * 2 + 1024 * 1024, "{} bytes of {body:.80} cost {grown}", body.len());
    };
    let body = format!(r#"{{"action":"opened","issue":{}}}"#, keys(1_000_000));
    let now = OffsetDateTime::UNIX_EPOCH;
    let described =
        || drop(github::describe(&Token::parse("issues").unwrap(), body.as_bytes(), now).unwrap());
    fits(&body, growth(described));
    let body = format!(r#"{{"type":"plan.enqueued","parent_issue":1,"phases":{}}}"#, elements(10_000_000));
    fits(&body, growth(|| drop(internal::decode(body.as_bytes(), None).unwrap_err())));
    // The same in little everywhere, and more that is much in memory: a hundred times its bytes would show.
    let objects = format!("[{}0]", "{},".repeat(100_000));
    for place in PLACES {
        for value in [&keys(20_000), &objects] {
            let body = place.replace("HERE", value);
            fits(&body, growth(|| drop(read(&body))));
        }
    }
    for key in [r#""type":"queue.paused","#, r#""issue":{"number":1},"#, r#""phases":[{}],"#] {
        let body = format!(r#"{{{}"type":"queue.paused"}}"#, key.repeat(20_000));
        fits(&body, growth(|| drop(read(&body))));
    }
}

// J1
#[test]
fn json_that_is_kept_has_so_few_values_that_a_whole_plan_of_it_is_small() {
    let _alone = alone();
    // What takes the most room for its bytes: objects with one member.
    let data = |objects: usize| {
        format!(r#"{{"workflow_type":"w","adw_id":"a","x":[{}0]}}"#, r#"{"":0},"#.repeat(objects))
    };
    let plan = |objects: usize| {
        let phases: Vec<_> = (1..=20)
            .map(|at| format!(r#"{{"queue_id":"q{at}","phase_number":{at},"phase_data":{}}}"#, data(objects)))
            .collect();
        format!(r#"{{"type":"plan.enqueued","parent_issue":1,"phases":[{}]}}"#, phases.join(","))
    };
    let most = (limit::JSON_VALUES - 10) / 3;
    assert!(internal::decode(plan(most).as_bytes(), None).is_ok());
    let too_many = internal::decode(plan(most + 10).as_bytes(), None).unwrap_err().to_string();
    assert!(too_many.contains("'phases[0].phase_data' must be an object"), "{too_many}");
    for objects in [most, limit::JSON_BYTES / 7 - 10] {
        let body = plan(objects);
        let grown = growth(|| drop(internal::decode(body.as_bytes(), None)));
        assert!(grown <= 64 * 1024 * 1024, "{} bytes cost {grown}", body.len());
    }
}
