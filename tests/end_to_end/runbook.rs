//! Runs the commands of a page of `docs/runbooks/`, in their order, as somebody would who has the page before him.
//!
//! What is run is what stands in fenced blocks inside of the numbered list below one heading; inline code and other blocks
//! are for reading. The first word behind the fence is the language, the second says where:
//!
//! - `sh`: each line is one command (a `\` at its end joins the next), run by `sh` in a scratch folder that all commands of
//!   the page share; `nova` is this installation's. A comment `# exit code 3` says what it must end with; otherwise 0.
//! - `sql clickhouse`, `sql postgres`: statements, each ended by `;` at the end of a line.
//!
//! Invariant: a page that cannot be followed to its end fails. What a test must do otherwise (start a process that does
//! not end, name its own hour) it declares, and a declaration that nothing on the page needs any more fails, too.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command as Process;
use tokio::time::timeout;
use xtask::workspace;

use crate::wait::s;
use crate::world::{Answer, World};

/// Where a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Shell,
    ClickHouse,
    Postgres,
}

/// One command of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Command {
    step: String,
    place: Place,
    text: String,
    code: i32,
}

/// The commands below one heading of a page.
#[derive(Debug)]
pub(crate) struct Runbook {
    page: String,
    commands: Vec<Command>,
}

impl Runbook {
    /// Reads the commands below `## heading` of `docs/runbooks/<page>`.
    pub(crate) fn read(page: &str, heading: &str) -> Result<Self> {
        let path = workspace::root().join("docs/runbooks").join(page);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let commands = commands(&text, heading).with_context(|| format!("{page}, `## {heading}`"))?;
        Ok(Self { page: page.to_owned(), commands })
    }

    /// The same with `to` wherever the page says `from`.
    pub(crate) fn with(mut self, from: &str, to: &str) -> Result<Self> {
        let said = self.commands.iter().any(|command| command.text.contains(from));
        ensure!(said, "{} does not say `{from}` any more", self.page);
        for command in &mut self.commands {
            command.text = command.text.replace(from, to);
        }
        Ok(self)
    }

    /// Runs all of them. `instead` is asked before each: `true` means that it has done what the command says.
    pub(crate) async fn follow(
        &self,
        world: &mut World,
        mut instead: impl AsyncFnMut(&mut World, &str) -> Result<bool>,
    ) -> Result<()> {
        let folder = world.stack.run_dir.subdir("runbook")?.join(&self.page);
        std::fs::create_dir_all(&folder)?;
        for command in &self.commands {
            let Command { step, text, .. } = command;
            let told = || format!("{}, step {step}: {text}", self.page);
            world.note(&told());
            if !instead(world, text).await.with_context(told)? {
                command.run(world, &folder).await.with_context(told)?;
            }
        }
        Ok(())
    }
}

impl Command {
    async fn run(&self, world: &mut World, folder: &Path) -> Result<()> {
        match self.place {
            Place::ClickHouse => world.clickhouse()?.query(&self.text).await.map(drop),
            Place::Postgres => {
                let sql = sqlx::AssertSqlSafe(self.text.clone());
                sqlx::raw_sql(sql).execute(world.postgres()).await?;
                Ok(())
            }
            Place::Shell => {
                let answer = shell(world, &self.text, folder).await?;
                ensure!(answer.code == Some(self.code), "exit code {} is expected: {answer:?}", self.code);
                world.note(&format!("took {:.1} s", answer.took.as_secs_f64()));
                Ok(())
            }
        }
    }
}

/// Runs a line by `sh`; `nova` is found first, and finds its configuration.
async fn shell(world: &World, line: &str, folder: &Path) -> Result<Answer> {
    let program = world.installation.nova.parent().context("nova lies in no folder")?;
    let mut path = vec![program.to_owned()];
    path.extend(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<PathBuf>>(),
    );
    let mut process = Process::new("sh");
    process.args(["-c", line]).current_dir(folder).env("PATH", std::env::join_paths(path)?);
    process.env("NOVA_CONFIG", &world.installation.config);
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let begun = Instant::now();
    let child = process.spawn()?;
    let group = child.id().and_then(|id| id.try_into().ok()).map(|id| Group(Pid::from_raw(id)));
    let output = timeout(s(150), child.wait_with_output()).await.map_err(|_| anyhow!("it did not end"))??;
    // Its number may be another's by now.
    std::mem::forget(group);
    Ok(Answer {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: begun.elapsed(),
    })
}

