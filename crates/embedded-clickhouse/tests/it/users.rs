//! Users whose rights the engine enforces.

use reqwest::Response;

use crate::support::{Server, failure};

const DEFINITIONS: &str = "<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <roles>
    <everything><grants><query>GRANT ALL ON *.*</query></grants></everything>
    <reader><grants><query>GRANT SELECT ON d.*</query></grants></reader>
  </roles>
  <users>
    <default>
      <no_password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
      <grants><query>GRANT everything</query><query>GRANT reader</query></grants>
    </default>
  </users>
</clickhouse>";

async fn as_reader(server: &Server, parameters: &[(&str, &str)], sql: &str) -> Response {
    let request = reqwest::Client::new().post(&server.url).query(parameters).body(sql.to_owned());
    request.basic_auth("reader", Some("r")).send().await.unwrap()
}

#[tokio::test]
async fn a_user_has_the_rights_of_its_role_and_no_other() {
    let files = tempfile::tempdir().unwrap();
    let [users, config, passwords] = ["users.xml", "config.xml", "users"].map(|name| files.path().join(name));
    std::fs::write(&users, DEFINITIONS).unwrap();
    let engine = format!("<clickhouse><users_config>{}</users_config></clickhouse>", users.display());
    std::fs::write(&config, engine).unwrap();
    std::fs::write(&passwords, "reader r\n").unwrap();
    let flags =
        [format!("--config-file={}", config.display()), format!("--users-file={}", passwords.display())];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = Server::start_with(tempfile::tempdir().unwrap(), &flags);
    server.sql("CREATE DATABASE d").await;
    server.sql("CREATE TABLE d.t (a UInt8) ENGINE = MergeTree ORDER BY a").await;
    server.sql("INSERT INTO d.t VALUES (7)").await;

    assert_eq!(as_reader(&server, &[], "SELECT a FROM d.t").await.text().await.unwrap(), "7\n");
    let inline = as_reader(&server, &[], "INSERT INTO d.t VALUES (8)").await;
    assert_eq!(failure(&inline).1, 497);
    let streamed = as_reader(&server, &[("query", "INSERT INTO d.t FORMAT TSV")], "8\n").await;
    assert_eq!(failure(&streamed).1, 497);
    assert_eq!(failure(&as_reader(&server, &[], "DROP TABLE d.t").await).1, 497);
    assert_eq!(failure(&as_reader(&server, &[("role", "everything")], "DROP TABLE d.t").await).1, 497);
    assert_eq!(server.sql("SELECT sum(a) FROM d.t").await, "7\n");
}
