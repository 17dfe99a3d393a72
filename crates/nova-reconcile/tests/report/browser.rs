//! A real Chromium, driven over WebDriver (<https://www.w3.org/TR/webdriver2/>) by chromedriver.
//!
//! Invariant: driver and browser use a fresh profile in a temporary folder and are gone at the end, whatever that is.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);
/// The name under which WebDriver tells an element's identity.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one page of ours.
pub(crate) struct Browser {
    driver: Child,
    http: reqwest::Client,
    session: String,
    folder: TempDir,
}

impl Browser {
    /// Starts it and opens `html` from a file.
    pub(crate) async fn open(html: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromedriver: {error}; install it with `apt-get install chromium chromium-driver`")
            });
        let output = driver.stdout.take().unwrap();
        let mut browser = Self { driver, http: reqwest::Client::new(), session: String::new(), folder };
        let port = tokio::time::timeout(DEADLINE, tokio::task::spawn_blocking(move || port(output)));
        let port = port.await.unwrap().unwrap().unwrap();
        browser.session = format!("http://127.0.0.1:{port}/session");
        let answer = browser.post("", browser.capabilities()).await;
        browser.session = format!("{}/{}", browser.session, answer["sessionId"].as_str().unwrap());
        let page = browser.folder.path().join("report.html");
        std::fs::write(&page, html).unwrap();
        browser.post("/url", json!({ "url": format!("file://{}", page.display()) })).await;
        browser
    }

    fn capabilities(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.folder.path().join("profile").display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--window-size=1280,900",
            &profile,
        ];
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } })
    }

    /// What the script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// A click with the mouse, in the middle of the element.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    /// Keys, as a person types them into the element.
    pub(crate) async fn keys(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/value"), json!({ "text": text })).await;
    }

    /// A command of Chrome's own protocol.
    pub(crate) async fn chrome(&self, command: &str, params: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": params })).await
    }

    /// Sets the size, as a phone would have it for `mobile`.
    pub(crate) async fn size(&self, width: u32, height: u32, mobile: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.chrome("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What the system prefers: `light` or `dark`.
    pub(crate) async fn prefers(&self, scheme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.chrome("Emulation.setEmulatedMedia", media).await;
    }

    /// A picture, kept in the folder that `REPORT_SCREENSHOTS` names, if it does.
    pub(crate) async fn picture(&self, name: &str) {
        let answer = self.chrome("Page.captureScreenshot", json!({ "format": "png" })).await;
        let data = answer["data"].as_str().unwrap();
        let png = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000, "{name}: {} bytes", png.len());
        if let Some(folder) = std::env::var_os("REPORT_SCREENSHOTS").map(PathBuf::from) {
            std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
        }
    }

    /// Complaints in the console, and requests to anything but the page itself.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let (mut found, mut own) = (Vec::new(), 0);
        for entry in self.post("/se/log", json!({ "type": "browser" })).await.as_array().unwrap() {
            found.push(entry["message"].as_str().unwrap().to_owned());
        }
        for entry in self.post("/se/log", json!({ "type": "performance" })).await.as_array().unwrap() {
            let event: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let params = &event["message"]["params"];
            // Before ours, the browser shows a page of its own.
            let of_ours = params["documentURL"].as_str().is_some_and(|url| url.ends_with("/report.html"));
            if of_ours && event["message"]["method"] == "Network.requestWillBeSent" {
                let url = params["request"]["url"].as_str().unwrap();
                own += usize::from(url.ends_with("/report.html"));
                if !(url.ends_with("/report.html") || url.starts_with("data:")) {
                    found.push(format!("request to {url}"));
                }
            }
        }
        assert_eq!(own, 1, "the page itself must be in the log");
        found
    }

    async fn element(&self, selector: &str) -> String {
        let answer = self.post("/element", json!({ "using": "css selector", "value": selector })).await;
        answer[ELEMENT].as_str().unwrap().to_owned()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = self.http.post(&url).timeout(DEADLINE).json(&body).send();
        let (status, answer) = match request.await {
            Ok(answer) => (answer.status(), answer.json::<Value>().await.unwrap()),
            Err(error) => panic!("{url}: {error}"),
        };
        assert!(status.is_success(), "{path} {body}: {answer}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    /// The browser is a grandchild that outlives its driver; both are in a process group of their own.
    fn drop(&mut self) {
        let Ok(group) = i32::try_from(self.driver.id()) else { return };
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        let _ = self.driver.wait();
        // The profile can be removed once nobody writes into it any more.
        let begun = Instant::now();
        while killpg(Pid::from_raw(group), None).is_ok() && begun.elapsed() < DEADLINE {
            std::thread::yield_now();
        }
    }
}

/// chromedriver says it on standard output.
fn port(output: impl std::io::Read) -> Option<u16> {
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let mut ports = lines.filter_map(|line| {
        let (_, rest) = line.split_once("started successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    ports.next()
}
