//! The configuration files for a `clickhouse` binary of the machine, and for the embedded engine.
//!
//! Invariant: it listens for HTTP on 127.0.0.1 only, and everything it writes lies in the stack's folder.

use std::path::Path;

use super::protection::ClickHouseUser;

/// Where a server's backups may be, below its folder.
pub(super) const BACKUPS: &str = "backups";

/// The embedded engine's XML: the little that it cannot be told otherwise. Users and roles come from `definitions`.
#[must_use]
pub(super) fn engine(home: &Path, definitions: Option<&Path>) -> String {
    let home = escape(&home.display().to_string());
    let users = definitions
        .map(|path| format!("<users_config>{}</users_config>", escape(&path.display().to_string())));
    let users = users.unwrap_or_default();
    format!(
        "<clickhouse><backups><allowed_path>{home}/{BACKUPS}/</allowed_path></backups>{users}</clickhouse>\n"
    )
}

/// The server's XML; `home` is its folder, the password that of the user `default`.
/// <https://clickhouse.com/docs/operations/server-configuration-parameters/settings>
#[must_use]
pub(super) fn server(home: &Path, http_port: u16, password: &str) -> String {
    let home = escape(&home.display().to_string());
    let password = escape(password);
    format!(
        "<clickhouse>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{http_port}</http_port>
  <path>{home}/data/</path>
  <tmp_path>{home}/tmp/</tmp_path>
  <user_files_path>{home}/user_files/</user_files_path>
  <format_schema_path>{home}/format_schemas/</format_schema_path>
  <user_directories><users_xml><path>{home}/config.xml</path></users_xml></user_directories>
  <backups><allowed_path>{home}/{BACKUPS}/</allowed_path></backups>
  <mark_cache_size>268435456</mark_cache_size>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password>{password}</password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <access_management>1</access_management>
    </default>
  </users>
</clickhouse>
"
    )
}

/// Users of the embedded engine, whose front has checked their passwords: to the engine they are roles of its only user.
/// <https://clickhouse.com/docs/operations/settings/settings-users>
#[must_use]
pub(super) fn users(users: &[ClickHouseUser]) -> String {
    let mut roles =
        "    <everything><grants><query>GRANT ALL ON *.*</query></grants></everything>\n".to_owned();
    let mut given = "<query>GRANT everything</query>".to_owned();
    for ClickHouseUser { name, grants, .. } in users {
        let grants: String = grants.iter().map(|grant| format!("<query>{}</query>", escape(grant))).collect();
        roles.push_str(&format!("    <{name}><grants>{grants}</grants></{name}>\n"));
        given.push_str(&format!("<query>GRANT {name}</query>"));
    }
    format!(
        "<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <roles>
{roles}  </roles>
  <users>
    <default>
      <no_password/>
      <networks><ip>::/0</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>{given}</grants>
    </default>
  </users>
</clickhouse>
"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_and_the_escaped_values_are_in_the_file() {
        let xml = server(Path::new("/tmp/a&b"), 8123, "x<y");
        assert!(xml.contains("<http_port>8123</http_port>"));
        assert!(xml.contains("<path>/tmp/a&amp;b/data/</path>"));
        assert!(xml.contains("<password>x&lt;y</password>"));
        let backups = "<backups><allowed_path>/tmp/a&amp;b/backups/</allowed_path></backups>";
        assert!(xml.contains(backups) && engine(Path::new("/tmp/a&b"), None).contains(backups));
    }
}
