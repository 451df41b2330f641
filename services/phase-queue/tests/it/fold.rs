//! Whatever the history, and however it is cut into batches: the tables are the pure fold of it, in every column.

use std::time::Duration;

use hookstream_event::internal;
use hookstream_phase_queue::{Moment, Queue as Fold, Step};
use hookstream_test_support::{SampleEvent, run_test};
use serde_json::json;

use crate::support::{
    Queue, chain, command, completed, diamond, enqueued, failed, internal, issue_event, pause, report,
    started,
};
use crate::tables;

/// Random enough, and the same every time (`SplitMix64`, by Steele, Lea and Flood).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Any event of a few issues, and the step that it is.
pub(crate) fn event(random: &mut Random) -> (SampleEvent, Step) {
    let issue = i64::try_from(random.below(4)).expect("small");
    let repository = Some("octo-org/octo-repo".to_owned());
    match random.below(20) {
        // GitHub counts from 1.
        0 if issue > 0 => (issue_event(issue, "closed"), Step::Close { issue, repository }),
        1 if issue > 0 => (issue_event(issue, "reopened"), Step::Reopen { issue, repository }),
        _ => {
            let sample = internal_event(issue, random);
            let event = internal::decode(&sample.payload, None).expect("valid in itself");
            (sample, Step::from_internal(event).expect("it concerns the queue"))
        }
    }
}

fn internal_event(issue: i64, random: &mut Random) -> SampleEvent {
    let number = i32::try_from(random.below(4)).expect("small") + 1;
    match random.below(16) {
        0 => diamond(issue),
        1 => chain(issue, 4),
        2 => enqueued(issue, number, &[]),
        3 if number > 1 => enqueued(issue, number, &[number - 1]),
        3..=5 => started(issue, number),
        6..=8 => completed(issue, number),
        9 => failed(issue, number, "no"),
        10 => command("phase.retried", issue, number),
        11 => command("phase.dequeued", issue, number),
        12 => command("phase.execution_requested", issue, number),
        13 => pause(if random.below(2) == 0 { "queue.paused" } else { "queue.resumed" }),
        14 => internal(&json!({"type": "queue.configured", "max_concurrent": 1 + random.below(4)})),
        _ => {
            let mut by_run = report(issue, number, "completed");
            for field in ["queue_id", "parent_issue", "phase_number"] {
                by_run.as_object_mut().expect("an object").remove(field);
            }
            internal(&by_run)
        }
    }
}

#[tokio::test]
async fn the_tables_are_the_fold_of_any_history() {
    run_test(async || {
        for seed in 1..=6 {
            let mut random = Random(seed);
            let (mut queue, mut fold) = (Queue::create().await, Fold::default());
            let mut position: i64 = 0;
            while position < 150 {
                let (mut batch, mut refused) = (Vec::new(), Vec::new());
                for _ in 0..=random.below(25) {
                    let (sample, step) = event(&mut random);
                    position += 1;
                    let at = sample.recorded(1).recorded_at + Duration::from_secs(position.unsigned_abs());
                    refused.extend(
                        fold.apply(step, Moment { position, at }).err().map(|refusal| refusal.code()),
                    );
                    batch.push(sample);
                }
                assert_eq!(queue.apply(batch).await?, refused, "seed {seed}, up to {position}");
                let folded = tables::folded(&fold, fold.announcements());
                let when = format!("seed {seed}, up to {position}");
                tables::assert_same(&tables::stored(&queue.client).await?, &folded, &when);
            }
        }
        Ok(())
    })
    .await;
}
