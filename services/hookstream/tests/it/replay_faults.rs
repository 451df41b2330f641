//! `hookstream replay` where things go wrong: each ends with what to do, a code that is not 0, and nothing half done.

use std::time::Duration;

use hookstream_test_support::{TestNats, eventually, run_test};
use serde_json::{Value, json};

use crate::command::Hookstream;
use crate::nats_client::PlainClient;
use crate::replay::{gateway, read_with_python, replay, store};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_replay_into_files_that_was_killed_goes_on_and_has_every_event_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        store(&gateway(&nats).await, 60).await;
        let folder = tempfile::tempdir()?;
        let export = folder.path().join("export");
        let args = |rate| ["--to-ndjson", export.to_str().unwrap(), "--batch", "3", "--rate", rate];
        // Slow enough that it is killed before it is done.
        let running = replay(&nats, &args("6")).spawn();
        eventually("it has kept a cursor", PATIENCE, async || export.join(".replay-cursor").exists()).await;
        running.signal("KILL");
        running.end().await;
        assert_eq!(read_with_python(&export), [Value::Null; 0], "no file has its name yet");
        let done = replay(&nats, &args("0")).run().await.expect_code(0);
        assert!(done.stderr.contains("goes on with"), "{done:?}");
        let sequences: Vec<_> =
            read_with_python(&export).iter().map(|event| event[0].as_u64().unwrap()).collect();
        assert_eq!(sequences, (1..=60).collect::<Vec<_>>());
        assert!(!export.join(".replay-cursor").exists());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_replay_to_a_subject_that_was_stopped_goes_on_and_sends_every_event_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        store(&gateway(&nats).await, 40).await;
        let folder = tempfile::tempdir()?;
        let cursor = folder.path().join("cursor");
        let args = |rate| {
            [
                "--to-subject",
                "backfill.mine",
                "--cursor",
                cursor.to_str().unwrap(),
                "--batch",
                "3",
                "--rate",
                rate,
            ]
        };
        let mut client = PlainClient::connect(&nats, "subscriber");
        client.subscribe("backfill.mine");
        let running = replay(&nats, &args("20")).spawn();
        eventually("it has kept a cursor", PATIENCE, async || cursor.exists()).await;
        running.signal("INT");
        let stopped = running.end().await.expect_code(1);
        assert!(stopped.stderr.contains("the same command goes on from there"), "{stopped:?}");
        replay(&nats, &args("0")).run().await.expect_code(0);
        assert!(!cursor.exists());
        let sequences = tokio::task::spawn_blocking(move || -> Vec<u64> {
            (1..=40).map(|_| client.message().headers["hs-stream-sequence"].parse().unwrap()).collect()
        });
        assert_eq!(sequences.await?, (1..=40).collect::<Vec<_>>());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_cursor_of_another_replay_is_not_gone_on_with() {
    run_test(async || {
        let nats = TestNats::start().await;
        store(&gateway(&nats).await, 40).await;
        let folder = tempfile::tempdir()?;
        let cursor = folder.path().join("cursor");
        let at = ["--cursor", cursor.to_str().unwrap(), "--to-subject"];
        let running =
            replay(&nats, &[&at[..], &["backfill.a", "--rate", "10", "--batch", "3"]].concat()).spawn();
        eventually("it has kept a cursor", PATIENCE, async || cursor.exists()).await;
        running.signal("TERM");
        running.end().await.expect_code(1);
        for other in
            [&["backfill.b"][..], &["backfill.a", "--from", "2"], &["backfill.a", "--source", "github"]]
        {
            let done = replay(&nats, &[&at[..], other].concat()).run().await.expect_code(1);
            assert!(done.stderr.contains("belongs to another replay"), "{done:?}");
        }
        std::fs::write(&cursor, "{")?;
        let done = replay(&nats, &[&at[..], &["backfill.a"]].concat()).run().await.expect_code(1);
        assert!(done.stderr.contains("is no cursor of a replay: delete it"), "{done:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_is_full_leaves_no_file_and_is_gone_on_with_once_there_is_room() {
    run_test(async || {
        let nats = TestNats::start().await;
        store(&gateway(&nats).await, 100).await;
        let folder = tempfile::tempdir()?;
        let export = folder.path().join("export");
        let binary = env!("CARGO_BIN_EXE_hookstream");
        // A file may grow to 16 KiB, and the write beyond that fails as it does on a full disk.
        let script = "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\"";
        let url = nats.url("operator");
        let args =
            [binary, "replay", "--to-ndjson", export.to_str().unwrap(), "--rate", "0", "--batch", "10"];
        let (script, args) = (script.to_owned(), args.map(str::to_owned));
        let full = tokio::task::spawn_blocking(move || {
            let mut shell = std::process::Command::new("sh");
            shell.arg("-c").arg(script).args(args).env("NATS_URL", url).output().unwrap()
        })
        .await?;
        let said = String::from_utf8_lossy(&full.stderr);
        assert_eq!(full.status.code(), Some(1), "{said}");
        // Whether it had kept a cursor by then depends on how fast it was.
        let has_cursor = export.join(".replay-cursor").exists();
        let how = if has_cursor { "goes on from there" } else { "the same command begins anew" };
        assert!(said.contains("write ") && said.contains("ndjson") && said.contains(how), "{said}");
        assert_eq!(read_with_python(&export), [Value::Null; 0], "no file has its name yet");
        let args = ["--to-ndjson", export.to_str().unwrap(), "--rate", "0", "--batch", "10"];
        replay(&nats, &args).run().await.expect_code(0);
        let sequences: Vec<_> =
            read_with_python(&export).iter().map(|event| event[0].as_u64().unwrap()).collect();
        assert_eq!(sequences, (1..=100).collect::<Vec<_>>());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_has_left_the_stream_is_named_as_a_gap() {
    run_test(async || {
        let nats = TestNats::start().await;
        store(&gateway(&nats).await, 10).await;
        let mut client = PlainClient::connect(&nats, "operator");
        let info = tokio::task::spawn_blocking(move || {
            let info = client.request("$JS.API.STREAM.INFO.WEBHOOKS", "");
            let mut config = serde_json::from_slice::<Value>(&info).unwrap()["config"].clone();
            (config["max_msgs"], config["discard"]) = (4.into(), "old".into());
            client.request("$JS.API.STREAM.UPDATE.WEBHOOKS", &config.to_string())
        });
        let updated: Value = serde_json::from_slice(&info.await?)?;
        assert_eq!(updated["state"]["first_seq"], 7, "{updated}");
        for args in [&["--count"][..], &["--count", "--from", "-1h"], &["--count", "--source", "github"]] {
            let args = [args, &["--format", "json"]].concat();
            let done = replay(&nats, &args).run().await.expect_code(0);
            assert!(done.stderr.contains("a gap: sequences 1–6 have left the stream"), "{done:?}");
            let document = done.json();
            assert_eq!((&document["events"], &document["gaps"]), (&4.into(), &json!([[1, 6]])));
        }
        let done = replay(&nats, &["--count", "--from", "7"]).run().await.expect_code(0);
        assert!(!done.stderr.contains("gap"), "{done:?}");
        let gone = replay(&nats, &["--count", "--from", "2", "--to", "3"]).run().await.expect_code(0);
        assert!(gone.stderr.contains("a gap: sequences 2–3"), "{gone:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_wrong_range_filter_or_subject_is_named() {
    run_test(async || {
        let nats = TestNats::start().await;
        store(&gateway(&nats).await, 2).await;
        for (args, code, says) in [
            (&["--count", "--from", "2", "--to", "1"][..], 2, "--to lies before --from"),
            (&["--count", "--from", "yesterday"], 2, "give a stream sequence"),
            (&["--count", "--to", "-1y"], 2, "give a stream sequence"),
            (&["--count", "--from", "3"], 1, "ends at 2"),
            (&["--count", "--source", "Git Hub"], 2, "--source"),
            (&["--count", "--subject", "issues"], 2, "webhooks.<source>"),
            (&["--to-subject", "webhooks.github"], 2, "a subject of your own"),
            (&["--to-subject", "backfill.*"], 2, "a subject of your own"),
            (&["--to-subject", "elsewhere.mine"], 1, "backfill.>"),
            (&["--from", "1"], 2, "required"),
            (&["--count", "--to-subject", "backfill.a"], 2, "cannot be used with"),
            (&["--to-projection", "task_log", "--rate", "50"], 2, "cannot be used with"),
            (&["--to-ndjson", "/proc/nowhere"], 1, "make /proc/nowhere"),
        ] {
            let done = replay(&nats, args).run().await.expect_code(code);
            assert!(done.stderr.contains(says), "{args:?}: {done:?}");
            assert_eq!(done.stdout, "");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_user_that_may_not_read_is_told_whom_to_log_in_as() {
    run_test(async || {
        let nats = TestNats::start().await;
        let command = Hookstream::new(&["replay", "--count"]).env("NATS_URL", &nats.url("subscriber"));
        let done = command.run().await.expect_code(1);
        assert!(done.stderr.contains("log in as the role operator"), "{done:?}");
        assert!(!done.stderr.contains(&nats.password("subscriber")), "{done:?}");
        Ok(())
    })
    .await;
}
