//! Machines: the one truth about a configuration.

use super::column::{Json, Read as _, Text, readable, to_json};
use super::{Conn, Tx};
use crate::error::Result;
use model::Time;
use model::account::UserId;
use model::change::Part;
use model::host::{HostId, HostName};
use model::image::ImageId;
use model::machine::{GuestMachineId, HardwareIds, MacAddress, MachineId, MachineName};
use model::spec::Spec;
use ports::hypervisor::{HostRef, MachineRef, Volume};
use std::collections::HashMap;
use std::net::IpAddr;
use uuid::Uuid;

/// A machine as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct MachineRecord {
    pub id: MachineId,
    pub owner: UserId,
    pub owner_name: String,
    pub spec: Spec,
    /// The configuration that is true on its host, while it has disks.
    pub applied: Option<Spec>,
    pub hardware: HardwareIds,
    /// Where it is on its host, while it has a place there.
    pub host_ref: Option<HostRef>,
    /// Its disks and what they were made from, while there are any.
    pub disks: Option<Disks>,
    pub created: Time,
}

impl MachineRecord {
    /// Which machine it is on its host, where it has a place there.
    pub fn on_host(&self) -> Option<MachineRef> {
        let host_ref = self.host_ref.clone()?;
        Some(MachineRef { id: self.id, name: self.spec.name.clone(), host_ref })
    }
}

/// The disks of a created machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disks {
    /// The current generation; image and boot disk are its own.
    pub generation: u32,
    pub image: ImageId,
    pub boot: Volume,
    pub data: Option<Volume>,
}

struct MachineRow {
    id: Text<MachineId>,
    owner_id: Text<UserId>,
    owner_name: String,
    host_name: Text<HostName>,
    spec: Json<Spec>,
    applied: Option<Json<Spec>>,
    uuid: Text<Uuid>,
    mac: Text<MacAddress>,
    machine_id: Text<GuestMachineId>,
    host_ref: Option<String>,
    image_id: Option<Text<ImageId>>,
    generation: Option<u32>,
    boot: Option<String>,
    data: Option<String>,
    created: i64,
}

impl MachineRow {
    fn record(self) -> Result<MachineRecord> {
        let mut spec = self.spec.read()?;
        // The host's row is what the reference points at; the text in the specification only repeats its name.
        spec.host = self.host_name.read()?;
        let disks = self.image_id.read()?.zip(self.boot).zip(self.generation);
        let disks = disks.map(|((image, boot), generation)| Disks {
            generation,
            image,
            boot: Volume(boot),
            data: self.data.map(Volume),
        });
        let mut applied = self.applied.read()?;
        if let Some(applied) = &mut applied {
            // What only the portal keeps is true where it is saved.
            applied.take(Part::Portal, &spec);
        }
        Ok(MachineRecord {
            id: self.id.read()?,
            owner: self.owner_id.read()?,
            owner_name: self.owner_name,
            spec,
            applied,
            hardware: HardwareIds {
                uuid: self.uuid.read()?,
                mac: self.mac.read()?,
                machine_id: self.machine_id.read()?,
            },
            host_ref: self.host_ref.map(HostRef),
            disks,
            created: Time(self.created),
        })
    }
}

macro_rules! select_machines {
    ($rest:literal $(, $argument:expr)?) => {
        sqlx::query_as!(
            MachineRow,
            r#"select m.id as "id: Text<MachineId>", m.owner_id as "owner_id: Text<UserId>", u.name as owner_name,
            h.name as "host_name: Text<HostName>", m.spec as "spec: Json<Spec>", m.applied as "applied: Json<Spec>", m.uuid as "uuid: Text<Uuid>",
            m.mac as "mac: Text<MacAddress>", m.machine_id as "machine_id: Text<GuestMachineId>", m.host_ref,
            m.image_id as "image_id: Text<ImageId>", m.generation as "generation: u32", m.boot, m.data, m.created
            from machines m join users u on u.id = m.owner_id join hosts h on h.id = m.host_id "# + $rest
            $(, $argument)?
        )
    };
}

/// What is known of a machine whose specification cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    pub id: MachineId,
    pub name: MachineName,
    pub owner: UserId,
    pub owner_name: String,
    pub host: HostName,
    /// What it boots, while it has disks.
    pub generation: Option<u32>,
    pub volumes: Vec<Volume>,
    /// Where it is on its host, while it has a place there.
    pub host_ref: Option<HostRef>,
}

