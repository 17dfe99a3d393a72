//! Choosing TCP ports on 127.0.0.1.
//!
//! Invariant: a chosen port lies below the kernel's range for outgoing connections. A port inside that range can be
//! taken by any client while its server restarts, even by the client that is trying to reach it (a TCP self-connect).

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::{Result, bail};
use rand::RngExt;

/// Linux hands outgoing connections ports from 32768 up (`net.ipv4.ip_local_port_range`).
const CANDIDATES: Range<u16> = 12_000..32_000;
const ATTEMPTS: usize = 200;

/// Where the ports of one stack come from.
#[derive(Debug, Clone, Copy, Default)]
pub enum Ports {
    /// Any free ones.
    #[default]
    Free,
    /// `base`, `base + 1`, … in the order PostgreSQL, Kafka, Kafka's controller, Connect, ClickHouse.
    From(u16),
}

impl Ports {
    fn pick(self, index: u16, purpose: &str) -> Result<u16> {
        let Self::From(base) = self else { return free_port() };
        let Some(port) = base.checked_add(index) else {
            bail!("--base-port {base} leaves no room below 65536; choose a lower one");
        };
        if !is_free(port) {
            bail!(
                "port {port}, wanted for {purpose}, is taken; see who holds it with `ss -ltnp 'sport = :{port}'`, \
                 stop that, or choose another --base-port"
            );
        }
        Ok(port)
    }
}

/// The ports of one stack's listeners.
#[derive(Debug, Clone, Copy)]
pub(super) struct PortPlan {
    pub(super) postgres: u16,
    pub(super) kafka: u16,
    pub(super) controller: u16,
    pub(super) connect: u16,
    pub(super) clickhouse: u16,
}

impl PortPlan {
    /// Picks all of them, also those of servers that are not wanted: it costs nothing and keeps the numbers fixed.
    ///
    /// # Errors
    /// When a fixed port is taken (the message names it and the cure), or no free one is found.
    pub(super) fn pick(ports: Ports) -> Result<Self> {
        Ok(Self {
            postgres: ports.pick(0, "PostgreSQL")?,
            kafka: ports.pick(1, "Kafka")?,
            controller: ports.pick(2, "Kafka's controller")?,
            connect: ports.pick(3, "Kafka Connect")?,
            clickhouse: ports.pick(4, "ClickHouse")?,
        })
    }
}

/// Whether nothing listens on this port of 127.0.0.1 now.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A port nobody listens on now. Somebody may still take it first; a server that finds it taken is started again.
///
/// # Errors
/// When hundreds of random tries all found a listener.
pub fn free_port() -> Result<u16> {
    let mut random = rand::rng();
    for _ in 0..ATTEMPTS {
        let port = random.random_range(CANDIDATES);
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free TCP port found on 127.0.0.1 between {} and {}", CANDIDATES.start, CANDIDATES.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_bound_and_is_outside_the_outgoing_range() {
        let port = free_port().unwrap();
        assert!(CANDIDATES.contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn a_taken_fixed_port_is_named_with_its_purpose_and_the_cure() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = Ports::From(port - 3).pick(3, "Kafka Connect").unwrap_err().to_string();
        assert!(error.contains(&format!("port {port}, wanted for Kafka Connect, is taken")), "{error}");
        assert!(error.contains("--base-port"), "{error}");
    }

    #[test]
    fn fixed_ports_follow_the_base_and_do_not_wrap() {
        let error = Ports::From(65_535).pick(1, "Kafka").unwrap_err().to_string();
        assert!(error.contains("--base-port 65535"), "{error}");
    }
}
