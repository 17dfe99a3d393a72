//! What a person gets who has made a mistake: one sentence that names the thing and the cure, and the right exit code.

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use crate::admin::get;
use crate::wait::{s, until};
use crate::world::{Answer, World, ended};

/// A mistake, and what must be said about it.
struct Case<'a> {
    args: Vec<&'a str>,
    variables: Vec<(&'a str, &'a str)>,
    code: i32,
    words: Vec<&'a str>,
}

fn case<'a>(args: &[&'a str], code: i32, words: &[&'a str]) -> Case<'a> {
    Case { args: args.to_vec(), variables: Vec::new(), code, words: words.to_vec() }
}

/// GIVEN a mistake / WHEN `nova` is started / THEN it ends within seconds, says what is wrong, and changes nothing.
pub(crate) async fn bad_input(world: &mut World) -> Result<()> {
    let holder = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken = format!("monitoring.listen={}", holder.local_addr()?);
    let streams = world.stack.run_dir.subdir("streams")?.join("wrong.toml");
    std::fs::write(&streams, WRONG_STREAMS)?;
    let streams = streams.display().to_string();
    let group = "--set=kafka.group_prefix=never";
    let admin = "--set=monitoring.listen=127.0.0.1:0";
    let mut cases = vec![
        case(&["migrate", "--set", "clickhouse.password=wrong"], 1, &["default", "password"]),
        case(
            &["run", "--stream", "likes", group, admin, "--set=clickhouse.password=wrong"],
            2,
            &["default", "password"],
        ),
        case(
            &["migrate", "--set", "clickhouse.url=http://127.0.0.1:1"],
            5,
            &["cannot connect to ClickHouse", "127.0.0.1:1"],
        ),
        case(
            &["migrate", "--set", "clickhouse.url=nonsense"],
            2,
            &["clickhouse.url", "nonsense", "http://host:8123"],
        ),
        case(
            &["connector", "apply", "--set", "connect.url=http://127.0.0.1:1"],
            5,
            &["Kafka Connect", "127.0.0.1:1"],
        ),
        case(&["connector", "apply", "--set", "postgres.port=1"], 5, &["PostgreSQL"]),
        case(&["connector", "apply", "--set", "kafka.brokers=127.0.0.1:1"], 5, &["127.0.0.1:1"]),
        case(&["config", "check", "--set", "kafka.broker=x"], 2, &["unknown field", "broker", "brokers"]),
        case(&["config", "check", "--set", "postgres.port=many"], 2, &["postgres.port", "many", "--set"]),
        case(
            &["config", "check", "--streams", "/nowhere/streams.toml"],
            2,
            &["/nowhere/streams.toml", "--streams"],
        ),
        case(&["config", "check", "--streams", &streams], 2, &["wrong.toml:3", "tabel"]),
        case(&["config", "check", "--config", "/nowhere/nova.toml"], 2, &["/nowhere/nova.toml", "--config"]),
        case(&["run", "--stream", "lieks"], 2, &["no stream `lieks`", "likes"]),
        case(&["run", "cdd"], 2, &["no stream belongs to a worker `cdd`", "cdc"]),
        case(&["run"], 2, &["--stream", "WORKER"]),
        case(&["run", "cdc", "--set", &taken], 5, &[&taken[18..], "monitoring.listen", "port"]),
        case(
            &["run", "cdc", admin, "--set", "admin.listen=0.0.0.0:0"],
            2,
            &["admin.listen", "token", "127.0.0.1"],
        ),
        case(
            &["run", "--stream", "likes", group, admin],
            1,
            &["never-likes", "cdc.likes", "--from-beginning"],
        ),
    ];
    let variable = vec![("NOVA_KAFAK_BROKERS", "x")];
    cases.push(Case { variables: variable, ..case(&["config", "check"], 2, &["NOVA_KAFAK_BROKERS"]) });
    let mut wrong = Vec::new();
    for case in &cases {
        let answer = world.nova_with(&case.args, &case.variables).await?;
        if let Err(error) = judge(case, &answer) {
            wrong.push(format!("`nova {}`: {error}\n{}", case.args.join(" "), answer.stderr));
        }
        world.note(&format!("$ nova {} -> {:?}\n{}", case.args.join(" "), answer.code, answer.stderr));
    }
    ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    servers_away(world).await
}

/// GIVEN servers that are away / WHEN a stream runs / THEN it waits and names them, and ends in order when asked to.
async fn servers_away(world: &World) -> Result<()> {
    let away = ["--set=kafka.brokers=127.0.0.1:1", "--set=clickhouse.url=http://127.0.0.1:1"];
    let args = [&["--stream", "likes", "--set=kafka.group_prefix=never"], &away[..]].concat();
    let worker = world.installation.spawn_worker("servers-away", &args)?;
    until("readiness names both servers", s(30), async || {
        let (status, body) = get(&worker.admin, "/health/ready").await?;
        ensure!(status == 503, "/health/ready answers {status}");
        for words in ["kafka is held up", "likes restarts", "127.0.0.1:1", "cannot connect to ClickHouse"] {
            ensure!(body.contains(words), "{body}");
        }
        let (status, body) = get(&worker.admin, "/health/live").await?;
        ensure!(status == 200, "/health/live answers {status}: {body}");
        Ok(())
    })
    .await?;
    let code = ended(&worker.process, Signal::SIGTERM).await?;
    ensure!(code == Some(0), "exit code {code:?} after SIGTERM");
    Ok(())
}

fn judge(case: &Case<'_>, answer: &Answer) -> Result<()> {
    ensure!(answer.code == Some(case.code), "exit code {:?} instead of {}", answer.code, case.code);
    ensure!(answer.stdout.is_empty(), "wrote to stdout: {}", answer.stdout);
    ensure!(answer.took < s(20), "took {:.1} s", answer.took.as_secs_f64());
    // What is said last is what a person sees; a log before it is fine.
    let from = answer.stderr.rfind("nova: ").or_else(|| answer.stderr.rfind("error: ")).unwrap_or(0);
    let said = &answer.stderr[from..];
    for word in &case.words {
        ensure!(said.contains(word), "does not say `{word}`");
    }
    ensure!(said.lines().count() <= 8, "needs {} lines", said.lines().count());
    for noise in ["panicked", "backtrace", "Error {", "Some("] {
        ensure!(!said.contains(noise), "says `{noise}`");
    }
    Ok(())
}

const WRONG_STREAMS: &str = "[streams.likes]
worker = \"cdc\"
tabel = \"post_engagement_events\"
topic = \"cdc.likes\"
";
