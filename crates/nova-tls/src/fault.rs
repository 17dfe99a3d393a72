//! Why TLS with a server did not come about, in a sentence, and what to do about it.
//!
//! Invariant: a fault follows from rustls's own types, never from the words of a message.

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::CertificateError;
use rustls::pki_types::UnixTime;
use thiserror::Error;

/// What is wrong with a server's certificate, or with its TLS. Reads on from the server's name: "Kafka at …: its
/// certificate expired on …".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// None of the trusted CAs has issued it.
    #[error("its certificate was issued by a CA that is not trusted here")]
    UnknownCa,
    /// Its time is over; when, in UTC.
    #[error("its certificate expired on {0}")]
    Expired(String),
    /// Its time has not come; when it does, in UTC.
    #[error("its certificate is not valid before {0}")]
    NotYetValid(String),
    /// It is another server's.
    #[error("its certificate is for {presented}, not for {wanted}")]
    WrongName {
        /// The name that was asked for.
        wanted: String,
        /// The names in the certificate.
        presented: String,
    },
    /// Anything else about the certificate.
    #[error("its certificate is not accepted: {0}")]
    Certificate(String),
    /// What it answered is not TLS.
    #[error("it does not answer in TLS")]
    NotTls,
    /// Both speak TLS, and do not agree.
    #[error("no TLS connection comes about: {0}")]
    Handshake(String),
}

/// The settings that a cure names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// The one that names the CA file.
    pub ca_file: &'static str,
    /// The one that names the server.
    pub address: &'static str,
}

impl Fault {
    /// The fault that an error, or one of its causes, is about; `None` when TLS was not the matter.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let found = rustls_error(error)?;
        Some(match found {
            rustls::Error::InvalidCertificate(reason) => Self::of_certificate(reason),
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Handshake(other.to_string()),
        })
    }

    fn of_certificate(reason: &CertificateError) -> Self {
        match reason {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownCa,
            CertificateError::ExpiredContext { not_after, .. } => Self::Expired(date(*not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => Self::NotYetValid(date(*not_before)),
            CertificateError::NotValidForNameContext { expected, presented } => {
                Self::WrongName { wanted: format!("`{}`", expected.to_str()), presented: names(presented) }
            }
            other => Self::Certificate(other.to_string()),
        }
    }

    /// What to do about it, as a sentence without its full stop.
    #[must_use]
    pub fn cure(&self, keys: Keys) -> String {
        let Keys { ca_file, address } = keys;
        match self {
            Self::UnknownCa => format!("set {ca_file} to the certificate of the CA that issued it"),
            Self::Expired(_) | Self::NotYetValid(_) => {
                "give the server a certificate that is valid now; if it has one, correct this machine's clock"
                    .to_owned()
            }
            Self::WrongName { .. } => {
                format!("name the server in {address} as its certificate does, or issue one for this name")
            }
            Self::NotTls => format!("name the server's TLS port in {address}, or switch its TLS on"),
            Self::Certificate(_) | Self::Handshake(_) => {
                format!("compare the server's certificate and TLS versions with {ca_file} and this machine")
            }
        }
    }
}

/// rustls's error among the causes. An `io::Error` names what it wraps in `get_ref` only.
fn rustls_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|wrapped| rustls_error(wrapped)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn date(time: UnixTime) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time.as_secs())).to_string()
}

/// rustls writes `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
fn names(presented: &[String]) -> String {
    let plain = presented.iter().map(|name| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        format!("`{}`", inner.unwrap_or(name).trim_matches('"'))
    });
    let plain: Vec<String> = plain.collect();
    if plain.is_empty() { "no name".to_owned() } else { plain.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_found_however_deep_it_is_wrapped() {
        let inner = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        assert_eq!(Fault::of(&wrapped), Some(Fault::UnknownCa));
        assert_eq!(Fault::of(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }

    #[test]
    fn names_are_shown_as_people_write_them() {
        let presented = ["DnsName(\"localhost\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        assert_eq!(names(&presented), "`localhost`, `10.0.0.1`");
        assert_eq!(names(&[]), "no name");
    }
}
