//! Hosts. A row stays when a host is no longer configured: machines refer to it.

use super::column::{Read as _, Text};
use super::{Conn, Tx};
use crate::error::Result;
use model::host::{HostId, HostName};
use uuid::Uuid;

/// A host as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct HostRow {
    pub id: HostId,
    pub name: HostName,
    pub kind: String,
    pub target: String,
}

/// All hosts there ever were, by name.
pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<HostRow>> {
    let rows = sqlx::query!(
        r#"select id as "id: Text<HostId>", name as "name: Text<HostName>", kind, target from hosts order by name"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(HostRow { id: row.id.read()?, name: row.name.read()?, kind: row.kind, target: row.target })
        })
        .collect()
}

/// Adds a host, or brings its row up to date; a known name keeps its id.
pub(crate) async fn upsert(tx: &mut Tx, name: &HostName, kind: &str, target: &str) -> Result<()> {
    let id = Uuid::now_v7().to_string();
    let name = name.as_str();
    sqlx::query!(
        "insert into hosts (id, name, kind, target) values (?, ?, ?, ?) \
         on conflict (name) do update set kind = excluded.kind, target = excluded.target",
        id,
        name,
        kind,
        target,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
