//! One partition put together: what was filled of it, and what the table has of it that is not made anew.
//!
//! Invariant: passes copy disjoint sets of rows. The first takes what is final as of a frontier, each next one what became
//! final since, and the last whatever stands behind the frontier now. Whoever is cut off begins again with a table of another
//! name, so nothing that is still under way can meddle with what is put together anew.

use uuid::Uuid;

use crate::ClickHouseError;
use crate::sql::literal_content;

use super::{Frontier, Shadow};

/// Which rows a pass copies, by the frontier before it and its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pass<'f> {
    /// Everything that is final.
    First(&'f Frontier),
    /// What became final.
    Next(&'f Frontier, &'f Frontier),
    /// What stands behind the frontier: rows of a batch that is open, and what comes.
    Last(&'f Frontier),
}

impl Pass<'_> {
    fn takes(self) -> String {
        match self {
            Self::First(frontier) => format!("NOT {}", frontier.beyond()),
            Self::Next(before, frontier) => format!("{} AND NOT {}", before.beyond(), frontier.beyond()),
            Self::Last(frontier) => frontier.beyond(),
        }
    }
}

/// A partition that is being put together.
#[derive(Debug)]
pub(super) struct Assembled<'s> {
    pub(super) shadow: &'s Shadow,
    /// The partition's id.
    pub(super) id: String,
    /// The table of its own.
    pub(super) name: String,
}

/// The condition that a row lies in the partition.
pub(super) fn of_partition(id: &str) -> String {
    format!("_partition_id = '{}'", literal_content(id))
}

impl Shadow {
    /// Begins a partition: what was filled of it, and nothing else.
    pub(super) async fn begin(&self, id: &str) -> Result<Assembled<'_>, ClickHouseError> {
        self.drop_assembled().await?;
        let name = format!("{}{}", self.assembled(), Uuid::new_v4().simple());
        let path = self.path(&name);
        self.client.execute(&format!("CREATE TABLE {path} AS {}", self.path(&self.table))).await?;
        let attach = format!(
            "ALTER TABLE {path} ATTACH PARTITION ID '{}' FROM {}",
            literal_content(id),
            self.path(self.filled())
        );
        self.client.execute(&attach).await?;
        Ok(Assembled { shadow: self, id: id.to_owned(), name })
    }
}

impl Assembled<'_> {
    /// Copies a pass's rows of the partition from the table.
    pub(super) async fn carry(&self, pass: Pass<'_>) -> Result<(), ClickHouseError> {
        let Shadow { table, scope, columns, client, .. } = self.shadow;
        let columns = columns.join(", ");
        let sql = format!(
            "INSERT INTO {} ({columns}) SELECT {columns} FROM {} WHERE {} AND NOT {} AND {}",
            self.shadow.path(&self.name),
            self.shadow.path(table),
            of_partition(&self.id),
            scope.holds(),
            pass.takes()
        );
        client.execute(&sql).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_disjoint_and_whole() {
        let frontier = |offset| {
            let mut frontier = Frontier::default();
            frontier.set("t", 0, offset);
            frontier
        };
        let (one, two) = (frontier(5), frontier(8));
        let beyond =
            |offset| format!("((topic = 't' AND ((kafka_partition = 0 AND kafka_offset >= {offset}))))");
        assert_eq!(Pass::First(&one).takes(), format!("NOT {}", beyond(5)));
        assert_eq!(Pass::Next(&one, &two).takes(), format!("{} AND NOT {}", beyond(5), beyond(8)));
        assert_eq!(Pass::Last(&two).takes(), beyond(8));
    }
}
