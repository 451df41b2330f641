use tokio_postgres::GenericClient;

use crate::StoreError;

/// Something with a name of its own in a schema. Indexes, owned sequences and triggers go with their tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// What it is.
    pub kind: Kind,
    /// Its name, without schema; of a function also the types of its arguments.
    pub name: String,
    /// It is a part of a partitioned table.
    pub is_partition: bool,
}

/// What a [`Relation`] is, in the order in which they are locked: a reader locks a view before what the view reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// A table, partitioned or not.
    Table,
    /// A sequence that no column owns.
    Sequence,
    /// A function, or a procedure.
    Function,
    /// An enum or a domain.
    Type,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "view" => Self::View,
            "materialized view" => Self::MaterializedView,
            "table" => Self::Table,
            "sequence" => Self::Sequence,
            "routine" => Self::Function,
            "type" => Self::Type,
            _ => return None,
        })
    }

    /// As `ALTER` has it.
    fn sql(self) -> &'static str {
        match self {
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::Table => "TABLE",
            Self::Sequence => "SEQUENCE",
            Self::Function => "ROUTINE",
            Self::Type => "TYPE",
        }
    }

    /// Whether it can be selected from, and so locked.
    pub(super) fn is_readable(self) -> bool {
        matches!(self, Self::View | Self::Table)
    }
}

impl Relation {
    /// Whether both are the same thing of two schemas.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name
    }

    /// Its name in `schema`, as SQL has it.
    pub(super) fn qualified(&self, schema: &str) -> String {
        format!("{schema}.{}", self.name)
    }

    pub(super) fn move_sql(&self, from: &str, to: &str) -> String {
        format!("ALTER {} {} SET SCHEMA {to}", self.kind.sql(), self.qualified(from))
    }
}

/// What `schema` holds, in the order in which it is to be locked. Names are quoted where SQL needs it.
pub async fn relations<C: GenericClient + Sync>(
    client: &C,
    schema: &str,
) -> Result<Vec<Relation>, StoreError> {
    let rows = client.query(include_str!("relations.sql"), &[&schema]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(kind) = Kind::parse(row.try_get("kind")?) else { continue };
        found.push(Relation { kind, name: row.try_get("name")?, is_partition: row.try_get("is_partition")? });
    }
    found.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    Ok(found)
}

/// Every partition of `schema`, and the table that it is a part of in the end, both quoted where SQL needs it.
pub(super) async fn partitions<C: GenericClient + Sync>(
    client: &C,
    schema: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = client.query(include_str!("partitions.sql"), &[&schema]).await?;
    rows.iter().map(|row| Ok((row.try_get("part")?, row.try_get("root")?))).collect()
}

/// Views outside of `schema`'s own that read from what `names` of it names: they would follow the tables out of use, and
/// go with them.
pub async fn dependents<C: GenericClient + Sync>(
    client: &C,
    schema: &str,
    names: &[String],
) -> Result<Vec<String>, StoreError> {
    let rows = client.query(include_str!("dependents.sql"), &[&schema, &names]).await?;
    Ok(rows.iter().map(|row| row.try_get("dependent")).collect::<Result<_, _>>()?)
}
