//! Which process works on a job, so that another one on the same machine can tell whether it is gone.
//!
//! Invariant: a process is called gone only if this kernel, in this namespace of process ids, has none of its number and start.
//! Of a process elsewhere nothing is known; it is gone when it has not been heard of for long.

use std::fs::{read_link, read_to_string};

use uuid::Uuid;

/// This process: boot, namespace, number and start, separated by `/`; a name that nobody else has where the kernel does not
/// tell.
pub fn own() -> String {
    identity(std::process::id()).unwrap_or_else(|| format!("unknown/{}", Uuid::new_v4()))
}

/// Whether the process is certainly no more.
pub fn is_gone(process: &str) -> bool {
    let (Some(this), Some(number)) = (machine(), process.split('/').nth(2)) else { return false };
    let Ok(number) = number.parse() else { return false };
    process.starts_with(&format!("{this}/")) && identity(number).as_deref() != Some(process)
}

/// Boot and namespace.
fn machine() -> Option<String> {
    let boot = read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}/{}", boot.trim(), namespace.display()))
}

/// The identity of the process that has this number now; nothing for one that has ended and only waits to be buried.
fn identity(number: u32) -> Option<String> {
    let stat = read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The second field is the program's name, in brackets, and may hold anything; the state is the third, the start the 22nd.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    Some(format!("{}/{number}/{}", machine()?, fields.nth(18)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_gone_when_its_number_or_its_start_is_not_there() {
        let own = own();
        assert!(own.split('/').count() == 4 && !is_gone(&own), "{own}");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let (number, this) = (child.id(), machine().unwrap());
        child.wait().unwrap();
        assert!(is_gone(&format!("{this}/{number}/1")), "it has ended");
        assert!(is_gone(&format!("{this}/{}/1", std::process::id())), "its number is another's now");
        for unknown in ["", "unknown/7", "boot/pid:[1]/1/1", &format!("{this}/x/1")] {
            assert!(!is_gone(unknown), "{unknown}");
        }
    }

    #[test]
    fn one_that_was_killed_and_not_yet_buried_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let running = identity(child.id()).unwrap();
        child.kill().unwrap();
        while !is_gone(&running) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
