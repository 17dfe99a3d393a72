//! With the right CA, names and passwords, and with no more rights than `deploy/security` gives, everything works.

use anyhow::{Result, ensure};
use tokio_util::sync::CancellationToken;
use xtask::compare::compare_all;
use xtask::traffic::{self, TrafficOptions};

use crate::site::Site;
use crate::wait::{s, until};

const TRAFFIC: TrafficOptions =
    TrafficOptions { seed: 7, writers: 2, rate: 100.0, users: 50, duration: s(2) };

/// GIVEN TLS and logins everywhere / WHEN Nova is installed and run / THEN rows arrive, and no check fails.
pub(crate) async fn right(site: &Site) -> Result<()> {
    site.nova_ok(&site.accounts("nova", "nova_migrator")?, &["migrate"]).await?;
    site.nova_ok(&site.accounts("nova-deploy", "nova_writer")?, &["connector", "apply"]).await?;
    let worker = site.installation.run_worker("cdc", &["cdc", "--from-beginning"]).await?;
    let events = site.installation.run_worker("events", &["events", "--from-beginning"]).await?;
    let postgres = &site.installation.postgres;
    traffic::run(postgres, &TRAFFIC, |_| (), CancellationToken::new()).await?;
    until("both ends are equal", s(60), async || {
        for table in compare_all(postgres, site.stack.clickhouse()?).await? {
            ensure!(table.different == 0 && table.postgres_rows > 0, "{table:?}");
        }
        Ok(())
    })
    .await?;
    drop((worker, events));
    let (code, failed) = site.doctor(&[]).await?;
    ensure!(code == Some(0), "{failed:#?}");
    site.nova_ok(&[], &["reconcile"]).await.map(drop)
}
