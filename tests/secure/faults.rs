//! A wrong CA, an expired certificate, a wrong name, a wrong password: for each server a sentence of its own, with the
//! setting to correct, from `nova doctor` and from `nova run` before it begins.

use anyhow::{Result, ensure};

use crate::authority::text;
use crate::site::Site;
use crate::wait::{s, until};

/// One thing that is wrong.
struct Fault {
    settings: Vec<String>,
    /// Words that the message must hold.
    words: Vec<&'static str>,
    /// Exit codes of `nova doctor` and `nova run`.
    codes: (i32, i32),
}

/// The server cannot be used.
const UNTRUSTED: (i32, i32) = (5, 5);
/// A check fails; the configuration is wrong.
const DENIED: (i32, i32) = (1, 2);

fn fault(setting: String, words: &[&'static str], codes: (i32, i32)) -> Fault {
    Fault { settings: vec![setting], words: words.to_vec(), codes }
}

fn untrusted_ca(site: &Site, key: &'static str) -> Fault {
    let setting = format!("{key}={}", text(&site.authority.other_ca()));
    fault(setting, &["issued by a CA that is not trusted", key], UNTRUSTED)
}

const WRONG_NAME: &str = "is for `localhost`, not for `127.0.0.1`";
const EXPIRED: [&str; 2] = ["expired on 2021-01-01", "a certificate that is valid now"];

/// GIVEN a broker / WHEN something about it or the login is wrong / THEN the message says what, and what to correct.
pub(crate) async fn kafka(site: &Site) -> Result<()> {
    let kafka = site.stack.kafka()?;
    let by_address = kafka.protected_bootstrap()?.replace("localhost", "127.0.0.1");
    for fault in [
        untrusted_ca(site, "kafka.ca_file"),
        fault(format!("kafka.brokers={}", kafka.expired_bootstrap()?), &EXPIRED, UNTRUSTED),
        fault(format!("kafka.brokers={by_address}"), &[WRONG_NAME, "kafka.brokers"], UNTRUSTED),
        fault("kafka.password=wrong".to_owned(), &["refused the login of `nova`", "kafka.password"], DENIED),
        fault("kafka.user=nobody".to_owned(), &["refused the login of `nobody`", "kafka.user"], DENIED),
    ] {
        told(site, "Kafka", &fault, "cdc").await?;
    }
    // Kafka hangs up on what it takes for a request of 369 MB; that looks like an outage, which a worker waits for.
    let (code, failed) = site.doctor(&[format!("kafka.brokers={}", kafka.bootstrap())]).await?;
    let told = failed.iter().any(|line| line.contains("connecting to a PLAINTEXT broker listener?"));
    ensure!(code == Some(5) && told, "TLS to the plain listener: {code:?}, {failed:#?}");
    Ok(())
}

/// The same for ClickHouse.
pub(crate) async fn clickhouse(site: &Site) -> Result<()> {
    let clickhouse = site.stack.clickhouse()?;
    let by_address = clickhouse.tls_url()?.replace("localhost", "127.0.0.1");
    let plain = clickhouse.url().replace("http://127.0.0.1", "https://localhost");
    for fault in [
        untrusted_ca(site, "clickhouse.ca_file"),
        fault(format!("clickhouse.url={by_address}"), &[WRONG_NAME, "clickhouse.url"], UNTRUSTED),
        fault(format!("clickhouse.url={plain}"), &["does not answer in TLS", "clickhouse.url"], UNTRUSTED),
        fault("clickhouse.password=wrong".to_owned(), &["AUTHENTICATION_FAILED", "password"], DENIED),
    ] {
        told(site, "ClickHouse", &fault, "cdc").await?;
    }
    clickhouse.replace_certificate(&site.authority.expired())?;
    let expired = Fault { settings: Vec::new(), words: EXPIRED.to_vec(), codes: UNTRUSTED };
    let told = told(site, "ClickHouse", &expired, "cdc").await;
    clickhouse.replace_certificate(&site.authority.certificate())?;
    told
}

/// The same for PostgreSQL, which only the worker `reconcile` reads.
pub(crate) async fn postgres(site: &Site) -> Result<()> {
    for fault in [
        untrusted_ca(site, "postgres.ca_file"),
        fault("postgres.host=127.0.0.1".to_owned(), &[WRONG_NAME, "postgres.host"], UNTRUSTED),
        fault("postgres.password=wrong".to_owned(), &["nova_reader", "password"], DENIED),
        Fault {
            settings: vec!["postgres.ssl_mode=disable".to_owned(), "postgres.ca_file=".to_owned()],
            words: vec!["no encryption", "postgres.ssl_mode = \"verify-full\""],
            codes: DENIED,
        },
    ] {
        told(site, "PostgreSQL", &fault, "reconcile").await?;
    }
    let postgres = site.stack.postgres()?;
    postgres.replace_certificate(&site.authority.expired())?;
    let expired = Fault { settings: Vec::new(), words: EXPIRED.to_vec(), codes: UNTRUSTED };
    // The server reads its files again a moment after the signal.
    let told = until("PostgreSQL presents the expired certificate", s(20), async || {
        told(site, "PostgreSQL", &expired, "reconcile").await
    })
    .await;
    postgres.replace_certificate(&site.authority.certificate())?;
    told?;
    until("PostgreSQL presents the good certificate", s(20), async || {
        let (code, failed) = site.doctor(&[]).await?;
        ensure!(code == Some(0), "{failed:#?}");
        Ok(())
    })
    .await
}

/// GIVEN Kafka Connect / WHEN its connector would not trust PostgreSQL / THEN a check says so before it is applied.
pub(crate) async fn connector(site: &Site) -> Result<()> {
    let other_ca = format!("connect.postgres_ca_file={}", text(&site.authority.other_ca()));
    for (setting, words) in [
        (other_ca.as_str(), ["certification path", "connect.postgres_ca_file"]),
        ("connect.postgres_ca_file=/no/such.pem", ["/no/such.pem", "connect.postgres_ca_file"]),
        ("connect.postgres_host=127.0.0.1", ["127.0.0.1", "connect.postgres_host"]),
    ] {
        let (code, failed) = site.doctor(&[setting.to_owned()]).await?;
        let fits = |line: &String| words.iter().all(|word| line.contains(word));
        ensure!(code == Some(1) && failed.iter().any(fits), "{setting}: {code:?}, {failed:#?}");
    }
    Ok(())
}

/// Both commands end with the right code, and tell the words.
async fn told(site: &Site, server: &str, fault: &Fault, worker: &str) -> Result<()> {
    let Fault { settings, words, codes } = fault;
    let run = ["run", worker, "--set=admin.listen=127.0.0.1:0"];
    let (doctor, run) = tokio::try_join!(site.doctor(settings), site.nova(settings, &run))?;
    let context = || format!("{server} with {settings:?}");
    let (code, failed) = doctor;
    let fits = |line: &String| line.starts_with(server) && words.iter().all(|word| line.contains(word));
    ensure!(failed.iter().any(fits), "{}: no failed check says {words:?}: {failed:#?}", context());
    ensure!(code == Some(codes.0), "{}: doctor ends with {code:?}: {failed:#?}", context());
    let stderr = &run.stderr;
    ensure!(run.code == Some(codes.1), "{}: run ends with {:?}: {stderr}", context(), run.code);
    let missing: Vec<_> = words.iter().filter(|word| !stderr.contains(**word)).collect();
    ensure!(missing.is_empty(), "{}: run does not say {missing:?}: {stderr}", context());
    ensure!(stderr.contains(server), "{}: run does not name the server: {stderr}", context());
    Ok(())
}

/// GIVEN settings that contradict each other / THEN nothing is opened, and the message says which.
pub(crate) async fn configuration(site: &Site) -> Result<()> {
    for (setting, words) in [
        ("kafka.security=plaintext", ["kafka.user or kafka.password has no effect", "sasl_ssl"]),
        ("kafka.user=", ["needs kafka.user", "SCRAM-SHA-512"]),
        ("postgres.ssl_mode=disable", ["postgres.ca_file has no effect", "verify-full"]),
        ("clickhouse.url=http://localhost:1", ["clickhouse.ca_file has no effect", "https://"]),
        ("clickhouse.ca_file=/no/such.pem", ["clickhouse.ca_file = /no/such.pem", "may read"]),
    ] {
        let answer = site.nova(&[setting.to_owned()], &["config", "check"]).await?;
        ensure!(answer.code == Some(2), "{setting}: {answer:#?}");
        for word in words {
            ensure!(answer.stderr.contains(word), "{setting}: {word:?} is not in {}", answer.stderr);
        }
    }
    // What a command that is no server says of a server it does not trust.
    let settings = [format!("kafka.ca_file={}", text(&site.authority.other_ca()))];
    let answer = site.nova(&settings, &["offsets", "show"]).await?;
    let told = answer.stderr.contains("issued by a CA that is not trusted");
    ensure!(answer.code == Some(5) && told, "offsets show: {answer:#?}");
    Ok(())
}
