//! Queries about images and profiles.

use crate::authorize::{authorize, visible};
use crate::core::Core;
use crate::cx::Cx;
use crate::db::{self, Conn};
use crate::error::{Result, chain};
use model::Fault;
use model::account::UserId;
use model::closure::ClosureDiff;
use model::forecast::{Forecast, Outlook};
use model::image::{ImageId, ProfileSet, Profiles, conflicts};
use model::machine::{MachineName, Mode};
use model::permission::{Action, Subject};
use model::portal::Choices;
use model::view::image::{ImageDiff, ImageSummary};
use ports::image_builder::ImageKey;
use std::path::Path;

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
    let mut users = db::generations::users(&mut conn).await?;
    let mut failed = db::jobs::failed_removals(&mut conn, cx.user()?.id).await?;
    for image in &mut images {
        add_users(cx, image, users.remove(&image.id).unwrap_or_default())?;
        image.failed_removal = failed.remove(&image.id);
    }
    Ok(images)
}

/// One image.
pub(super) async fn one(core: &Core, cx: &Cx, id: ImageId) -> Result<ImageSummary> {
    authorize(core, cx, Action::SeeImages, Subject::Portal, None).await?;
    let mut conn = core.db.read().await?;
    Ok(summary(core, cx, &mut conn, id).await?.ok_or_else(|| Fault::not_found("image"))?)
}

/// What building an image would take, as far as it is known now.
pub(super) async fn forecast(core: &Core, cx: &Cx, profiles: &ProfileSet, mode: Mode) -> Result<Forecast> {
    authorize(core, cx, Action::SeeImages, Subject::Portal, None).await?;
    let mut times = db::images::build_times(&mut *core.db.read().await?, profiles, mode).await?;
    times.sort_unstable();
    let usual = times.get(times.len() / 2).copied();
    Ok(Forecast { outlook: outlook(core, profiles, mode).await?, usual })
}

/// What there is to do for an image; what cannot be built is not evaluated.
async fn outlook(core: &Core, profiles: &ProfileSet, mode: Mode) -> Result<Outlook> {
    let latest = core.catalogue.latest().await;
    let source = match (latest.source, latest.failure) {
        (Err(failure), _) | (Ok(_), Some(failure)) => {
            return Ok(Outlook::Unknown(format!("{}.", failure.what)));
        }
        (Ok(source), None) => source,
    };
    if let Some(why) = conflicts(&latest.profiles, profiles, mode).into_iter().next() {
        return Ok(Outlook::Unknown(why));
    }
    let key = ImageKey { profiles: profiles.clone(), mode, source };
    match db::images::by_key(&mut *core.db.read().await?, &key).await? {
        Some(_) => Ok(Outlook::Built),
        None => Ok(core.forecasts.latest(&key)),
    }
}

/// Two images and how they differ.
pub(super) async fn diff(core: &Core, cx: &Cx, from: ImageId, to: ImageId) -> Result<ImageDiff> {
    let (from, to) = (one(core, cx, from).await?, one(core, cx, to).await?);
    let closure = compare(core, &from, &to).await;
    Ok(ImageDiff { from, to, closure })
}

/// What changes in the closure, or why that is not known: no reason to show nothing of the images.
async fn compare(
    core: &Core,
    from: &ImageSummary,
    to: &ImageSummary,
) -> std::result::Result<ClosureDiff, String> {
    let (first, second) = (Path::new(&from.store_path), Path::new(&to.store_path));
    let closures = tokio::try_join!(core.builder.closure(first), core.builder.closure(second));
    let closures = closures.map_err(|error| {
        tracing::warn!(error = chain(&error), "the closures of two images cannot be compared");
        error.to_string()
    })?;
    let which = match closures {
        (Some(from), Some(to)) => {
            // Tens of thousands of packages on each side.
            let compared = tokio::task::spawn_blocking(move || from.diff(&to)).await;
            return compared
                .map_err(|_| "The portal is being stopped. Try again when it is back.".to_owned());
        }
        (None, None) => "Both images were built before images listed their packages",
        (None, Some(_)) => "The first image was built before images listed their packages",
        (Some(_), None) => "The second image was built before images listed their packages",
    };
    Err(format!("{which}, so there is nothing to compare. Images built from now on have such a list."))
}

/// One image with its users, for an actor who has been authorised.
pub(super) async fn summary(
    core: &Core,
    cx: &Cx,
    conn: &mut Conn,
    id: ImageId,
) -> Result<Option<ImageSummary>> {
    let source = current_source(core).await;
    let Some(mut image) = db::images::summary(conn, id, &source).await? else { return Ok(None) };
    add_users(cx, &mut image, db::generations::users_of(conn, id).await?)?;
    Ok(Some(image))
}

/// Notes an image's users: how many in all, by name those that the actor may see.
fn add_users(cx: &Cx, image: &mut ImageSummary, users: Vec<(MachineName, UserId)>) -> Result<()> {
    let sees = visible(cx, Action::SeeMachine)?;
    image.users = u32::try_from(users.len()).unwrap_or(u32::MAX);
    image.machines =
        users.into_iter().filter(|(_, owner)| sees.includes(*owner)).map(|(name, _)| name).collect();
    Ok(())
}

/// The hash of the flake as it is now; nothing when the builder does not answer, and then no image is current.
async fn current_source(core: &Core) -> String {
    core.builder.source().await.unwrap_or_default()
}