struct OutlineRow {
    id: Text<MachineId>,
    name: Text<MachineName>,
    owner_id: Text<UserId>,
    owner_name: String,
    host_name: Text<HostName>,
    generation: Option<u32>,
    boot: Option<String>,
    data: Option<String>,
    host_ref: Option<String>,
}

impl OutlineRow {
    fn outline(self) -> Result<Outline> {
        Ok(Outline {
            id: self.id.read()?,
            name: self.name.read()?,
            owner: self.owner_id.read()?,
            owner_name: self.owner_name,
            host: self.host_name.read()?,
            generation: self.generation,
            volumes: self.boot.into_iter().chain(self.data).map(Volume).collect(),
            host_ref: self.host_ref.map(HostRef),
        })
    }
}

macro_rules! select_outlines {
    ($rest:literal $(, $argument:expr)?) => {
        sqlx::query_as!(
            OutlineRow,
            r#"select m.id as "id: Text<MachineId>", m.name as "name: Text<MachineName>",
            m.owner_id as "owner_id: Text<UserId>", u.name as owner_name, h.name as "host_name: Text<HostName>",
            m.generation as "generation: u32", m.boot, m.data, m.host_ref
            from machines m join users u on u.id = m.owner_id join hosts h on h.id = m.host_id "# + $rest
            $(, $argument)?
        )
    };
}

/// The outline of the machine of this id.
pub(crate) async fn outline(conn: &mut Conn, id: MachineId) -> Result<Option<Outline>> {
    let id = id.to_string();
    let row = select_outlines!("where m.id = ?", id).fetch_optional(conn).await?;
    row.map(OutlineRow::outline).transpose()
}

/// The outlines of all machines by name.
pub(crate) async fn outlines(conn: &mut Conn) -> Result<Vec<Outline>> {
    let rows = select_outlines!("order by m.name").fetch_all(conn).await?;
    Ok(readable(rows, OutlineRow::outline))
}

/// Whether there is a machine of this name, readable or not.
pub(crate) async fn is_taken(conn: &mut Conn, name: &MachineName) -> Result<bool> {
    let name = name.as_str();
    let taken = sqlx::query_scalar!(
        r#"select exists (select 1 from machines where name = ?) as "taken!: bool""#,
        name
    );
    Ok(taken.fetch_one(conn).await?)
}

/// All machines by name that can be read.
pub(crate) async fn all(conn: &mut Conn) -> Result<Vec<MachineRecord>> {
    let rows = select_machines!("order by m.name").fetch_all(conn).await?;
    Ok(readable(rows, MachineRow::record))
}

/// The names and ids of all machines, also of those that [`all`] leaves out.
pub(crate) async fn names(conn: &mut Conn) -> Result<Vec<(MachineName, MachineId)>> {
    let rows = sqlx::query!(
        r#"select name as "name: Text<MachineName>", id as "id: Text<MachineId>" from machines"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((row.name.read()?, row.id.read()?))).collect()
}

/// The machine of this name.
pub(crate) async fn by_name(conn: &mut Conn, name: &MachineName) -> Result<Option<MachineRecord>> {
    let name = name.as_str();
    let row = select_machines!("where m.name = ?", name).fetch_optional(conn).await?;
    row.map(MachineRow::record).transpose()
}

/// The id of the machine of this name, or of the one that had it last.
pub(crate) async fn called(conn: &mut Conn, name: &MachineName) -> Result<Option<MachineId>> {
    let name = name.as_str();
    let found = sqlx::query_scalar!(
        r#"select id as "id!: Text<MachineId>" from (
            select id, null as until from machines where name = ?1
            union all select machine_id, until from former_names where name = ?1)
        order by until is not null, until desc limit 1"#,
        name,
    );
    found.fetch_optional(conn).await?.read()
}

