use crate::command::Hookstream;

const SUBCOMMANDS: [&str; 8] = ["up", "send", "work", "provision", "tail", "replay", "rebuild", "doctor"];

#[test]
fn the_commands_of_the_trail_have_help_too() {
    for command in ["list", "verify", "reverify", "prove", "check", "export", "witness", "resume", "key"] {
        let help = Hookstream::new(&["audit", command, "--help"]).run_blocking().expect_code(0).stdout;
        for part in ["Usage:", "Exit code: 0", "Examples:", "[env: HOOKSTREAM_CONFIG]"] {
            assert!(help.contains(part), "audit {command} --help does not tell {part:?}:\n{help}");
        }
    }
    let wrong = Hookstream::new(&["audit", "list", "--kind", "no-such"]).run_blocking().expect_code(2);
    assert!(wrong.stderr.contains("suspected_replay"), "{wrong:?}");
}

#[test]
fn the_commands_of_the_queue_have_help_too() {
    let help = Hookstream::new(&["queue", "--help"]).run_blocking().expect_code(0).stdout;
    for part in ["Usage:", "Exit code: 0", "Examples:", "enqueue", "watch"] {
        assert!(help.contains(part), "queue --help does not tell {part:?}:\n{help}");
    }
    let list = Hookstream::new(&["queue", "list", "--help"]).run_blocking().expect_code(0).stdout;
    assert!(
        list.contains("[env: BACKEND_URL]") && list.contains("[env: HOOKSTREAM_API_TOKEN_FILE]"),
        "{list}"
    );
}

#[test]
fn help_works_at_every_level_and_names_exit_codes_and_examples() {
    let help = Hookstream::new(&["--help"]).run_blocking().expect_code(0);
    for subcommand in SUBCOMMANDS {
        assert!(help.stdout.contains(subcommand), "{}", help.stdout);
    }
    for subcommand in SUBCOMMANDS {
        let help = Hookstream::new(&[subcommand, "--help"]).run_blocking().expect_code(0).stdout;
        for part in ["Usage:", "Exit code: 0", "Examples:", "--data-dir", "[env: HOOKSTREAM_CONFIG]"] {
            assert!(help.contains(part), "{subcommand} --help does not tell {part:?}:\n{help}");
        }
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_how_it_is_used() {
    for wrong in [&["nonsense"][..], &[], &["send"], &["provision", "--nonsense"], &["send", "x.json"]] {
        let done = Hookstream::new(wrong).run_blocking().expect_code(2);
        assert!(done.stderr.contains("Usage: hookstream"), "{done:?}");
        assert_eq!(done.stdout, "");
    }
}

#[test]
fn a_wrong_setting_ends_with_2_and_is_named() {
    let done = Hookstream::new(&["doctor"]).env("NATS_URL", "::").run_blocking().expect_code(2);
    assert!(done.stderr.contains("NATS_URL"), "{done:?}");
    let done =
        Hookstream::new(&["up"]).env("HOOKSTREAM_GATEWAY_ADDR", "nowhere").run_blocking().expect_code(2);
    assert!(done.stderr.contains("HOOKSTREAM_GATEWAY_ADDR"), "{done:?}");
}

#[test]
fn no_secret_can_be_given_on_the_command_line() {
    for subcommand in SUBCOMMANDS {
        let help = Hookstream::new(&[subcommand, "--help"]).run_blocking().stdout;
        for secret in ["--github-webhook-secret ", "--database-url ", "--nats-password ", "--api-token "] {
            assert!(!help.contains(secret), "{subcommand}: {secret}");
        }
    }
}
