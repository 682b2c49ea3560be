//! Machines: the one truth about a configuration.

use super::{Conn, from_json, parse, parse_some, readable, to_json};
use crate::error::Result;
use model::Time;
use model::account::UserId;
use model::host::{HostId, HostName};
use model::image::ImageId;
use model::machine::{HardwareIds, MachineId, MachineName};
use model::spec::Spec;
use ports::hypervisor::Volume;
use sqlx::FromRow;

/// A machine as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct MachineRecord {
    pub id: MachineId,
    pub owner: UserId,
    pub owner_name: String,
    pub spec: Spec,
    pub hardware: HardwareIds,
    /// Its disks and what they were made from, while there are any.
    pub disks: Option<Disks>,
    pub created: Time,
}

/// The disks of a created machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disks {
    pub image: ImageId,
    pub boot: Volume,
    pub data: Option<Volume>,
}

#[derive(FromRow)]
struct Row {
    id: String,
    owner_id: String,
    owner_name: String,
    host_name: String,
    spec: String,
    uuid: String,
    mac: String,
    machine_id: String,
    image_id: Option<String>,
    boot: Option<String>,
    data: Option<String>,
    created: i64,
}

impl Row {
    fn record(self) -> Result<MachineRecord> {
        let mut spec: Spec = from_json("a machine's specification", &self.spec)?;
        // The host's row is what the reference points at; the text in the specification only repeats its name.
        spec.host = parse::<HostName>("a host's name", &self.host_name)?;
        let image = parse_some("an image's id", self.image_id.as_deref())?;
        let disks = image.zip(self.boot).map(|(image, boot)| Disks {
            image,
            boot: Volume(boot),
            data: self.data.map(Volume),
        });
        Ok(MachineRecord {
            id: parse("a machine's id", &self.id)?,
            owner: parse("a user's id", &self.owner_id)?,
            owner_name: self.owner_name,
            spec,
            hardware: HardwareIds {
                uuid: parse("a domain's identifier", &self.uuid)?,
                mac: parse("a network address", &self.mac)?,
                machine_id: parse("a guest's machine id", &self.machine_id)?,
            },
            disks,
            created: Time(self.created),
        })
    }
}

const RECORD: &str = "select m.id, m.owner_id, u.name as owner_name, h.name as host_name, m.spec, m.uuid, m.mac, \
    m.machine_id, m.image_id, m.boot, m.data, m.created \
    from machines m join users u on u.id = m.owner_id join hosts h on h.id = m.host_id";

/// All machines by name that can be read.
pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<MachineRecord>> {
    let rows: Vec<Row> = sqlx::query_as(&format!("{RECORD} order by m.name")).fetch_all(conn).await?;
    Ok(readable(rows, Row::record))
}

/// The names and ids of all machines, also of those that [`all`] leaves out.
pub(crate) async fn names(conn: &mut Conn) -> Result<Vec<(MachineName, MachineId)>> {
    let rows: Vec<(String, String)> = sqlx::query_as("select name, id from machines").fetch_all(conn).await?;
    rows.into_iter()
        .map(|(name, id)| Ok((parse("a machine's name", &name)?, parse("a machine's id", &id)?)))
        .collect()
}

/// The machine of this name.
pub(crate) async fn by_name(conn: &mut Conn, name: &MachineName) -> Result<Option<MachineRecord>> {
    let row: Option<Row> = sqlx::query_as(&format!("{RECORD} where m.name = ?"))
        .bind(name.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(Row::record).transpose()
}

/// The machine of this id.
pub(crate) async fn by_id(conn: &mut Conn, id: MachineId) -> Result<Option<MachineRecord>> {
    let row: Option<Row> =
        sqlx::query_as(&format!("{RECORD} where m.id = ?")).bind(id.to_string()).fetch_optional(conn).await?;
    row.map(Row::record).transpose()
}

/// A machine that is new.
pub(crate) struct New<'a> {
    pub id: MachineId,
    pub owner: UserId,
    pub host: HostId,
    pub spec: &'a Spec,
    pub hardware: &'a HardwareIds,
    pub now: Time,
}

/// Writes a new machine. Violates `MachineName` when the name is taken, `HardwareId` by chance.
pub(crate) async fn insert(conn: &mut Conn, new: &New<'_>) -> Result<()> {
    sqlx::query(
        "insert into machines (id, name, owner_id, host_id, spec, profiles, mode, uuid, mac, machine_id, created) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.id.to_string())
    .bind(new.spec.name.as_str())
    .bind(new.owner.to_string())
    .bind(new.host.to_string())
    .bind(to_json("a machine's specification", new.spec)?)
    .bind(new.spec.profiles.to_string())
    .bind(new.spec.mode.as_str())
    .bind(new.hardware.uuid.to_string())
    .bind(new.hardware.mac.as_str())
    .bind(new.hardware.machine_id.as_str())
    .bind(new.now.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes which disks a machine has and which image they were made from, or that it has none. Violates `Reference` when the
/// image has been removed meanwhile.
pub(crate) async fn set_disks(conn: &mut Conn, id: MachineId, disks: Option<&Disks>) -> Result<()> {
    sqlx::query("update machines set image_id = ?, boot = ?, data = ? where id = ?")
        .bind(disks.map(|d| d.image.to_string()))
        .bind(disks.map(|d| d.boot.0.as_str()))
        .bind(disks.and_then(|d| d.data.as_ref()).map(|v| v.0.as_str()))
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets a machine; its name is free again.
pub(crate) async fn delete(conn: &mut Conn, id: MachineId) -> Result<()> {
    sqlx::query("delete from machines where id = ?").bind(id.to_string()).execute(conn).await?;
    Ok(())
}
