//! ClickHouse in one of three forms: a server named by URL, a `clickhouse` binary, or the embedded engine.
//!
//! Invariant: the three look the same to everybody else: an HTTP URL, a user and a password.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::clickhouse_config;
use super::launch::{Launch, StopManner};
use super::options::Site;
use super::ports::free_port;
use super::process::ServerProcess;
use super::protection::{ClickHouseUser, ServerFiles};
use super::readiness::wait_ready;

const USER: &str = "default";
const READY_WITHIN: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(10);

/// Which ClickHouse to use.
#[derive(Debug, Clone)]
pub enum ClickHouseSource {
    /// A server that is not ours, from `NOVA_CLICKHOUSE_URL`, `NOVA_CLICKHOUSE_USER`, `NOVA_CLICKHOUSE_PASSWORD`.
    External {
        /// Base URL of its HTTP interface.
        url: String,
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// A `clickhouse` binary of the machine.
    Binary(PathBuf),
    /// The workspace's `embedded-clickhouse` and the engine library it loads.
    Embedded {
        /// The server program.
        program: PathBuf,
        /// `libchdb.so`.
        library: PathBuf,
    },
}

/// A ClickHouse to work with.
#[derive(Debug)]
pub struct ClickHouseServer {
    process: Option<ServerProcess>,
    url: String,
    user: String,
    password: String,
    tls: Option<Tls>,
}

/// The address for TLS and the files behind it.
#[derive(Debug)]
struct Tls {
    port: u16,
    files: ServerFiles,
}

impl ClickHouseServer {
    /// Starts the server on `port` of 127.0.0.1, or checks that the external one answers.
    ///
    /// # Errors
    /// When it does not answer in time, or refuses the user or password.
    pub async fn start(site: Site<'_>, source: &ClickHouseSource, port: u16) -> Result<Self> {
        if let ClickHouseSource::External { url, user, password } = source {
            let (url, user, password) =
                (url.trim_end_matches('/').to_owned(), user.clone(), password.clone());
            let server = Self { process: None, url, user, password, tls: None };
            server.probe().await.with_context(|| {
                format!("ClickHouse at NOVA_CLICKHOUSE_URL={} does not answer; correct the variable, or unset it to use an own server", server.url)
            })?;
            return Ok(server);
        }
        let password = uuid::Uuid::new_v4().simple().to_string();
        let home = site.run_dir.subdir("clickhouse")?;
        let tls = match &site.options.protection {
            Some(protection) => Some(Tls { port: free_port()?, files: protection.install(&home, None)? }),
            None => None,
        };
        let launch = launch(site, source, &home, port, tls.as_ref(), &password)?;
        let server = Self {
            process: Some(ServerProcess::spawn(launch)?),
            url: format!("http://127.0.0.1:{port}"),
            user: USER.to_owned(),
            password,
            tls,
        };
        server.wait_ready().await?;
        Ok(server)
    }

    /// Its process.
    ///
    /// # Errors
    /// When the server is an external one.
    pub fn process(&self) -> Result<&ServerProcess> {
        self.process
            .as_ref()
            .context("ClickHouse is an external server (NOVA_CLICKHOUSE_URL): it has no process here")
    }

    pub(super) fn process_mut(&mut self) -> Option<&mut ServerProcess> {
        self.process.as_mut()
    }

    /// Starts the server again on its port and data; ends it first when it still runs.
    ///
    /// # Errors
    /// When it is an external one, or does not answer in time.
    pub async fn restart(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else {
            bail!("ClickHouse is an external server (NOVA_CLICKHOUSE_URL): it cannot be restarted from here")
        };
        process.respawn(GRACE)?;
        self.wait_ready().await
    }

    async fn wait_ready(&self) -> Result<()> {
        wait_ready(self.process()?, READY_WITHIN, async || self.probe().await).await
    }

    /// Asks for `SELECT 1` as our user, which `/ping` would not check.
    async fn probe(&self) -> Result<()> {
        let answer = self.query("SELECT 1 FORMAT TSV").await?;
        ensure!(answer.trim() == "1", "SELECT 1 answered {answer:?}");
        Ok(())
    }

