//! placeholder
use anyhow::Result;
/// Arguments of `capacity`.
#[derive(Debug, Clone, clap::Args)]
pub struct CapacityArgs {}
/// x
/// # Errors
/// x
pub fn run(_args: &CapacityArgs) -> Result<()> {
    Ok(())
}
