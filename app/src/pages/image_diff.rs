//! `/images/{id}/diff/{to}`: what changes from one image to another.

use super::page;
use crate::parts::frame::{Section, heading};
use crate::parts::profiles::composition;
use crate::parts::{closure, time};
use crate::routes;
use leptos::prelude::*;
use model::image::ImageId;
use model::size::Bytes;
use model::view::image::ImageSummary;

#[component]
pub fn ImageDiff() -> impl IntoView {
    page(Section::Images, |cx| async move {
        let from: ImageId = cx.param("id", "image")?;
        let to: ImageId = cx.param("to", "image")?;
        let diff = cx.portal.closure_diff(&cx.actor, from, to).await?;
        let back = view! { <a class="button" href=routes::IMAGES>"All images"</a> }.into_any();
        let what = match &diff.closure {
            Ok(closure) => closure::whole(closure),
            Err(why) => closure::unknown(why),
        };
        Ok(view! {
            {heading("Compare images", back)}
            <dl class="facts card">
                {image("From", &diff.from)}
                {image("To", &diff.to)}
            </dl>
            {what}
        }
        .into_any())
    })
}

fn image(term: &'static str, image: &ImageSummary) -> impl IntoView + use<> {
    let by = image.built_by.as_ref().map(|by| format!(" by {by}"));
    view! {
        <div>
            <dt>{term}</dt>
            <dd>
                {format!("{} · {} · {}", composition(&image.profiles), image.mode.title(), Bytes(image.size))}
                ", built "
                {time::relative(image.built)}
                {by}
            </dd>
        </div>
    }
}
