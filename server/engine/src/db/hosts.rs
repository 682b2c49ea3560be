//! Hosts. A row stays when a host is no longer configured: machines refer to it.

use super::{Conn, parse};
use crate::error::Result;
use model::Time;
use model::host::{HostId, HostName};
use sqlx::FromRow;
use uuid::Uuid;

/// A host as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct HostRow {
    pub id: HostId,
    pub name: HostName,
    pub kind: String,
    pub target: String,
}

#[derive(FromRow)]
struct Row {
    id: String,
    name: String,
    kind: String,
    target: String,
}

/// All hosts that there ever were, by name.
pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<HostRow>> {
    let rows: Vec<Row> =
        sqlx::query_as("select id, name, kind, target from hosts order by name").fetch_all(conn).await?;
    rows.into_iter()
        .map(|row| {
            Ok(HostRow {
                id: parse("a host's id", &row.id)?,
                name: parse("a host's name", &row.name)?,
                kind: row.kind,
                target: row.target,
            })
        })
        .collect()
}

/// Adds a host, or brings its row up to date; a known name keeps its id.
pub(crate) async fn upsert(
    conn: &mut Conn,
    name: &HostName,
    kind: &str,
    target: &str,
    now: Time,
) -> Result<()> {
    sqlx::query(
        "insert into hosts (id, name, kind, target, added) values (?, ?, ?, ?, ?) \
         on conflict (name) do update set kind = excluded.kind, target = excluded.target",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(name.as_str())
    .bind(kind)
    .bind(target)
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(())
}