/// The machine of this id.
pub(crate) async fn by_id(conn: &mut Conn, id: MachineId) -> Result<Option<MachineRecord>> {
    let id = id.to_string();
    let row = select_machines!("where m.id = ?", id).fetch_optional(conn).await?;
    row.map(MachineRow::record).transpose()
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
pub(crate) async fn insert(tx: &mut Tx, new: &New<'_>) -> Result<()> {
    let id = new.id.to_string();
    let name = new.spec.name.as_str();
    let owner = new.owner.to_string();
    let host = new.host.to_string();
    let spec = to_json(new.spec)?;
    let uuid = new.hardware.uuid.to_string();
    let mac = new.hardware.mac.as_str();
    let machine_id = new.hardware.machine_id.as_str();
    sqlx::query!(
        "insert into machines (id, name, owner_id, host_id, spec, uuid, mac, machine_id, created) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        name,
        owner,
        host,
        spec,
        uuid,
        mac,
        machine_id,
        new.now.0,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes which disks a machine has, or that it has none. Violates `Reference` when the image has been removed meanwhile.
pub(crate) async fn set_disks(tx: &mut Tx, id: MachineId, disks: Option<&Disks>) -> Result<()> {
    let image = disks.map(|disks| disks.image.to_string());
    let generation = disks.map(|disks| disks.generation);
    let boot = disks.map(|disks| disks.boot.0.as_str());
    let data = disks.and_then(|disks| disks.data.as_ref()).map(|volume| volume.0.as_str());
    let id = id.to_string();
    sqlx::query!(
        "update machines set image_id = ?, generation = ?, boot = ?, data = ? where id = ?",
        image,
        generation,
        boot,
        data,
        id,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Changes a machine's configuration.
pub(crate) async fn set_spec(tx: &mut Tx, id: MachineId, spec: &Spec) -> Result<()> {
    let (id, spec) = (id.to_string(), to_json(spec)?);
    sqlx::query!("update machines set spec = ? where id = ?", spec, id).execute(&mut **tx).await?;
    Ok(())
}

/// Notes which configuration is true on a machine's host; none when there is nothing of it.
pub(crate) async fn set_applied(tx: &mut Tx, id: MachineId, applied: Option<&Spec>) -> Result<()> {
    let (id, applied) = (id.to_string(), applied.map(to_json).transpose()?);
    sqlx::query!("update machines set applied = ? where id = ?", applied, id).execute(&mut **tx).await?;
    Ok(())
}

/// Notes where a machine is on its host, or that it has no place there.
pub(crate) async fn set_host_ref(tx: &mut Tx, id: MachineId, host_ref: Option<&HostRef>) -> Result<()> {
    let (id, host_ref) = (id.to_string(), host_ref.map(|at| at.0.as_str()));
    sqlx::query!("update machines set host_ref = ? where id = ?", host_ref, id).execute(&mut **tx).await?;
    Ok(())
}

/// Gives a machine another name, and keeps the one it had as a former one. Violates `MachineName` when the name is taken.
pub(crate) async fn rename(tx: &mut Tx, id: MachineId, to: &MachineName, now: Time) -> Result<()> {
    let (id, to) = (id.to_string(), to.as_str());
    sqlx::query!(
        "insert into former_names (name, machine_id, until) select name, id, ?3 from machines where id = ?1 and name <> ?2
        on conflict (name, machine_id) do update set until = excluded.until",
        id,
        to,
        now.0,
    )
    .execute(&mut **tx)
    .await?;
    set_name(tx, &id, to).await
}

/// Gives a machine back the name that [`rename`] took from it, as if it had never had another one.
pub(crate) async fn rename_back(tx: &mut Tx, id: MachineId, to: &MachineName) -> Result<()> {
    let (id, to) = (id.to_string(), to.as_str());
    sqlx::query!("delete from former_names where machine_id = ? and name = ?", id, to)
        .execute(&mut **tx)
        .await?;
    set_name(tx, &id, to).await
}

async fn set_name(tx: &mut Tx, id: &str, name: &str) -> Result<()> {
    sqlx::query!(
        "update machines set name = ?2, spec = json_set(spec, '$.name', ?2) where id = ?1",
        id,
        name
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets a machine; its name is free again.
pub(crate) async fn delete(tx: &mut Tx, id: MachineId) -> Result<()> {
    let id = id.to_string();
    sqlx::query!("delete from machines where id = ?", id).execute(&mut **tx).await?;
    Ok(())
}

/// The addresses that machines last had, best first.
pub(crate) async fn last_addresses(conn: &mut Conn) -> Result<HashMap<MachineId, Vec<IpAddr>>> {
    let rows = sqlx::query!(
        r#"select machine_id as "machine_id: Text<MachineId>", addresses as "addresses: Json<Vec<IpAddr>>"
        from machine_addresses"#
    )
    .fetch_all(conn)
    .await?;
    Ok(readable(rows, |row| Ok((row.machine_id.read()?, row.addresses.read()?))).into_iter().collect())
}

/// Keeps the addresses that a machine has now, unless it has been forgotten meanwhile.
pub(crate) async fn set_last_addresses(tx: &mut Tx, id: MachineId, addresses: &[IpAddr]) -> Result<()> {
    let (id, addresses) = (id.to_string(), to_json(&addresses)?);
    sqlx::query!(
        "insert into machine_addresses (machine_id, addresses) select id, ?2 from machines where id = ?1
        on conflict (machine_id) do update set addresses = excluded.addresses",
        id,
        addresses,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
