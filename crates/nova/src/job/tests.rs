//! Jobs without a server: who may begin, and what is read back.

use nova_clickhouse::{JobKind, JobRow};
use uuid::Uuid;

use super::*;

/// A replay at work in a process that nobody knows.
pub(crate) fn row() -> JobRow {
    let request = Request {
        kind: JobKind::Replay,
        stream: "likes".to_owned(),
        target: "events".to_owned(),
        command: "nova replay kafka --stream likes --from earliest --to now".to_owned(),
        unit: "messages",
    };
    let row = new_row(&request, "{}".to_owned());
    JobRow { process: "elsewhere/pid:[1]/1/1".to_owned(), actor: "me@here".to_owned(), age_ms: 7_200, ..row }
}

#[test]
fn another_process_on_the_same_table_is_refused_unless_it_is_gone() {
    let own = JobRow { process: process::own(), ..row() };
    assert!(refuse_others(&[], &own).is_ok());
    assert!(refuse_others(std::slice::from_ref(&own), &own).is_ok(), "its own words");
    let failure = refuse_others(&[own.clone(), row()], &own).unwrap_err();
    for word in ["`events`", "replay", &row().stream, "me@here", "7 s ago"] {
        assert!(failure.message.contains(word), "{word}: {failure}");
    }
    assert!(failure.cure.contains("30 s"), "{}", failure.cure);
    let mut parts: Vec<String> = process::own().split('/').map(str::to_owned).collect();
    parts[3] = "1".to_owned();
    let gone = JobRow { process: parts.join("/"), ..row() };
    assert!(refuse_others(&[gone], &own).is_ok(), "its number is this process's now");
}

#[test]
fn beside_a_rebuild_nothing_else_is_written_and_beside_other_jobs_it_is() {
    let rebuild = JobRow { kind: JobKind::Rebuild, ..row() };
    let failure = refuse_rebuild(&[row(), rebuild.clone()]).unwrap_err();
    assert!(
        failure.message.contains("`events` is being rebuilt") && failure.message.contains("me@here"),
        "{failure}"
    );
    let mut parts: Vec<String> = process::own().split('/').map(str::to_owned).collect();
    parts[3] = "1".to_owned();
    let gone = JobRow { process: parts.join("/"), ..rebuild };
    assert!(refuse_rebuild(&[row(), gone]).is_ok());
}

#[test]
fn what_a_job_wrote_down_is_read_or_named() {
    let row = row();
    let sums = Sums { done: 3, written: 2, ..Sums::default() };
    assert_eq!(read::<Sums>("checkpoint", &row, "").unwrap(), None);
    assert_eq!(read("checkpoint", &row, &json(&sums).unwrap()).unwrap(), Some(sums));
    let failure = read::<Sums>("plan", &row, "{}").unwrap_err();
    let job = Uuid::to_string(&row.job_id);
    assert!(failure.message.contains(&job) && failure.cure.contains("--anew"), "{failure}");
}
