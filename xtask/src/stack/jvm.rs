//! How the two JVM servers are started: heap, logging to stderr, class path.

use std::path::{Path, PathBuf};

/// The programs of the two JVM servers.
#[derive(Debug, Clone)]
pub struct Jvm {
    /// The `java` program, 17 or newer.
    pub java: PathBuf,
    /// The folder of Kafka's and Connect's jars.
    pub libs: PathBuf,
    /// The folder of Connect's plugin folders.
    pub plugins: PathBuf,
}

/// `java` arguments for `main_class`: `heap_mib` of heap, warnings of everybody and the news of `informed` loggers.
///
/// slf4j-simple writes to stderr, which the supervisor puts into the server's log file.
#[must_use]
pub(super) fn arguments(heap_mib: u32, libs: &Path, informed: &[&str], main_class: &str) -> Vec<String> {
    const LOG: &str = "-Dorg.slf4j.simpleLogger.";
    let mut args = vec![
        format!("-Xmx{heap_mib}m"),
        "-XX:+UseSerialGC".to_owned(),
        "-Djava.awt.headless=true".to_owned(),
        // Out of memory must end the process, so that it is seen and restarted, not limp on.
        "-XX:+ExitOnOutOfMemoryError".to_owned(),
        format!("{LOG}defaultLogLevel=warn"),
        format!("{LOG}showDateTime=true"),
        format!("{LOG}dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX"),
        format!("{LOG}showThreadName=false"),
    ];
    args.extend(informed.iter().map(|logger| format!("{LOG}log.{logger}=info")));
    args.extend(["-cp".to_owned(), format!("{}/*", libs.display()), main_class.to_owned()]);
    args
}

/// Java properties text; a backslash in a value would start an escape.
#[must_use]
pub(super) fn properties(pairs: &[(&str, String)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={}\n", value.replace('\\', "\\\\"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_path_and_main_class_come_last() {
        let args = arguments(512, Path::new("/libs"), &["kafka.server"], "kafka.Kafka");
        assert!(args.contains(&"-Dorg.slf4j.simpleLogger.log.kafka.server=info".to_owned()));
        assert_eq!(args.iter().rev().take(3).rev().collect::<Vec<_>>(), ["-cp", "/libs/*", "kafka.Kafka"]);
    }

    #[test]
    fn properties_escape_backslashes() {
        assert_eq!(properties(&[("a", "x\\y".into()), ("b", "1".into())]), "a=x\\\\y\nb=1\n");
    }
}
