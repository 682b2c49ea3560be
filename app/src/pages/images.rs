//! `/images`: built images, and the forms that build one, several, or the common ones.

use super::{may, page};
use crate::cx::Cx;
use crate::islands::form_help::FormHelp;
use crate::parts::fields::FormView;
use crate::parts::frame::{Section, heading};
use crate::parts::profiles::composition;
use crate::parts::{faults, table, time};
use crate::routes::{self, BUILD_FORM};
use leptos::prelude::*;
use model::fault::Fault;
use model::form::{self, FormData};
use model::job::JobId;
use model::machine::Mode;
use model::operation::OperationKind;
use model::permission::Action;
use model::portal::Choices;
use model::size::Bytes;
use model::view::image::ImageSummary;

const KIND: OperationKind = OperationKind::Build;
const COLUMNS: [&str; 6] = ["Image", "Mode", "Size", "Built", "Used by", "Action"];

/// The images.
#[component]
pub fn Images() -> impl IntoView {
    page(Section::Images, |cx| async move {
        let images = cx.portal.images(&cx.actor).await?;
        let choices = cx.portal.choices(&cx.actor).await?;
        let names = KIND.row().field_names();
        let data = values(&cx).await?;
        let done = [("remove_image", "The image is removed; Nix may collect what only it needed.")];
        let jump =
            view! { <a class="button primary" href=format!("#{BUILD_FORM}")>"Build an image"</a> }.into_any();
        Ok(view! {
            {heading("Images", jump)}
            {faults::done(&cx, &done)}
            {faults::summary(&cx.form, &names)}
            {list(&images, may(&cx, Action::Operate(OperationKind::RemoveImage)))}
            {build(&cx, &data, &choices, &names)}
            <FormHelp form=BUILD_FORM.to_owned() kind=KIND/>
            {common(&choices)}
        }
        .into_any())
    })
}

fn list(images: &[ImageSummary], may_remove: bool) -> AnyView {
    if images.is_empty() {
        return table::empty("No image is built yet. A new machine builds the one it needs.", None);
    }
    let rows = images.iter().map(|image| row(image, may_remove)).collect_view();
    table::table("Images", &COLUMNS, "images", rows.into_any())
}

fn row(image: &ImageSummary, may_remove: bool) -> AnyView {
    let note = |text: String| view! { <span class="note">{text}</span> };
    let age = (!image.current).then(|| note("from older profiles".to_owned()));
    let size = Bytes(image.size).to_string();
    let closure = image.closure_size.map(|size| Bytes(size).to_string()).filter(|closure| *closure != size);
    let closure = closure.map(|closure| note(format!("{closure} with all it needs")));
    view! {
        <tr>
            <th scope="row">{composition(&image.profiles)}" "{age}</th>
            <td data-label="Mode">{image.mode.title()}</td>
            <td data-label="Size">{size}" "{closure}</td>
            <td data-label="Built">
                {time::relative(image.built)}
                " "
                {image.built_by.as_ref().map(|by| note(format!("by {by}")))}
            </td>
            <td data-label="Used by">{used_by(image)}</td>
            <td class="row-action">{removal(image, may_remove)}</td>
        </tr>
    }
    .into_any()
}

/// The machines that boot it: those that the actor may see by name, the others as a number.
fn used_by(image: &ImageSummary) -> AnyView {
    if image.users == 0 {
        return view! { <span class="none">"no machine"</span> }.into_any();
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
        return view! { <span class="note">"in use"</span> }.into_any();
    }
    if !may_remove {
        return view! { <span class="note">"administrators remove images"</span> }.into_any();
    }
    let label = format!("Remove image {}", composition(&image.profiles));
    view! { <a class="button" href=routes::remove_image(image.id) aria-label=label>"Remove…"</a> }.into_any()
}

/// What the form holds: what was posted; or what led to the job that is being tried again; or what a new form holds.
async fn values(cx: &Cx) -> Result<FormData, Fault> {
    if cx.form.is(KIND.as_str()) {
        return Ok(cx.form.data.clone());
    }
    match cx.query_as::<JobId>("job") {
        Some(job) => cx.portal.form_of_job(&cx.actor, job).await,
        None => Ok(form::defaults(KIND)),
    }
}

/// Ticked profiles make one image, or one each.
fn build(cx: &Cx, data: &FormData, choices: &Choices, names: &[&str]) -> AnyView {
    let form = FormView::new(data, &cx.form, choices, names);
    let groups: Vec<AnyView> = (KIND.row().form)().iter().map(|group| form.group(group)).collect();
    view! {
        <form method="post" id=BUILD_FORM class="stack wide" novalidate>
            <h2>"Build an image"</h2>
            <input type="hidden" name="intent" value=KIND.as_str()/>
            {groups}
            <div class="buttons">
                <button class="button primary">"Build one image of these"</button>
                <button class="button" name="each" value="true">"Build one image each"</button>
            </div>
        </form>
    }
    .into_any()
}

/// The combinations that people commonly want; all of them are ticked at first.
fn common(choices: &Choices) -> Option<AnyView> {
    if choices.common.is_empty() {
        return None;
    }
    let boxes = choices.common.iter().map(|set| {
        view! {
            <label class="tick">
                <input type="checkbox" name="set" value=set.to_string() checked/>
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
                <p class="help">"Builds every ticked one, so that new machines of that kind start at once."</p>
                <input type="hidden" name="intent" value=KIND.as_str()/>
                // With nothing ticked, nothing is built: without this field, core alone would be.
                <input type="hidden" name="each" value="true"/>
                <div class="ticks">{boxes.collect_view()}</div>
                <div class="buttons">
                    <label class="beside">"Mode "<select name="mode">{modes.collect_view()}</select></label>
                    <button class="button">"Build these"</button>
                </div>
            </form>
        }
        .into_any(),
    )
}
