//! `/images`: built images, and the forms that build one or several.

use super::{may, page};
use crate::cx::Cx;
use crate::islands::form_help::FormHelp;
use crate::parts::fields;
use crate::parts::form::FormView;
use crate::parts::frame::{Section, heading};
use crate::parts::profiles::composition;
use crate::parts::table::{Sorting, Table};
use crate::parts::{self, faults, job, table, time};
use crate::routes::{self, BUILD_FORM};
use leptos::prelude::*;
use model::fault::Fault;
use model::form::{self, FormData};
use model::image::ImageId;
use model::job::JobId;
use model::machine::Mode;
use model::newtype::Refused;
use model::operation::{Operation, OperationKind};
use model::permission::Action;
use model::portal::Choices;
use model::size::Bytes;
use model::sort::{Column, Sort};
use model::view::image::ImageSummary;
use model::view::job::FailedJob;
use std::collections::HashMap;

const KIND: OperationKind = OperationKind::Build;
const TABLE: Table<'static, ImageSummary> = Table {
    caption: "Images",
    class: "images",
    columns: &[
        Column::sorted("Image", "image", |a, b| composition(&a.profiles).cmp(&composition(&b.profiles))),
        Column::sorted("Mode", "mode", |a, b| a.mode.cmp(&b.mode)),
        Column::sorted("Size", "size", |a, b| a.size.cmp(&b.size)),
        Column::sorted("Built", "built", |a, b| a.built.cmp(&b.built)),
        Column::sorted("Used by", "users", |a, b| a.users.cmp(&b.users)),
        Column::plain("Action"),
    ],
};

#[component]
pub fn Images() -> impl IntoView {
    page(Section::Images, |cx| async move {
        let images = cx.portal.images(&cx.actor).await?;
        let choices = cx.portal.choices(&cx.actor).await?;
        let labels = KIND.row().form.labels();
        let data = values(&cx).await?;
        let forecast = forecast(&cx, &data).await?;
        let jump =
            view! { <a class="button primary" href=format!("#{BUILD_FORM}")>"Build an image"</a> }.into_any();
        Ok(view! {
            {heading("Images", jump)}
            {faults::summary(&cx.form, &labels)}
            {not_removed(&images)}
            {list(&cx, images)}
            {build(&cx, &data, &choices, &labels, forecast)}
            <FormHelp form=BUILD_FORM.to_owned() kind=KIND/>
            {common(&choices)}
        }
        .into_any())
    })
}

/// The images that the user has failed to remove.
fn not_removed(images: &[ImageSummary]) -> Vec<AnyView> {
    let failed = images.iter().filter(|image| image.users == 0).filter_map(|image| {
        let title = format!("Remove image {}", composition(&image.profiles));
        Some(job::failed(&FailedJob { title, ..image.failed_removal.clone()? }).into_any())
    });
    failed.collect()
}

fn list(cx: &Cx, images: Vec<ImageSummary>) -> AnyView {
    if images.is_empty() {
        return table::empty("No images yet. A new machine builds the one it needs.", None);
    }
    let may_remove = may(cx, Action::Operate(OperationKind::RemoveImage));
    let previous = previous(&images);
    let row = |image: &ImageSummary| row(image, previous.get(&image.id).copied(), may_remove);
    Sorting::whole(cx, &TABLE, Sort::by("built", true), images, row)
}

/// For each image the one of the same profiles and mode that was built before it.
fn previous(images: &[ImageSummary]) -> HashMap<ImageId, ImageId> {
    let mut sorted: Vec<&ImageSummary> = images.iter().collect();
    sorted.sort_by_key(|image| (&image.profiles, image.mode, image.built, image.id));
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    let alike = pairs.filter(|(older, newer)| older.profiles == newer.profiles && older.mode == newer.mode);
    alike.map(|(older, newer)| (newer.id, older.id)).collect()
}

fn row(image: &ImageSummary, previous: Option<ImageId>, may_remove: bool) -> AnyView {
    let note = |text: String| view! { <span class="note">{text}</span> };
    let age = (!image.current).then(|| note("from an older source".to_owned()));
    let size = Bytes(image.size).to_string();
    let closure = image.closure_size.map(|size| Bytes(size).to_string()).filter(|closure| *closure != size);
    let closure = closure.map(|closure| note(format!("{closure} with dependencies")));
    view! {
        <tr>
            <th scope="row">{composition(&image.profiles)}" "{age}</th>
            <td data-label="Mode">{image.mode.title()}</td>
            <td data-label="Size">{size}" "{closure}</td>
            <td data-label="Built">
                {time::relative(image.built)}
                " "
                {image.built_by.as_ref().map(|by| note(format!("by {by}")))}
                {previous.map(|older| comparison(image, older))}
            </td>
            <td data-label="Used by">{used_by(image)}</td>
            <td class="row-action">{removal(image, may_remove)}</td>
        </tr>
    }
    .into_any()
}

fn comparison(image: &ImageSummary, older: ImageId) -> impl IntoView + use<> {
    let label = format!("Compare image {} with the previous one", composition(&image.profiles));
    view! {
        <span class="note">
            <a href=routes::image_diff(older, image.id) aria-label=label>"Compare with the previous image"</a>
        </span>
    }
}

