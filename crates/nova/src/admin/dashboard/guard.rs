//! Who may see the dashboard, and what a browser may do with it.
//!
//! Invariant: an address that others can reach answers nobody without the token; whatever is more than reading needs it
//! everywhere. A page of somebody else's that runs in the operator's browser gets nothing: it is known by the name
//! that it asks for (DNS rebinding).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::config::Secret;

/// Our own files and nothing else; nobody may frame the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every answer carries.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The rules of one listener.
pub(super) struct Guard {
    /// The token's digest: comparing digests tells nothing of the token by the time it takes.
    token: Option<[u8; 32]>,
    loopback: bool,
}

impl Guard {
    pub(super) fn new(token: &Secret, loopback: bool) -> Self {
        let token = (!token.is_empty()).then(|| digest(token.expose()));
        Self { token, loopback }
    }

    /// `None`: it may pass.
    fn refusal(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if self.loopback && !headers.get(HOST).is_some_and(is_local) {
            let text =
                "this listener is for this machine alone: open it as http://127.0.0.1 or http://localhost\n";
            return Some((StatusCode::MISDIRECTED_REQUEST, text).into_response());
        }
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match self.token {
            Some(token) if given(headers).is_none_or(|given| digest(&given) != token) => {
                // A browser asks for the token then; any user name will do.
                let ask =
                    [(WWW_AUTHENTICATE, r#"Basic realm="nova: the token is the password", charset="UTF-8""#)];
                Some((StatusCode::UNAUTHORIZED, ask, "the token (admin.token) is needed\n").into_response())
            }
            None if !reads => {
                let text = "more than reading needs a token: set admin.token_file or admin.token\n";
                Some((StatusCode::FORBIDDEN, text).into_response())
            }
            _ => None,
        }
    }
}

/// Lets a request pass or not, and says to the browser what it may do.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let mut response = match guard.refusal(request.method(), request.headers()) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The token that a request brings: as a bearer's, or as the password that a browser was told.
fn given(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Whether a `Host` header names this machine.
fn is_local(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
