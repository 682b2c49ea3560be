//! Built images.

use super::column::{Read as _, Text, integer, natural, readable};
use super::{Conn, Tx};
use crate::error::Result;
use model::Time;
use model::image::{ImageId, ProfileSet};
use model::job::JobId;
use model::machine::Mode;
use model::view::image::ImageSummary;
use ports::image_builder::{Built, ImageKey};
use std::cmp::Reverse;
use std::path::PathBuf;
use uuid::Uuid;

/// An image as steps need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageRow {
    pub id: ImageId,
    pub store_path: PathBuf,
    /// Whether its garbage-collector root is known to exist.
    pub rooted: bool,
}

struct Found {
    id: Text<ImageId>,
    store_path: String,
    rooted: bool,
}

impl Found {
    fn row(self) -> Result<ImageRow> {
        Ok(ImageRow { id: self.id.read()?, store_path: self.store_path.into(), rooted: self.rooted })
    }
}

/// The image of this key.
pub(crate) async fn by_key(conn: &mut Conn, key: &ImageKey) -> Result<Option<ImageRow>> {
    let profiles = key.profiles.to_string();
    let mode = key.mode.as_str();
    let row = sqlx::query_as!(
        Found,
        r#"select id as "id: Text<ImageId>", store_path, rooted as "rooted: bool" from images
        where profiles = ? and mode = ? and source = ?"#,
        profiles,
        mode,
        key.source,
    )
    .fetch_optional(conn)
    .await?;
    row.map(Found::row).transpose()
}

/// The image of this id.
pub(crate) async fn by_id(conn: &mut Conn, id: ImageId) -> Result<Option<ImageRow>> {
    let id = id.to_string();
    let row = sqlx::query_as!(
        Found,
        r#"select id as "id: Text<ImageId>", store_path, rooted as "rooted: bool" from images where id = ?"#,
        id,
    )
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
    tx: &mut Tx,
    key: &ImageKey,
    built: &Built,
    origin: &Origin<'_>,
) -> Result<ImageRow> {
    let id = Uuid::now_v7().to_string();
    let profiles = key.profiles.to_string();
    let mode = key.mode.as_str();
    let store_path = built.store_path.to_string_lossy().into_owned();
    let size = integer(built.size);
    let closure_size = built.closure_size.map(integer);
    let job = origin.job.to_string();
    let row = sqlx::query_as!(
        Found,
        r#"insert into images (id, profiles, mode, source, store_path, size, closure_size, built, built_by, job_id)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        on conflict (profiles, mode, source) do update set
        rooted = (rooted and store_path = excluded.store_path), store_path = excluded.store_path,
        size = excluded.size, closure_size = excluded.closure_size
        returning id as "id!: Text<ImageId>", store_path as "store_path!", rooted as "rooted!: bool""#,
        id,
        profiles,
        mode,
        key.source,
        store_path,
        size,
        closure_size,
        origin.now.0,
        origin.by,
        job,
    )
    .fetch_one(&mut **tx)
    .await?;
    row.row()
}

/// Notes that the root of an image exists.
pub(crate) async fn set_rooted(tx: &mut Tx, id: ImageId) -> Result<()> {
    let id = id.to_string();
    sqlx::query!("update images set rooted = 1 where id = ?", id).execute(&mut **tx).await?;
    Ok(())
}

/// Forgets an image. Violates `Reference` while a machine boots it.
pub(crate) async fn delete(tx: &mut Tx, id: ImageId) -> Result<()> {
    let id = id.to_string();
    sqlx::query!("delete from images where id = ?", id).execute(&mut **tx).await?;
    Ok(())
}

/// The newest image of each combination of profiles and mode.
pub(crate) async fn newest(conn: &mut Conn) -> Result<Vec<(ProfileSet, Mode, ImageId)>> {
    let rows = sqlx::query!(
        r#"select profiles as "profiles: Text<ProfileSet>", mode as "mode: Text<Mode>", id as "id: Text<ImageId>"
        from images i where not exists (select 1 from images n
        where n.profiles = i.profiles and n.mode = i.mode and (n.built, n.id) > (i.built, i.id))"#
    )
    .fetch_all(conn)
    .await?;
    Ok(readable(rows, |row| Ok((row.profiles.read()?, row.mode.read()?, row.id.read()?))))
}

/// How long it took to build the latest images of these profiles in this mode, at most five, in milliseconds.
pub(crate) async fn build_times(conn: &mut Conn, profiles: &ProfileSet, mode: Mode) -> Result<Vec<u64>> {
    let (profiles, mode) = (profiles.to_string(), mode.as_str());
    let mut builds = sqlx::query!(
        r#"select i.built, s.ended - s.began as "took!: i64" from images i join job_steps s on s.job_id = i.job_id
        where i.profiles = ? and i.mode = ? and s.name = 'image.build' and s.state = 'done'
        and s.began is not null and s.ended is not null"#,
        profiles,
        mode,
    )
    .fetch_all(conn)
    .await?;
    builds.sort_unstable_by_key(|build| Reverse(build.built));
    Ok(builds.into_iter().take(5).map(|build| natural(build.took)).collect())
}

struct SummaryRow {
    id: Text<ImageId>,
    profiles: Text<ProfileSet>,
    mode: Text<Mode>,
    store_path: String,
    size: i64,
    closure_size: Option<i64>,
    source: String,
    built: i64,
    built_by: Option<String>,
    job_id: Option<Text<JobId>>,
}

impl SummaryRow {
    /// Without its machines, which the fleet knows.
    fn view(self, current: &str) -> Result<ImageSummary> {
        Ok(ImageSummary {
            id: self.id.read()?,
            profiles: self.profiles.read()?,
            mode: self.mode.read()?,
            store_path: self.store_path,
            size: natural(self.size),
            closure_size: self.closure_size.map(natural),
            current: self.source == current,
            source: self.source,
            built: Time(self.built),
            built_by: self.built_by,
            job: self.job_id.read()?,
            machines: Vec::new(),
            users: 0,
            failed_removal: None,
        })
    }
}

macro_rules! select_summaries {
    ($rest:literal $(, $argument:expr)?) => {
        sqlx::query_as!(
            SummaryRow,
            r#"select id as "id: Text<ImageId>", profiles as "profiles: Text<ProfileSet>", mode as "mode: Text<Mode>",
            store_path, size, closure_size, source, built, built_by, job_id as "job_id: Text<JobId>" from images "#
                + $rest
            $(, $argument)?
        )
    };
}

/// All images, newest first; `current` is the hash of the flake source as it is now.
pub(crate) async fn summaries(conn: &mut Conn, current: &str) -> Result<Vec<ImageSummary>> {
    let rows = select_summaries!("order by built desc, id desc").fetch_all(conn).await?;
    Ok(readable(rows, |row| row.view(current)))
}

/// One image.
pub(crate) async fn summary(conn: &mut Conn, id: ImageId, current: &str) -> Result<Option<ImageSummary>> {
    let id = id.to_string();
    let row = select_summaries!("where id = ?", id).fetch_optional(conn).await?;
    row.map(|row| row.view(current)).transpose()
}