    /// Runs one statement over HTTP and answers the body.
    ///
    /// # Errors
    /// With ClickHouse's own message when it refuses.
    pub async fn query(&self, sql: &str) -> Result<String> {
        let request = reqwest::Client::new().post(format!("{}/", self.url)).body(sql.to_owned());
        let request =
            request.header("X-ClickHouse-User", &self.user).header("X-ClickHouse-Key", &self.password);
        let response = request.send().await?;
        let status = response.status();
        let body = response.text().await?;
        ensure!(status.is_success(), "{status}: {}", body.trim());
        Ok(body)
    }

    /// Base URL of the HTTP interface, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Base URL for TLS.
    ///
    /// # Errors
    /// When the stack is not protected.
    pub fn tls_url(&self) -> Result<String> {
        Ok(format!("https://localhost:{}", self.protected()?.port))
    }

    /// Gives a protected server another certificate, for connections from now on.
    ///
    /// # Errors
    /// When the stack is not protected, or a file cannot be read or written.
    pub fn replace_certificate(&self, by: &Path) -> Result<()> {
        self.protected()?.files.replace_certificate(by)
    }

    fn protected(&self) -> Result<&Tls> {
        self.tls.as_ref().context("this ClickHouse was started without protection")
    }

    /// User name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Password, made up for this stack unless the server is an external one.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }
}

fn launch(
    site: Site<'_>,
    source: &ClickHouseSource,
    home: &Path,
    port: u16,
    tls: Option<&Tls>,
    password: &str,
) -> Result<Launch> {
    let config = |content: String| {
        let path = home.join("config.xml");
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        std::io::Write::write_all(&mut file, content.as_bytes())
            .with_context(|| format!("writing {}", path.display()))?;
        anyhow::Ok(path.display().to_string())
    };
    fs::create_dir_all(home.join(clickhouse_config::BACKUPS))?;
    let (program, args, envs) = match source {
        ClickHouseSource::External { .. } => bail!("an external ClickHouse is not started"),
        ClickHouseSource::Binary(_) if tls.is_some() => {
            bail!("a protected stack needs the embedded engine: take `clickhouse` off the PATH")
        }
        ClickHouseSource::Binary(program) => {
            let path = config(clickhouse_config::server(home, port, password))?;
            (program.clone(), vec!["server".to_owned(), format!("--config-file={path}")], vec![])
        }
        ClickHouseSource::Embedded { program, library } => {
            let protection = site.options.protection.as_ref();
            let users = protection.map(|protection| users(home, &protection.clickhouse_users)).transpose()?;
            let definitions = users.as_ref().map(|(_, definitions)| definitions.as_path());
            let mut args = vec![
                "--library".to_owned(),
                library.display().to_string(),
                "--data".to_owned(),
                home.join("data").display().to_string(),
                "--listen".to_owned(),
                format!("127.0.0.1:{port}"),
                "--config-file".to_owned(),
                config(clickhouse_config::engine(home, definitions))?,
            ];
            if let Some(Tls { port, files }) = tls {
                args.extend([
                    format!("--tls-listen=127.0.0.1:{port}"),
                    format!("--tls-certificate={}", files.certificate().display()),
                    format!("--tls-key={}", files.key().display()),
                ]);
            }
            args.extend(users.iter().map(|(passwords, _)| format!("--users-file={}", passwords.display())));
            (program.clone(), args, vec![("EMBEDDED_CLICKHOUSE_PASSWORD".to_owned(), password.to_owned())])
        }
    };
    Ok(Launch {
        name: "ClickHouse",
        program,
        args,
        envs,
        account: None,
        dir: home.to_owned(),
        log: site.run_dir.log("clickhouse"),
        stop: StopManner::Terminate,
        lifetime: site.options.lifetime,
    })
}

/// The embedded engine's users: the file of passwords for its front, and that of grants for the engine.
fn users(home: &Path, users: &[ClickHouseUser]) -> Result<(PathBuf, PathBuf)> {
    let write = |name: &str, text: String| {
        let path = home.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        anyhow::Ok(path)
    };
    let lines = users.iter().map(|user| format!("{} {}\n", user.name, user.password));
    Ok((write("users", lines.collect())?, write("users.xml", clickhouse_config::users(users))?))
}
