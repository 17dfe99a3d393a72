//! The listener over real HTTP, with facts that are made up.
#![expect(clippy::disallowed_methods, reason = "a test ends the server that it starts")]

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use tokio::time::timeout;

use super::live::View;
use super::*;
use crate::config::Secret;
use crate::facts::example;

const WITHIN: Duration = Duration::from_secs(10);

/// A dashboard that tells what the test says, and its address.
struct Served {
    live: Arc<Live>,
    url: String,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn serve(token: &str) -> Served {
    let config = AdminConfig { listen: "127.0.0.1:0".into(), token: Secret::new(token), token_file: None };
    let Dashboard { listener, address, guard } = Dashboard::bind(&config).await.unwrap().unwrap();
    let shutdown = CancellationToken::new();
    let live = Arc::new(Live::new(shutdown.clone()));
    let router = router(guard, Arc::clone(&live));
    let until = shutdown.clone().cancelled_owned();
    let serving = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(until).into_future());
    Served { live, url: format!("http://{address}"), shutdown, serving }
}

async fn end(served: Served) {
    served.shutdown.cancel();
    timeout(WITHIN, served.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn this_machine_may_read_and_a_page_of_somebody_else_may_not() {
    let served = serve("").await;
    let (client, url) = (Client::new(), &served.url);
    let answer = client.get(format!("{url}/")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers()["referrer-policy"], "no-referrer");
    let page = answer.text().await.unwrap();
    for file in ["style.css", "app.js"] {
        assert!(page.contains(&format!("\"{file}\"")), "{file}");
        let answer = client.get(format!("{url}/{file}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{file}");
    }
    let rebound = client.get(format!("{url}/")).header("host", "evil.example:9465").send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    assert!(rebound.headers().contains_key("content-security-policy"));
    for local in ["localhost:9465", "[::1]:9465", "127.0.0.1"] {
        let answer = client.get(format!("{url}/")).header("host", local).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{local}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = client.request(method.clone(), format!("{url}/")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method}");
        assert!(answer.text().await.unwrap().contains("admin.token"));
    }
    end(served).await;
}

#[tokio::test]
async fn where_a_token_is_set_nobody_reads_without_it() {
    let served = serve("s3cret:é").await;
    let (client, url) = (Client::new(), &served.url);
    for path in ["/", "/events", "/app.js", "/nothing"] {
        let answer = client.get(format!("{url}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    }
    for (user, password, status) in
        [("", "s3cret:é", 200), ("ann", "s3cret:é", 200), ("s3cret:é", "", 401), ("", "s3cret", 401)]
    {
        let answer = client.get(format!("{url}/")).basic_auth(user, Some(password)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{user}:{password}");
    }
    let wrong = client.get(format!("{url}/")).bearer_auth("s3cret").send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    end(served).await;

    let served = serve("abc").await;
    let bearer = client.get(format!("{}/", served.url)).bearer_auth("abc").send().await.unwrap();
    assert_eq!(bearer.status(), StatusCode::OK);
    end(served).await;
}

#[tokio::test]
async fn an_address_that_others_reach_needs_a_token() {
    let config =
        |token: &str| AdminConfig { listen: "0.0.0.0:0".into(), token: Secret::new(token), token_file: None };
    let refused = Dashboard::bind(&config("")).await.err().unwrap();
    assert_eq!(refused.exit, Exit::Usage);
    assert!(
        refused.message.contains("0.0.0.0:0") && refused.cure.contains("admin.token_file"),
        "{refused:?}"
    );
    assert!(Dashboard::bind(&config("abc")).await.unwrap().is_some());
    let none = AdminConfig { listen: String::new(), ..config("") };
    assert!(Dashboard::bind(&none).await.unwrap().is_none());
}

#[tokio::test]
async fn pages_are_told_what_is_so_until_the_process_ends_and_are_not_too_many() {
    let served = serve("").await;
    let url = format!("{}/events", served.url);
    let client = Client::new();
    let mut listening = client.get(&url).send().await.unwrap();
    assert_eq!(listening.headers()["content-type"], "text/event-stream");
    served.live.tell(&View { facts: example::healthy(), workers: Vec::new() });
    let told = timeout(WITHIN, listening.chunk()).await.unwrap().unwrap().unwrap();
    let told = std::str::from_utf8(&told).unwrap();
    let view: serde_json::Value =
        serde_json::from_str(told.strip_prefix("data: ").unwrap().trim_end()).unwrap();
    assert_eq!(view["facts"]["streams"][0]["stream"], "likes");
    assert_eq!(view["facts"]["clickhouse"]["version"], "26.5.1");

    let mut others = Vec::new();
    for _ in 1..32 {
        others.push(client.get(&url).send().await.unwrap());
    }
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(others);
    end(served).await;
    assert!(matches!(timeout(WITHIN, listening.chunk()).await.unwrap(), Ok(None)), "the stream has an end");
}
