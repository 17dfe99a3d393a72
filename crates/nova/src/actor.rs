//! Who gave a command, for the record of what it changed: `user@host`, unless the command says otherwise.

/// The given name, else this process's user and host; `unknown` where the environment names no user.
pub fn actor(given: Option<&str>) -> String {
    if let Some(name) = given.map(str::trim).filter(|name| !name.is_empty()) {
        return name.to_owned();
    }
    let user =
        std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".into());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", host.trim())
}

#[cfg(test)]
mod tests {
    use super::actor;

    #[test]
    fn a_given_name_counts_and_else_user_and_host() {
        assert_eq!(actor(Some(" ann ")), "ann");
        for nothing in [None, Some(""), Some("  ")] {
            let found = actor(nothing);
            let (user, host) = found.split_once('@').unwrap();
            assert!(!user.is_empty() && !host.contains('\n'), "{found}");
        }
    }
}
