//! Users with passwords, given in any of the three ways of ClickHouse's HTTP interface.
//!
//! Invariant: no request but `/ping` and `/replicas_status` reaches the engine without passing [`Credentials::check`].

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};

use crate::exception::Exception;

/// Who may log in. An empty password lets requests without a password in.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The one that is the engine's `default`, whatever its name here.
    pub(crate) user: String,
    pub(crate) password: String,
    /// Names that are roles of the engine, and passwords.
    pub(crate) others: Vec<(String, String)>,
}

impl Credentials {
    /// Checks headers `X-ClickHouse-User`/`-Key`, then Basic authorization, then the URL's `user` and `password`;
    /// the first way used counts. Missing parts mean user `default` and an empty password. Answers the role
    /// that is all the user has; `None` for the one who has everything.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        url: &[(String, String)],
    ) -> Result<Option<String>, Exception> {
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
        let password = password.unwrap_or_default();
        if user == self.user && password == self.password {
            return Ok(None);
        }
        if self.others.iter().any(|(name, secret)| *name == user && *secret == password) {
            return Ok(Some(user));
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

    fn login(headers: &[(&'static str, &str)], url: &[(&str, &str)]) -> Option<Option<String>> {
        let others = vec![("reader".to_owned(), "r".to_owned())];
        let credentials = Credentials { user: "default".into(), password: "s".into(), others };
        let headers: HeaderMap =
            headers.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
        let url: Vec<_> = url.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        credentials.check(&headers, &url).ok()
    }

    fn check(headers: &[(&'static str, &str)], url: &[(&str, &str)]) -> bool {
        login(headers, url).is_some()
    }

    #[test]
    fn another_user_has_a_password_and_a_role_of_its_own() {
        assert_eq!(login(&[], &[("user", "reader"), ("password", "r")]), Some(Some("reader".to_owned())));
        assert_eq!(login(&[], &[("password", "s")]), Some(None));
        assert!(!check(&[], &[("user", "reader"), ("password", "s")]));
        assert!(!check(&[], &[("user", "reader")]));
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
