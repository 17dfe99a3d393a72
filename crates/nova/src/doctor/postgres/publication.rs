//! The publication: exactly the declared tables, all operations, through partition roots.

use nova_streams::StreamSet;
use sqlx::PgConnection;

use super::GROUP;
use crate::connector::SIGNAL_TABLE;
use crate::doctor::check::Check;

#[derive(sqlx::FromRow)]
struct Publication {
    puballtables: bool,
    pubviaroot: bool,
    pubinsert: bool,
    pubupdate: bool,
    pubdelete: bool,
    pubtruncate: bool,
}

pub(super) async fn checks(
    connection: &mut PgConnection,
    publication: &str,
    streams: &StreamSet,
) -> Result<Vec<Check>, sqlx::Error> {
    let found: Option<Publication> = sqlx::query_as(
        "SELECT puballtables, pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate \
         FROM pg_publication WHERE pubname = $1",
    )
    .bind(publication)
    .fetch_optional(&mut *connection)
    .await?;
    let name = format!("publication {publication}");
    let Some(found) = found else {
        let cure = "Apply schemas/postgres, or CREATE PUBLICATION … FOR TABLE … WITH (publish_via_partition_root = true).";
        return Ok(vec![GROUP.fail(name, "missing", cure)]);
    };
    let published: Vec<String> = sqlx::query_scalar(
        "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1",
    )
    .bind(publication)
    .fetch_all(connection)
    .await?;
    let declared: Vec<&str> = streams.iter().map(|stream| stream.source.as_str()).collect();
    Ok(vec![
        operations(&name, publication, &found),
        tables(&name, publication, &found, &published, &declared),
    ])
}

fn operations(name: &str, publication: &str, found: &Publication) -> Check {
    let name = format!("{name}: operations");
    let Publication { pubviaroot, pubinsert, pubupdate, pubdelete, pubtruncate, .. } = found;
    if !(*pubinsert && *pubupdate && *pubdelete && *pubtruncate) {
        let cure =
            format!("ALTER PUBLICATION {publication} SET (publish = 'insert, update, delete, truncate').");
        return GROUP.fail(name, "some are not published", cure);
    }
    if !pubviaroot {
        let cure = format!("ALTER PUBLICATION {publication} SET (publish_via_partition_root = true).");
        return GROUP.fail(
            name,
            "publish_via_partition_root is off: each partition would have its own topic",
            cure,
        );
    }
    GROUP.ok(name, "all, through partition roots")
}

fn tables(
    name: &str,
    publication: &str,
    found: &Publication,
    published: &[String],
    declared: &[&str],
) -> Check {
    let name = format!("{name}: tables");
    let is_published = |table: &str| published.iter().any(|found| found == table);
    let missing: Vec<&str> = declared.iter().copied().filter(|table| !is_published(table)).collect();
    if !missing.is_empty() {
        let list = missing.join(", ");
        let cure = format!("ALTER PUBLICATION {publication} ADD TABLE {list}.");
        return GROUP.fail(name, format!("not published: {list}"), cure);
    }
    if !is_published(SIGNAL_TABLE) {
        let cure = format!(
            "Create it (schemas/postgres), then ALTER PUBLICATION {publication} ADD TABLE {SIGNAL_TABLE}."
        );
        return GROUP.warn(
            name,
            format!("without {SIGNAL_TABLE}, an incremental snapshot waits for ever"),
            cure,
        );
    }
    if found.puballtables {
        return GROUP.warn(
            name,
            "all tables are published",
            "Publish the declared tables by name; others stay private then.",
        );
    }
    let unread: Vec<&str> = published
        .iter()
        .map(String::as_str)
        .filter(|table| *table != SIGNAL_TABLE && !declared.contains(table))
        .collect();
    if unread.is_empty() {
        return GROUP.ok(name, format!("{} declared tables and {SIGNAL_TABLE}", published.len() - 1));
    }
    let cure = format!("Declare a stream that reads it, or ALTER PUBLICATION {publication} DROP TABLE ….");
    GROUP.warn(name, format!("published, and read by no stream: {}", unread.join(", ")), cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Level;

    fn publication() -> Publication {
        Publication {
            puballtables: false,
            pubviaroot: true,
            pubinsert: true,
            pubupdate: true,
            pubdelete: true,
            pubtruncate: true,
        }
    }

    #[test]
    fn missing_tables_fail_and_unread_ones_warn() {
        let of = |published: &[&str]| {
            let published: Vec<String> = published.iter().map(|name| (*name).to_owned()).collect();
            tables("p", "p", &publication(), &published, &["public.likes"])
        };
        assert_eq!(of(&["public.likes", SIGNAL_TABLE]).level, Level::Ok);
        let missing = of(&[SIGNAL_TABLE]);
        assert!(
            missing.level == Level::Fail && missing.cure.contains("ADD TABLE public.likes"),
            "{missing:?}"
        );
        assert_eq!(of(&["public.likes"]).level, Level::Warn);
        let unread = of(&["public.likes", "public.users", SIGNAL_TABLE]);
        assert!(unread.level == Level::Warn && unread.finding.ends_with("public.users"), "{unread:?}");
    }

    #[test]
    fn deletes_and_partition_roots_must_be_published() {
        let without = |change: fn(&mut Publication)| {
            let mut publication = publication();
            change(&mut publication);
            operations("p", "p", &publication).level
        };
        assert_eq!(without(|_| ()), Level::Ok);
        assert_eq!(without(|publication| publication.pubdelete = false), Level::Fail);
        assert_eq!(without(|publication| publication.pubviaroot = false), Level::Fail);
    }
}
