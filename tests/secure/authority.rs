//! A CA of the test's own, and what a server may present: a good certificate, one whose time is over. Another CA stands
//! for the wrong one.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

/// The only name in the servers' certificates.
const NAME: &str = "localhost";

/// The files, gone when dropped.
pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Makes all of them.
    pub(crate) fn make() -> Result<Self> {
        let authority = Self { folder: tempfile::tempdir().context("a folder for certificates")? };
        let issuer = authority.issuer("ca.pem", "the test's CA")?;
        authority.issuer("other-ca.pem", "another CA")?;
        let key = KeyPair::generate()?;
        authority.write("server.key", &key.serialize_pem())?;
        let good = CertificateParams::new([NAME.to_owned()])?;
        authority.write("server.pem", &good.signed_by(&key, &issuer)?.pem())?;
        let mut old = CertificateParams::new([NAME.to_owned()])?;
        old.not_before = date_time_ymd(2020, 1, 1);
        old.not_after = date_time_ymd(2021, 1, 1);
        authority.write("expired.pem", &old.signed_by(&key, &issuer)?.pem())?;
        // PostgreSQL and Kafka read them under accounts of their own, by copies; clients read them in place.
        Ok(authority)
    }

    fn issuer(&self, file: &str, name: &str) -> Result<Issuer<'static, KeyPair>> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        self.write(file, &params.self_signed(&key)?.pem())?;
        Ok(Issuer::new(params, key))
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        std::fs::write(self.path(file), text).with_context(|| format!("writing {file}"))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The CA that issued the servers' certificates.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// One that did not.
    pub(crate) fn other_ca(&self) -> PathBuf {
        self.path("other-ca.pem")
    }

    /// The servers' certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("server.pem")
    }

    /// The same key's, whose time is over.
    pub(crate) fn expired(&self) -> PathBuf {
        self.path("expired.pem")
    }

    /// The servers' key.
    pub(crate) fn key(&self) -> PathBuf {
        self.path("server.key")
    }
}

/// A path as a setting.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
