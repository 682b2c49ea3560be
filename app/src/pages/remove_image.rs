//! `/images/{id}/remove`: the plan for removing an image, and the button.

use super::page;
use crate::parts::frame::{Section, heading};
use crate::parts::profiles::composition;
use crate::parts::{faults, plan};
use crate::routes;
use leptos::prelude::*;
use model::image::ImageId;
use model::operation::{Operation, OperationKind};

#[component]
pub fn RemoveImage() -> impl IntoView {
    page(Section::Images, |cx| async move {
        let id: ImageId = cx.param("id", "image")?;
        let image = cx.portal.image(&cx.actor, id).await?;
        let shown = cx.portal.plan(&cx.actor, &Operation::RemoveImage { image: id }).await?;
        let kind = OperationKind::RemoveImage;
        Ok(view! {
            {heading("Remove image", ().into_any())}
            {faults::summary(&cx.form, &[])}
            <section class="card">
                <h2>{format!("{} · {}", composition(&image.profiles), image.mode.title())}</h2>
                {plan::plan(&shown)}
                <form method="post" class="buttons">
                    <input type="hidden" name="image" value=id.to_string()/>
                    <input type="hidden" name="digest" value=shown.digest().to_string()/>
                    <button class="button danger" name="intent" value=kind.as_str()>{kind.title()}</button>
                    <a class="button" href=routes::IMAGES>"Cancel"</a>
                </form>
            </section>
        }
        .into_any())
    })
}
