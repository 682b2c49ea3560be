//! Failed jobs with their reason, for the pages that they were asked for on.

use super::super::Conn;
use super::super::column::{Json, Read as _, Text, readable};
use crate::error::Result;
use model::Time;
use model::account::UserId;
use model::image::ImageId;
use model::job::{Failure, JobId};
use model::operation::Operation;
use model::view::job::FailedJob;
use std::collections::HashMap;

struct FailedRow {
    id: Text<JobId>,
    title: String,
    operation: Json<Operation>,
    failure: Option<Json<Failure>>,
    created: i64,
    ended: Option<i64>,
}

impl FailedRow {
    /// The job, and the image that it was to remove, if it was.
    fn view(self) -> Result<(Option<ImageId>, FailedJob)> {
        let image = match self.operation.read() {
            Ok(Operation::RemoveImage { image }) => Some(image),
            _ => None,
        };
        let failed = FailedJob {
            id: self.id.read()?,
            title: self.title,
            ended: Time(self.ended.unwrap_or(self.created)),
            why: self.failure.read()?.map(|failure| failure.message).unwrap_or_default(),
        };
        Ok((image, failed))
    }
}

macro_rules! select_failed {
    ($rest:literal, $argument:expr) => {
        sqlx::query_as!(
            FailedRow,
            r#"select id as "id: Text<JobId>", title, operation as "operation: Json<Operation>",
            failure as "failure: Json<Failure>", created, ended from jobs "#
                + $rest,
            $argument
        )
    };
}

/// A failed job; nothing if it did not fail.
pub(crate) async fn failed(conn: &mut Conn, id: JobId) -> Result<Option<FailedJob>> {
    let id = id.to_string();
    let rows = select_failed!("where id = ? and state = 'failed'", id).fetch_all(conn).await?;
    Ok(readable(rows, FailedRow::view).pop().map(|(_, failed)| failed))
}

/// A user's last failed attempt to remove each image.
pub(crate) async fn failed_removals(conn: &mut Conn, user: UserId) -> Result<HashMap<ImageId, FailedJob>> {
    let user = user.to_string();
    let rows =
        select_failed!("where actor_id = ? and kind = 'remove_image' and state = 'failed' order by id", user)
            .fetch_all(conn)
            .await?;
    Ok(readable(rows, FailedRow::view)
        .into_iter()
        .filter_map(|(image, failed)| Some((image?, failed)))
        .collect())
}
