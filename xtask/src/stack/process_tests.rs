//! Tests of the supervision of one child process, on `sh` and `sleep`.

use super::*;

fn launch(dir: &Path, script: &str) -> Launch {
    Launch {
        name: "shell",
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        envs: vec![("GREETING".into(), "hello".into())],
        account: None,
        dir: dir.into(),
        log: dir.join("log"),
        stop: StopManner::Terminate,
        lifetime: Lifetime::WithOwner,
    }
}

fn alive(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

#[test]
fn output_and_exit_status_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let process = ServerProcess::spawn(launch(dir.path(), "echo $GREETING; echo bad >&2; exit 3")).unwrap();
    assert!(process.wait_ended(Duration::from_secs(10)));
    assert_eq!(process.exit_status().unwrap().code(), Some(3));
    assert_eq!(std::fs::read_to_string(process.log()).unwrap(), "hello\nbad\n");
    process.kill(Signal::SIGKILL).unwrap(); // the pid is not ours any more: nothing may be signalled
}

#[test]
fn dropping_the_handle_ends_a_child_that_ignores_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let process = ServerProcess::spawn(launch(dir.path(), script)).unwrap();
    let pid = process.pid();
    let begun = std::time::Instant::now();
    while !std::fs::read_to_string(process.log()).unwrap().contains("ready") {
        assert!(begun.elapsed() < Duration::from_secs(10) && !process.wait_ended(Duration::from_millis(5)));
    }
    process.stop(Duration::from_millis(100));
    assert_eq!(process.exit_status().unwrap().signal(), Some(9));
    drop(process);
    assert!(!alive(pid));
}

#[test]
fn a_respawned_child_has_a_new_pid_and_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = ServerProcess::spawn(launch(dir.path(), "echo up; exec sleep 600")).unwrap();
    let first = process.pid();
    process.kill(Signal::SIGKILL).unwrap();
    assert!(process.wait_ended(Duration::from_secs(10)));
    process.respawn(Duration::from_secs(1)).unwrap();
    assert_ne!(process.pid(), first);
    assert!(process.exit_status().is_none());
    assert!(!alive(first) && alive(process.pid()));
}

#[test]
fn a_missing_program_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut missing = launch(dir.path(), "");
    missing.program = "/nowhere/server".into();
    let error = format!("{:#}", ServerProcess::spawn(missing).unwrap_err());
    assert!(error.contains("/nowhere/server"), "{error}");
}
