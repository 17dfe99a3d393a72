//! Major versions out of what programs say about themselves.
//!
//! Invariant: a text that does not look like a version is no version; nothing is guessed.

/// Of `postgres --version`: `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)` is 15, `… 18beta1` is 18.
#[must_use]
pub(super) fn postgres_major(text: &str) -> Option<u32> {
    leading_number(text.split_once("(PostgreSQL)")?.1.trim_start())
}

/// Of `java -version`: `openjdk version "17.0.15" 2025-04-15` is 17, the old scheme `"1.8.0_392"` is 8.
#[must_use]
pub(super) fn java_major(text: &str) -> Option<u32> {
    let version = text.split_once("version \"")?.1;
    match leading_number(version)? {
        1 => leading_number(version.split_once('.')?.1),
        major => Some(major),
    }
}

/// Of `go version`: `go version go1.26.8 linux/amd64` is 26.
#[must_use]
pub(super) fn go_minor(text: &str) -> Option<u32> {
    leading_number(text.strip_prefix("go version go1.")?)
}

fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_versions() {
        assert_eq!(postgres_major("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)\n"), Some(15));
        assert_eq!(postgres_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(postgres_major("postgres (PostgreSQL) devel"), None);
        assert_eq!(postgres_major("not found"), None);
    }

    #[test]
    fn java_versions() {
        assert_eq!(java_major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"), Some(17));
        assert_eq!(
            java_major("Picked up _JAVA_OPTIONS: -Xmx1g\nopenjdk version \"21\" 2023-09-19"),
            Some(21)
        );
        assert_eq!(java_major("java version \"1.8.0_392\""), Some(8));
        assert_eq!(java_major("openjdk version \"22-ea\""), Some(22));
        assert_eq!(java_major("Error: no JVM"), None);
    }

    #[test]
    fn go_versions() {
        assert_eq!(go_minor("go version go1.26.8 linux/amd64\n"), Some(26));
        assert_eq!(go_minor("go version go1.25rc1 linux/amd64"), Some(25));
        assert_eq!(go_minor("go version devel go1.27-abc"), None);
    }
}
