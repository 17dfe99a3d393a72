//! Whose certificates are trusted: those of one CA file alone, or those that the system trusts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use thiserror::Error;

/// A CA file that cannot be used. The message says what is wrong and what the file must be.
#[derive(Debug, Error)]
pub enum CaFileError {
    /// Not there, or not readable.
    #[error("{}: {error}; name a file that this process may read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// There is nothing in it that begins like a certificate.
    #[error(
        "{} holds no certificate; it must hold the CA's in PEM (-----BEGIN CERTIFICATE-----)",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// One of its certificates cannot be read.
    #[error("{}: its certificate number {number} cannot be read: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Without a CA file, and the system has nothing to offer.
    #[error("the certificates that this system trusts cannot be used: {0}; name a CA file")]
    System(String),
}

/// Reads the certificates of a PEM file.
///
/// # Errors
/// [`CaFileError`], also for a file without certificates.
pub fn read_ca_file(path: &Path) -> Result<RootCertStore, CaFileError> {
    let text =
        std::fs::read(path).map_err(|error| CaFileError::Unreadable { path: path.to_owned(), error })?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(&text).enumerate() {
        let malformed =
            |reason: String| CaFileError::Malformed { path: path.to_owned(), number: index + 1, reason };
        let certificate = certificate.map_err(|error| malformed(error.to_string()))?;
        roots.add(certificate).map_err(|error| malformed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(CaFileError::Empty { path: path.to_owned() });
    }
    Ok(roots)
}

/// How a client verifies servers: with a CA file by its certificates and no others, without one by the system's.
///
/// # Errors
/// As [`read_ca_file`].
pub fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, CaFileError> {
    let system = |error: rustls::Error| CaFileError::System(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(system)?;
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(read_ca_file(path)?),
        None => builder.with_platform_verifier().map_err(system)?,
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn refusal(text: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_ca_file(file.path()).unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_is_no_ca_is_refused_with_what_it_must_be() {
        assert!(refusal("").contains("holds no certificate; it must hold the CA's in PEM"));
        assert!(
            refusal("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").contains("holds no")
        );
        let text = refusal("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(text.contains("its certificate number 1 cannot be read"), "{text}");
        let text = read_ca_file(Path::new("/no/such/ca.pem")).unwrap_err().to_string();
        assert!(text.starts_with("/no/such/ca.pem: ") && text.contains("may read"), "{text}");
    }

    #[test]
    fn all_certificates_of_a_file_are_trusted() {
        let one = rcgen::generate_simple_self_signed(["one".to_owned()]).unwrap().cert.pem();
        let two = rcgen::generate_simple_self_signed(["two".to_owned()]).unwrap().cert.pem();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(format!("{one}\n{two}").as_bytes()).unwrap();
        assert_eq!(read_ca_file(file.path()).unwrap().len(), 2);
        assert!(client_config(Some(file.path())).is_ok());
    }
}