/// The machines that use it: by name where the actor may see them, the others as a number.
fn used_by(image: &ImageSummary) -> AnyView {
    if image.users == 0 {
        return view! { <span class="none">"None"</span> }.into_any();
    }
    let links = image.machines.iter().map(|name| {
        view! { <a href=routes::machine(name)>{name.to_string()}</a>" " }
    });
    let others = (image.users as usize).saturating_sub(image.machines.len());
    let others = (others > 0).then(|| view! { <span class="note">{format!("{others} more")}</span> });
    view! { {links.collect_view()}{others} }.into_any()
}

fn removal(image: &ImageSummary, may_remove: bool) -> AnyView {
    if image.users > 0 {
        return view! { <span class="note">"In use"</span> }.into_any();
    }
    if !may_remove {
        return view! { <span class="note">"Only administrators remove images"</span> }.into_any();
    }
    let label = format!("Remove image {}", composition(&image.profiles));
    view! { <a class="button" href=routes::remove_image(image.id) aria-label=label>"Remove…"</a> }.into_any()
}

/// The form's values: those posted, those of the job to try again, or the defaults.
async fn values(cx: &Cx) -> Result<FormData, Fault> {
    if cx.form.is(KIND.as_str()) {
        return Ok(cx.form.data.clone());
    }
    if asks_forecast(cx) {
        return Ok(cx.query_form());
    }
    match cx.query_as::<JobId>("job") {
        Some(job) => cx.portal.form_of_job(&cx.actor, job).await,
        None => Ok(form::defaults(KIND)),
    }
}

/// Whether the form was sent to learn what its image would take: by GET, so that the page can be loaded again until Nix has
/// answered.
fn asks_forecast(cx: &Cx) -> bool {
    cx.form.data.0.is_empty() && !cx.query(routes::FORECAST).is_empty()
}

/// What the image would take, if somebody wants to know.
async fn forecast(cx: &Cx, data: &FormData) -> Result<Option<AnyView>, Fault> {
    if !asks_forecast(cx) {
        return Ok(None);
    }
    let mut data = data.clone();
    data.set("intent", KIND.as_str());
    let view = match form::operations(&data, &|_| Err(Refused::new("No password is needed here."))) {
        Err(mistakes) => {
            let words: Vec<String> = mistakes.into_iter().map(|mistake| mistake.message).collect();
            view! { <p class="field-error">{words.join(" ")}</p> }.into_any()
        }
        Ok(operations) => match operations.first() {
            Some(Operation::Build { profiles, mode }) => {
                parts::forecast::forecast(&cx.portal.forecast(&cx.actor, profiles, *mode).await?).into_any()
            }
            _ => return Ok(None),
        },
    };
    Ok(Some(view))
}

/// The form that builds one image of the selected profiles, or one of each.
fn build(
    cx: &Cx,
    data: &FormData,
    choices: &Choices,
    labels: faults::Labels<'_>,
    forecast: Option<AnyView>,
) -> AnyView {
    let form = FormView::new(data, &cx.form, choices, labels);
    let again = format!("{}#{BUILD_FORM}", routes::IMAGES);
    let groups: Vec<AnyView> =
        KIND.row().form.groups().iter().map(|group| fields::group(&form, group)).collect();
    view! {
        <form method="post" id=BUILD_FORM class="stack wide" novalidate>
            <h2>"Build an image"</h2>
            <input type="hidden" name="intent" value=KIND.as_str()/>
            {groups}
            {forecast}
            <div class="buttons">
                <button class="button primary">"Build one image"</button>
                <button class="button" name="each" value="true">"Build one image per profile"</button>
                <button class="button" formmethod="get" formaction=again name=routes::FORECAST value="true">
                    "Show what one would take"
                </button>
            </div>
        </form>
    }
    .into_any()
}

/// Combinations that people commonly want. None is selected at first: each is a build of minutes and gigabytes.
fn common(choices: &Choices) -> Option<AnyView> {
    if choices.common.is_empty() {
        return None;
    }
    let boxes = choices.common.iter().map(|set| {
        view! {
            <label class="tick">
                <input type="checkbox" name="set" value=set.to_string()/>
                <span>{composition(set)}</span>
            </label>
        }
    });
    let modes = Mode::ALL.into_iter().map(|mode| {
        view! { <option value=mode.as_str()>{mode.title()}</option> }
    });
    Some(
        view! {
            <form method="post" class="card stack">
                <h2>"Common combinations"</h2>
                <p class="help">"Builds the selected ones in advance, so that new machines with these profiles start at once."</p>
                <input type="hidden" name="intent" value=KIND.as_str()/>
                // With nothing selected nothing is built; without this field, core would be.
                <input type="hidden" name="each" value="true"/>
                <div class="ticks">{boxes.collect_view()}</div>
                <div class="buttons">
                    <label class="beside">"Mode "<select name="mode">{modes.collect_view()}</select></label>
                    <button class="button">"Build selected"</button>
                </div>
            </form>
        }
        .into_any(),
    )
}
