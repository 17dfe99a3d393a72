//! What a process has used so far, by `proc(5)`.

use anyhow::{Context, Result};

/// Processor time and memory of one process, up to now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// User and system time, in seconds; the kernel counts in hundredths.
    pub(super) cpu_seconds: f64,
    /// The most memory it ever had (`VmHWM`), in MiB.
    pub(super) peak_mib: f64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// When the process has ended, or the files have another form.
    pub(super) fn of(pid: i32) -> Result<Self> {
        let read = |name| {
            let path = format!("/proc/{pid}/{name}");
            std::fs::read_to_string(&path).with_context(|| format!("{path}: the process has ended"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        let ticks = ticks(&stat).with_context(|| format!("/proc/{pid}/stat has another form"))?;
        let peak = peak_kib(&status).with_context(|| format!("/proc/{pid}/status has another form"))?;
        Ok(Self { cpu_seconds: f64::from(ticks) / 100.0, peak_mib: f64::from(peak) / 1024.0 })
    }
}

/// Fields 14 and 15; the name before them may hold blanks and brackets.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

fn peak_kib(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 2 0 0 0 151 49 0 0 20 0 3 0 5 6 7";
        assert_eq!(ticks(stat), Some(200));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert_eq!(peak_kib("Name:\ta\nVmHWM:\t  204800 kB\nVmRSS:\t1 kB\n"), Some(204_800));
        assert_eq!(peak_kib("Name:\ta\n"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let usage = Usage::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(usage.peak_mib > 1.0, "{usage:?}");
    }
}
