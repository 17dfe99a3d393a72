//! A handshake with nobody's request behind it, to learn what is wrong with a server's certificate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{Fault, client_config};

/// This is asked after a failure; whoever waits for the answer has waited already.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What is wrong with the TLS of the server at `address` (`host:port`); `None` when nothing is, or it cannot be told.
pub async fn examine(address: &str, ca_file: Option<&Path>) -> Option<Fault> {
    let (host, _) = address.rsplit_once(':')?;
    let host = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()?;
    let connector = TlsConnector::from(Arc::new(client_config(ca_file).ok()?));
    let handshake = async {
        let stream = TcpStream::connect(address).await.ok()?;
        connector.connect(host, stream).await.err()
    };
    let error = timeout(ANSWER_WITHIN, handshake).await.ok()??;
    Fault::of(&error)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, Issuer, KeyPair, date_time_ymd};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::Keys;

    struct Authority {
        certificate: rcgen::Certificate,
        issuer: Issuer<'static, KeyPair>,
        file: tempfile::NamedTempFile,
    }

    fn authority() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "a test's CA");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), certificate.pem()).unwrap();
        Authority { certificate, issuer: Issuer::new(params, key), file }
    }

    /// Serves one handshake with a certificate for `name`; what `examine` says of it.
    async fn found(authority: &Authority, name: &str, expired: bool, ca_file: &Path) -> Option<Fault> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        let chain = vec![certificate.der().clone(), authority.certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            // Whether it comes about is the client's to say.
            drop(TlsAcceptor::from(Arc::new(config)).accept(stream).await);
        };
        tokio::join!(examine(&address, Some(ca_file)), serve).0
    }

    #[tokio::test]
    async fn each_fault_has_its_own_words_and_its_own_cure() {
        let (ours, other) = (authority(), authority());
        let keys = Keys { ca_file: "kafka.ca_file", address: "kafka.brokers" };
        assert_eq!(found(&ours, "127.0.0.1", false, ours.file.path()).await, None);

        let fault = found(&ours, "127.0.0.1", false, other.file.path()).await.unwrap();
        assert_eq!(fault, Fault::UnknownCa);
        assert!(fault.cure(keys).contains("kafka.ca_file"), "{}", fault.cure(keys));

        let fault = found(&ours, "127.0.0.1", true, ours.file.path()).await.unwrap();
        assert_eq!(fault, Fault::Expired("2021-01-01T00:00:00Z".to_owned()));

        let fault = found(&ours, "localhost", false, ours.file.path()).await.unwrap();
        assert_eq!(fault.to_string(), "its certificate is for `localhost`, not for `127.0.0.1`");
        assert!(fault.cure(keys).contains("kafka.brokers"), "{}", fault.cure(keys));
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told_from_one_that_is_away() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ca = authority();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        };
        let (fault, ()) = tokio::join!(examine(&address, Some(ca.file.path())), serve);
        assert_eq!(fault, Some(Fault::NotTls));
        drop(listener);
        assert_eq!(examine(&address, Some(ca.file.path())).await, None);
    }
}
