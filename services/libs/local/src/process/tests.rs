use super::*;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

fn shell(script: &str) -> Program {
    Program::new("/bin/sh").arg("-c").arg(script)
}

#[test]
fn a_child_reports_its_output_and_how_it_ended() {
    let child = shell("echo hello; exit 3").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.take_stdout().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello\n");
    assert_eq!(child.wait().code(), Some(3));
    assert_eq!(child.ended().and_then(|status| status.code()), Some(3));
}

#[test]
fn a_program_that_does_not_exist_ends_at_once_with_a_failure() {
    let child = Program::new("/no/such/program").spawn().unwrap();
    assert!(!child.wait().success());
}

#[test]
fn a_program_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    // The kernel keeps 15 bytes of a thread's name, and the 15th is in the middle of a letter.
    let path = folder.path().join("fourteen-bytesä");
    std::os::unix::fs::symlink("/bin/true", &path).unwrap();
    assert!(Program::new(&path).spawn().unwrap().wait().success());
}

#[test]
fn a_child_that_ignores_the_request_to_stop_is_killed() {
    let child = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.take_stdout().unwrap()).read_line(&mut line).unwrap();
    let status = child.stop(Death::Term, Duration::from_millis(100), Death::Kill);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

#[test]
fn a_child_does_not_see_our_environment_when_told_so() {
    let child = shell("env").clear_env().env("ONLY", "this").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.take_stdout().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("ONLY=this"), "{said}");
    assert!(!said.contains("CARGO"), "{said}");
}

/// Not a test of its own: the parent that [`children_of_a_killed_process_are_gone`] starts and kills.
#[test]
#[ignore = "run by children_of_a_killed_process_are_gone"]
fn parent_that_will_be_killed() {
    let user = rustix::process::geteuid().is_root().then_some("postgres");
    // Not by SIGQUIT: a shell without job control makes what it runs in the background ignore it, and sleep obeys.
    let first = Program::new("/bin/sleep").arg("600").spawn().unwrap();
    let second =
        Program::new("/bin/sleep").arg("600").on_parent_death(Death::Kill).user(user).spawn().unwrap();
    for child in [&first, &second] {
        while !runs(child.id(), "sleep") {
            thread::sleep(Duration::from_millis(1)); // setpriv has not become sleep yet
        }
    }
    println!("children {} {}", first.id(), second.id());
    first.wait();
}

#[test]
fn children_of_a_killed_process_are_gone() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["process::tests::parent_that_will_be_killed", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(parent.stdout.take().unwrap());
    let line = said.lines().map(Result::unwrap).find(|line| line.contains("children ")).unwrap();
    let (_, ids) = line.split_once("children ").unwrap();
    let children: Vec<u32> = ids.split(' ').map(|id| id.parse().unwrap()).collect();
    assert!(children.iter().all(|pid| runs(*pid, "sleep")));

    parent.kill().unwrap();
    parent.wait().unwrap();
    for pid in children {
        assert!(wait_gone(pid, "sleep", Duration::from_secs(10)), "{pid} is still alive");
    }
}
