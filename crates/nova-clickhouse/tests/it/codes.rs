//! The table of codes against the engine's own list.

use nova_clickhouse::codes;

use crate::server::Server;

#[tokio::test]
async fn every_listed_code_has_the_name_that_the_engine_gives_it() {
    let server = Server::start().await;
    let sql = "SELECT number, errorCodeToName(number) FROM numbers(1100) WHERE errorCodeToName(number) != ''";
    let text = server.client().query_text(sql, &[]).await.unwrap();
    let engine: Vec<(i32, &str)> = text
        .lines()
        .map(|line| line.split_once('\t').map(|(code, name)| (code.parse().unwrap(), name)).unwrap())
        .collect();
    for (code, name, _) in codes::all() {
        assert!(engine.contains(&(code, name)), "{code} {name}");
    }
}
