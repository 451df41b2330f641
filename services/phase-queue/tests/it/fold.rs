//! Whatever the history, and however it is cut into batches: the tables are the pure fold of it.

use std::time::Duration;

use hookstream_event::internal;
use hookstream_phase_queue::{Moment, Queue as Fold, Step};
use hookstream_test_support::{SampleEvent, run_test};
use serde_json::json;

use crate::support::{
    Queue, chain, command, completed, diamond, enqueued, failed, internal, pause, report, started,
};

/// Random enough, and the same every time (`SplitMix64`, by Steele, Lea and Flood).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn event(random: &mut Random) -> SampleEvent {
    let issue = i64::try_from(random.below(4)).expect("small");
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
                let batch: Vec<_> = (0..=random.below(25)).map(|_| event(&mut random)).collect();
                for sample in &batch {
                    position += 1;
                    let event = internal::decode(&sample.payload, None).expect("valid in itself");
                    let at = sample.recorded(1).recorded_at + Duration::from_secs(position.unsigned_abs());
                    let step = Step::from_internal(event).expect("it concerns the queue");
                    let _ = fold.apply(step, Moment { position, at });
                }
                queue.apply(batch).await?;
                assert_eq!(rows(&queue).await?, rows_of(&fold), "seed {seed}, up to {position}");
            }
            assert_eq!(outbox(&queue).await?, outbox_of(&fold), "seed {seed}");
        }
        Ok(())
    })
    .await;
}

async fn rows(queue: &Queue) -> anyhow::Result<Vec<String>> {
    let sql = "SELECT line FROM (
        SELECT concat_ws(' ', queue_id, queue_position, status, held, announcements, waiting_on, blocked_on, adw_id,
            error_message, extract(epoch FROM updated_at)::bigint)
        FROM phase_queue
        UNION ALL SELECT concat_ws(' ', 'active', active, early_reports) FROM queue_state
        UNION ALL SELECT concat_ws(' ', 'edge', queue_id, depends_on) FROM phase_dependencies
        UNION ALL SELECT concat_ws(' ', 'early', queue_id, ordinal) FROM early_reports
) AS lines (line) ORDER BY line COLLATE \"C\"";
    queue.client.query(sql, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn rows_of(fold: &Fold) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    for phase in fold.phases() {
        let held = matches!(phase.state, hookstream_phase_queue::State::Ready { held: true, .. });
        let message = phase.error_message().map(|message| format!(" {message}")).unwrap_or_default();
        rows.push(format!(
            "{} {} {} {} {} {} {} {}{message} {}",
            phase.queue_id,
            phase.queue_position,
            phase.state.as_str(),
            if held { "t" } else { "f" },
            phase.announcements,
            phase.waiting_on,
            phase.blocked_on,
            phase.adw_id,
            phase.updated_at.unix_timestamp(),
        ));
        if phase.state.is_waiting() {
            rows.extend(phase.depends_on.iter().map(|number| format!("edge {} {number}", phase.queue_id)));
        }
    }
    rows.push(format!("active {} {}", fold.control().active, fold.last_early_report()));
    rows.extend(fold.early_reports_added().map(|kept| format!("early {} {}", kept.queue_id, kept.ordinal)));
    rows.sort();
    rows
}

async fn outbox(queue: &Queue) -> anyhow::Result<Vec<String>> {
    let sql =
        "SELECT concat_ws(' ', cause, ordinal, subject, phase) FROM phase_outbox ORDER BY cause, ordinal";
    queue.client.query(sql, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

fn outbox_of(fold: &Fold) -> Vec<String> {
    let line = |told: &hookstream_phase_queue::Announcement| {
        format!("{} {} {} {}", told.cause, told.ordinal, told.subject, told.phase)
    };
    fold.announcements().iter().map(line).collect()
}
