//! Generations of machines: boot disks, each on the image it was made from. The current one is named by the machine's row.

use super::column::{Read as _, Text, readable};
use super::{Conn, Tx};
use crate::error::Result;
use model::Time;
use model::account::UserId;
use model::image::{ImageId, ProfileSet};
use model::machine::{MachineId, MachineName};
use ports::hypervisor::Volume;
use std::collections::HashMap;

/// A generation as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    /// Counted from 1 since the machine was created.
    pub number: u32,
    pub image: ImageId,
    /// What its image is composed of.
    pub profiles: ProfileSet,
    /// Its boot disk; none until it is complete.
    pub boot: Option<Volume>,
    pub made: Time,
    pub made_by: String,
}

/// What is known of a generation before its disk is made.
pub(crate) struct New<'a> {
    pub machine: MachineId,
    pub number: u32,
    pub image: ImageId,
    pub by: &'a str,
    pub now: Time,
}

/// All of a machine, newest first.
pub(crate) async fn of_machine(conn: &mut Conn, machine: MachineId) -> Result<Vec<Generation>> {
    let machine = machine.to_string();
    let rows = sqlx::query!(
        r#"select g.number as "number: u32", g.image_id as "image: Text<ImageId>",
        i.profiles as "profiles: Text<ProfileSet>", g.boot, g.made, g.made_by
        from generations g join images i on i.id = g.image_id where g.machine_id = ? order by g.number desc"#,
        machine,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Generation {
                number: row.number,
                image: row.image.read()?,
                profiles: row.profiles.read()?,
                boot: row.boot.map(Volume),
                made: Time(row.made),
                made_by: row.made_by,
            })
        })
        .collect()
}

/// The numbers of all generations there are.
pub(crate) async fn numbers(conn: &mut Conn) -> Result<Vec<(MachineId, u32)>> {
    let rows = sqlx::query!(
        r#"select machine_id as "machine: Text<MachineId>", number as "number: u32" from generations"#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| Ok((row.machine.read()?, row.number))).collect()
}

/// The machines that boot each image, or keep it to go back to, by name.
pub(crate) async fn users(conn: &mut Conn) -> Result<HashMap<ImageId, Vec<(MachineName, UserId)>>> {
    let rows = sqlx::query!(
        r#"select distinct g.image_id as "image: Text<ImageId>", m.name as "name: Text<MachineName>",
        m.owner_id as "owner: Text<UserId>"
        from generations g join machines m on m.id = g.machine_id order by m.name"#
    )
    .fetch_all(conn)
    .await?;
    let mut users: HashMap<ImageId, Vec<(MachineName, UserId)>> = HashMap::new();
    for (image, name, owner) in
        readable(rows, |row| Ok((row.image.read()?, row.name.read()?, row.owner.read()?)))
    {
        users.entry(image).or_default().push((name, owner));
    }
    Ok(users)
}

/// The machines that boot this image, or keep it to go back to, by name.
pub(crate) async fn users_of(conn: &mut Conn, image: ImageId) -> Result<Vec<(MachineName, UserId)>> {
    let image = image.to_string();
    let rows = sqlx::query!(
        r#"select distinct m.name as "name: Text<MachineName>", m.owner_id as "owner: Text<UserId>"
        from generations g join machines m on m.id = g.machine_id where g.image_id = ? order by m.name"#,
        image,
    )
    .fetch_all(conn)
    .await?;
    Ok(readable(rows, |row| Ok((row.name.read()?, row.owner.read()?))))
}

/// Notes a generation whose disk is about to be made. Violates `Reference` when the image has been removed meanwhile.
pub(crate) async fn begin(tx: &mut Tx, new: &New<'_>) -> Result<()> {
    let (machine, image) = (new.machine.to_string(), new.image.to_string());
    sqlx::query!(
        "insert into generations (machine_id, number, image_id, made, made_by) values (?, ?, ?, ?, ?)
        on conflict (machine_id, number) do update set image_id = excluded.image_id, boot = null,
        made = excluded.made, made_by = excluded.made_by",
        machine,
        new.number,
        image,
        new.now.0,
        new.by,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes where the boot disk of a generation is.
pub(crate) async fn set_boot(tx: &mut Tx, machine: MachineId, number: u32, boot: &Volume) -> Result<()> {
    let (machine, boot) = (machine.to_string(), boot.0.as_str());
    sqlx::query!(
        "update generations set boot = ? where machine_id = ? and number = ?",
        boot,
        machine,
        number
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Notes that no generation but this one can be booted: their disks are about to be removed.
pub(crate) async fn retire_others(tx: &mut Tx, machine: MachineId, number: u32) -> Result<()> {
    let machine = machine.to_string();
    sqlx::query!("update generations set boot = null where machine_id = ? and number <> ?", machine, number)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets a generation.
pub(crate) async fn forget(tx: &mut Tx, machine: MachineId, number: u32) -> Result<()> {
    let machine = machine.to_string();
    sqlx::query!("delete from generations where machine_id = ? and number = ?", machine, number)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets all of a machine.
pub(crate) async fn forget_all(tx: &mut Tx, machine: MachineId) -> Result<()> {
    let machine = machine.to_string();
    sqlx::query!("delete from generations where machine_id = ?", machine).execute(&mut **tx).await?;
    Ok(())
}
