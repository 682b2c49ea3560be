//! Built images.

use super::{Conn, integer, natural, parse, parse_some, readable};
use crate::error::Result;
use model::Time;
use model::image::{ImageId, ProfileSet};
use model::job::JobId;
use model::machine::Mode;
use model::view::image::ImageSummary;
use ports::image_builder::{Built, ImageKey};
use sqlx::FromRow;
use std::path::PathBuf;
use uuid::Uuid;

/// An image as steps need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageRow {
    pub id: ImageId,
    pub store_path: PathBuf,
    /// Whether its garbage-collector root is known to stand.
    pub rooted: bool,
}

#[derive(FromRow)]
struct Found {
    id: String,
    store_path: String,
    rooted: bool,
}

impl Found {
    fn row(self) -> Result<ImageRow> {
        let id = parse("an image's id", &self.id)?;
        Ok(ImageRow { id, store_path: self.store_path.into(), rooted: self.rooted })
    }
}

/// The image of this key.
pub(crate) async fn by_key(conn: &mut Conn, key: &ImageKey) -> Result<Option<ImageRow>> {
    let row: Option<Found> = sqlx::query_as(
        "select id, store_path, rooted from images where profiles = ? and mode = ? and source = ?",
    )
    .bind(key.profiles.to_string())
    .bind(key.mode.as_str())
    .bind(&key.source)
    .fetch_optional(conn)
    .await?;
    row.map(Found::row).transpose()
}

/// The image of this id.
pub(crate) async fn by_id(conn: &mut Conn, id: ImageId) -> Result<Option<ImageRow>> {
    let row: Option<Found> = sqlx::query_as("select id, store_path, rooted from images where id = ?")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(Found::row).transpose()
}

/// Who had an image built, and when.
pub(crate) struct Origin<'a> {
    pub by: &'a str,
    pub job: JobId,
    pub now: Time,
}

/// Records a built image, or brings the row of its key up to date; a known key keeps its id.
pub(crate) async fn upsert(
    conn: &mut Conn,
    key: &ImageKey,
    built: &Built,
    origin: &Origin<'_>,
) -> Result<ImageRow> {
    let row: Found = sqlx::query_as(
        "insert into images (id, profiles, mode, source, store_path, drv_path, size, closure_size, lock, built, \
         built_by, job_id) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         on conflict (profiles, mode, source) do update set \
         rooted = (rooted and store_path = excluded.store_path), store_path = excluded.store_path, \
         drv_path = excluded.drv_path, size = excluded.size, closure_size = excluded.closure_size, \
         lock = excluded.lock returning id, store_path, rooted",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(key.profiles.to_string())
    .bind(key.mode.as_str())
    .bind(&key.source)
    .bind(built.store_path.to_string_lossy())
    .bind(built.drv_path.as_ref().map(|p| p.to_string_lossy().into_owned()))
    .bind(integer(built.size))
    .bind(built.closure_size.map(integer))
    .bind(&built.lock)
    .bind(origin.now.0)
    .bind(origin.by)
    .bind(origin.job.to_string())
    .fetch_one(conn)
    .await?;
    row.row()
}

/// Notes that the root of an image stands.
pub(crate) async fn set_rooted(conn: &mut Conn, id: ImageId) -> Result<()> {
    sqlx::query("update images set rooted = 1 where id = ?").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Forgets an image. Violates `Reference` while a machine boots it.
pub(crate) async fn delete(conn: &mut Conn, id: ImageId) -> Result<()> {
    sqlx::query("delete from images where id = ?").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// The newest image of each combination of profiles and mode.
pub(crate) async fn newest(conn: &mut Conn) -> Result<Vec<(ProfileSet, Mode, ImageId)>> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "select profiles, mode, id from images i where not exists (select 1 from images n \
         where n.profiles = i.profiles and n.mode = i.mode and (n.built, n.id) > (i.built, i.id))",
    )
    .fetch_all(conn)
    .await?;
    Ok(readable(rows, |(profiles, mode, id)| {
        Ok((
            parse("an image's profiles", &profiles)?,
            parse("an image's mode", &mode)?,
            parse("an image's id", &id)?,
        ))
    }))
}

#[derive(FromRow)]
struct Summary {
    id: String,
    profiles: String,
    mode: String,
    store_path: String,
    size: i64,
    closure_size: Option<i64>,
    source: String,
    built: i64,
    built_by: Option<String>,
    job_id: Option<String>,
}

impl Summary {
    /// Without its machines, which the fleet knows.
    fn view(self, current: &str) -> Result<ImageSummary> {
        Ok(ImageSummary {
            id: parse("an image's id", &self.id)?,
            profiles: parse("an image's profiles", &self.profiles)?,
            mode: parse("an image's mode", &self.mode)?,
            store_path: self.store_path,
            size: natural(self.size),
            closure_size: self.closure_size.map(natural),
            current: self.source == current,
            source: self.source,
            built: Time(self.built),
            built_by: self.built_by,
            job: parse_some("a job's id", self.job_id.as_deref())?,
            machines: Vec::new(),
            users: 0,
        })
    }
}

const SUMMARY: &str =
    "select id, profiles, mode, store_path, size, closure_size, source, built, built_by, job_id from images";

/// All images, newest first; `current` is the hash of the flake source as it is now.
pub(crate) async fn summaries(conn: &mut Conn, current: &str) -> Result<Vec<ImageSummary>> {
    let rows: Vec<Summary> =
        sqlx::query_as(&format!("{SUMMARY} order by built desc, id desc")).fetch_all(conn).await?;
    Ok(readable(rows, |row: Summary| row.view(current)))
}

/// One image.
pub(crate) async fn summary(conn: &mut Conn, id: ImageId, current: &str) -> Result<Option<ImageSummary>> {
    let row: Option<Summary> =
        sqlx::query_as(&format!("{SUMMARY} where id = ?")).bind(id.to_string()).fetch_optional(conn).await?;
    row.map(|row| row.view(current)).transpose()
}
