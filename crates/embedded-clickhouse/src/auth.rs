//! One user with a password, given in any of the three ways of ClickHouse's HTTP interface.
//!
//! Invariant: no request but `/ping` and `/replicas_status` reaches the engine without passing [`Credentials::check`].

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};

use crate::exception::Exception;

/// The only user. An empty password lets requests without a password in.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Credentials {
    /// Checks headers `X-ClickHouse-User`/`-Key`, then Basic authorization, then the URL's `user` and `password`;
    /// the first way used counts. Missing parts mean user `default` and an empty password.
    pub(crate) fn check(&self, headers: &HeaderMap, url: &[(String, String)]) -> Result<(), Exception> {
        // Header values may be UTF-8, which `HeaderValue::to_str` refuses.
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let header = |name: &str| headers.get(name).map(text);
        let parameter = |name: &str| url.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let (user, password) = match (header("x-clickhouse-user"), header("x-clickhouse-key")) {
            (None, None) => match headers.get(AUTHORIZATION) {
                Some(value) => basic(&text(value))?,
                None => (parameter("user"), parameter("password")),
            },
            given => given,
        };
        let user = user.filter(|user| !user.is_empty()).unwrap_or_else(|| "default".to_owned());
        if user == self.user && password.unwrap_or_default() == self.password {
            return Ok(());
        }
        let message = format!(
            "{user}: Authentication failed: password is incorrect, or there is no user with such name"
        );
        Err(Exception::new(Exception::AUTHENTICATION_FAILED, message))
    }
}

fn basic(value: &str) -> Result<(Option<String>, Option<String>), Exception> {
    let decoded = value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| BASE64_STANDARD.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, password)) => Ok((Some(user.to_owned()), Some(password.to_owned()))),
        None => {
            let message = "Invalid authentication: the Authorization header must be Basic with user:password";
            Err(Exception::new(Exception::AUTHENTICATION_FAILED, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::Credentials;

    fn check(headers: &[(&'static str, &str)], url: &[(&str, &str)]) -> bool {
        let credentials = Credentials { user: "default".into(), password: "s".into() };
        let headers: HeaderMap =
            headers.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        let url: Vec<_> = url.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        credentials.check(&headers, &url).is_ok()
    }

    #[test]
    fn three_ways_in_and_no_other() {
        assert!(check(&[("x-clickhouse-user", "default"), ("x-clickhouse-key", "s")], &[]));
        assert!(check(&[("authorization", "Basic ZGVmYXVsdDpz")], &[]));
        assert!(check(&[], &[("password", "s")]));
        assert!(!check(&[], &[]));
        assert!(!check(&[], &[("user", "other"), ("password", "s")]));
        assert!(!check(&[("x-clickhouse-key", "wrong")], &[("password", "s")]), "the header counts");
        assert!(!check(&[("authorization", "Bearer s")], &[("password", "s")]));
    }
}