/// The processes of one line, ended when nobody waits for them any more.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // They may be ending by themselves.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// The commands of the numbered list below the heading.
fn commands(page: &str, heading: &str) -> Result<Vec<Command>> {
    let (mut commands, mut step) = (Vec::new(), None);
    let title = format!("## {heading}");
    let mut lines = page.lines().skip_while(|line| *line != title).skip(1);
    while let Some(line) = lines.next().filter(|line| !line.starts_with("## ")) {
        if let Some((number, _)) = line.split_once(". ")
            && number.parse::<u32>().is_ok()
        {
            step = Some(number.to_owned());
        }
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<&str> =
            lines.by_ref().take_while(|line| line.trim() != "```").map(str::trim).collect();
        // A block that is not indented is none of the list's.
        if let Some(step) = step.as_ref().filter(|_| line.starts_with(' ')) {
            commands.extend(of_block(language.trim(), &block, step)?);
        }
    }
    ensure!(!commands.is_empty(), "no numbered step there has a block of commands");
    Ok(commands)
}

fn of_block(language: &str, block: &[&str], step: &str) -> Result<Vec<Command>> {
    let (place, end) = match language {
        "sh" => (Place::Shell, "\n"),
        "sql clickhouse" => (Place::ClickHouse, ";\n"),
        "sql postgres" => (Place::Postgres, ";\n"),
        "" | "text" | "toml" | "json" => return Ok(Vec::new()),
        other => bail!("step {step}: nobody runs a block of `{other}`"),
    };
    let lines: Vec<&str> = block.iter().filter(|line| !line.starts_with('#')).copied().collect();
    let text = format!("{}\n", lines.join("\n")).replace("\\\n", "");
    let command = |text: &str| {
        let code = text.split_once("# exit code ").map_or(Some(0), |(_, said)| {
            said.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
        });
        let code = code.with_context(|| format!("step {step}: which exit code? `{text}`"))?;
        Ok(Command { step: step.to_owned(), place, text: text.trim().to_owned(), code })
    };
    text.split(end).filter(|text| !text.trim().is_empty()).map(command).collect()
}

/// GIVEN a page / THEN the commands of its list are found with their place and exit code, and nothing else is.
pub(crate) fn form() -> Result<()> {
    let page = "# Page\n```sh\nnot this\n```\n## Other\n1. x\n   ```sh\n   nor this\n   ```\n## The way\nText.\n\
        1. Look, `inline`:\n   ```sh\n   nova status \\\n     --all\n   # why\n   nova reconcile # exit code 3: found\n   ```\n\
        2. Write:\n   ```sql clickhouse\n   ALTER TABLE a\n   ADD COLUMN b;\n   SELECT 1;\n   ```\n\
        3. Declare:\n   ```toml\n   a = 1\n   ```\n```sh\nnot indented\n```\n## Next\n4. y\n   ```sh\n   nor that\n   ```\n";
    let command = |step: &str, place, text: &str, code| {
        let (step, text) = (step.to_owned(), text.to_owned());
        Command { step, place, text, code }
    };
    let wanted = [
        command("1", Place::Shell, "nova status --all", 0),
        command("1", Place::Shell, "nova reconcile # exit code 3: found", 3),
        command("2", Place::ClickHouse, "ALTER TABLE a\nADD COLUMN b", 0),
        command("2", Place::ClickHouse, "SELECT 1", 0),
    ];
    let found = commands(page, "The way")?;
    ensure!(found == wanted, "{found:?}");
    for (wrong, word) in [("## H\n1. a", "no numbered step"), ("## H\n1. a\n   ```rust\n   ```", "`rust`")] {
        let error = commands(wrong, "H").err().context("it was read")?;
        ensure!(format!("{error:#}").contains(word), "{error:#}");
    }
    Ok(())
}
