//! What a process has used so far.

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Processor time and memory of one process, up to now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// User and system time of all its threads, in seconds (`clock_getcpuclockid(3)`, in nanoseconds).
    pub(super) cpu_seconds: f64,
    /// The most memory it ever had (`VmHWM` of `proc(5)`), in MiB.
    pub(super) peak_mib: f64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// When the process has ended, or the kernel writes another form.
    pub(super) fn of(pid: i32) -> Result<Self> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid));
        let cpu = clock.and_then(clock_gettime).with_context(|| format!("process {pid} has ended"))?;
        let path = format!("/proc/{pid}/status");
        let status =
            std::fs::read_to_string(&path).with_context(|| format!("{path}: the process has ended"))?;
        let peak = peak_kib(&status).with_context(|| format!("{path} has another form"))?;
        let cpu = std::time::Duration::from(cpu);
        Ok(Self { cpu_seconds: cpu.as_secs_f64(), peak_mib: f64::from(peak) / 1024.0 })
    }
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
        assert_eq!(peak_kib("Name:\ta\nVmHWM:\t  204800 kB\nVmRSS:\t1 kB\n"), Some(204_800));
        assert_eq!(peak_kib("Name:\ta\n"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let usage = Usage::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(usage.peak_mib > 1.0 && usage.cpu_seconds > 0.0, "{usage:?}");
    }
}
