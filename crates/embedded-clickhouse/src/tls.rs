//! An optional second listener that speaks TLS, so that a client's TLS can be tested against the engine.
//!
//! Invariant: certificate and key are read for each connection, so whoever replaces the files needs no restart. Clients
//! are asked for no certificate.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Where to speak TLS, and as whom.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate and those between it and the CA, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

impl TlsOptions {
    /// Reads certificate and key; the error names the file.
    pub(crate) fn read(&self) -> io::Result<Arc<ServerConfig>> {
        let refused = |path: &Path, error: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate).and_then(Iterator::collect);
        let chain: Vec<_> = chain.map_err(|error| refused(&self.certificate, &error))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| refused(&self.key, &error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| refused(&self.certificate, &error))?;
        Ok(Arc::new(config))
    }

    /// The server's side of the handshake.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.read()?).accept(stream).await
    }
}
