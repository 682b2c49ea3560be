//! Queries about images and profiles.

use crate::authorize::{authorize, visible};
use crate::core::Core;
use crate::cx::Cx;
use crate::db::{self, Conn};
use crate::error::Result;
use model::Fault;
use model::image::{ImageId, ProfileSet, Profiles};
use model::permission::{Action, Subject};
use model::portal::Choices;
use model::view::image::ImageSummary;

/// What forms offer: the profiles from Nix's last answer. If it does not answer now, the hosts page says why.
pub(super) async fn choices(core: &Core, cx: &Cx) -> Result<Choices> {
    authorize(core, cx, Action::SeeImages, Subject::Portal, None).await?;
    let profiles = core.catalogue.latest().await.profiles;
    let common = common(&profiles);
    let hosts = super::hosts::list(core, cx).await?;
    Ok(Choices { profiles, common, hosts, generations: Vec::new() })
}

/// `core` alone, then each profile with what it needs: what people most often build.
fn common(profiles: &Profiles) -> Vec<ProfileSet> {
    let mut sets: Vec<ProfileSet> = Vec::new();
    let alone = std::iter::once(String::new());
    let each = profiles.iter().map(|(name, meta)| {
        let names: Vec<&str> =
            std::iter::once(name.as_str()).chain(meta.needs.iter().map(|n| n.as_str())).collect();
        names.join(",")
    });
    for text in alone.chain(each) {
        if let Ok(set) = text.parse::<ProfileSet>()
            && !sets.contains(&set)
        {
            sets.push(set);
        }
    }
    sets.sort_by_key(|set| set.iter().count());
    sets
}

/// All images, newest first.
pub(super) async fn list(core: &Core, cx: &Cx) -> Result<Vec<ImageSummary>> {
    authorize(core, cx, Action::SeeImages, Subject::Portal, None).await?;
    let source = current_source(core).await;
    let mut conn = core.db.read().await?;
    let mut images = db::images::summaries(&mut conn, &source).await?;
    add_users(cx, &mut conn, &mut images).await?;
    Ok(images)
}

/// One image.
pub(super) async fn one(core: &Core, cx: &Cx, id: ImageId) -> Result<ImageSummary> {
    authorize(core, cx, Action::SeeImages, Subject::Portal, None).await?;
    let mut conn = core.db.read().await?;
    Ok(summary(core, cx, &mut conn, id).await?.ok_or_else(|| Fault::not_found("image"))?)
}

/// One image with its users, for an actor who has been authorised.
pub(super) async fn summary(
    core: &Core,
    cx: &Cx,
    conn: &mut Conn,
    id: ImageId,
) -> Result<Option<ImageSummary>> {
    let source = current_source(core).await;
    let mut image = db::images::summary(conn, id, &source).await?;
    add_users(cx, conn, image.as_mut_slice()).await?;
    Ok(image)
}

/// The machines that boot each image, or keep it to go back to: how many in all, by name those that the actor may see.
async fn add_users(cx: &Cx, conn: &mut Conn, images: &mut [ImageSummary]) -> Result<()> {
    let sees = visible(cx, Action::SeeMachine)?;
    let mut all = db::generations::users(conn).await?;
    for image in images {
        let users = all.remove(&image.id).unwrap_or_default();
        image.users = u32::try_from(users.len()).unwrap_or(u32::MAX);
        image.machines =
            users.into_iter().filter(|(_, owner)| sees.includes(*owner)).map(|(name, _)| name).collect();
    }
    Ok(())
}

/// The hash of the flake as it is now; nothing when the builder does not answer, and then no image is current.
async fn current_source(core: &Core) -> String {
    core.builder.source().await.unwrap_or_default()
}
