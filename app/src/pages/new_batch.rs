//! `/machines/new/batch`: many machines from one text, checked first and then created as a job each.

use super::page;
use crate::cx::Cx;
use crate::parts::batch;
use crate::parts::faults::{self, field_id};
use crate::parts::frame::{Section, heading};
use crate::parts::table;
use crate::parts::verbatim::escape;
use crate::routes;
use leptos::prelude::*;
use model::fault::Fault;
use model::operation::OperationKind;
use model::view::batch::{BatchProgress, BatchView};

/// The field with the text, which a file can hold as well.
const TEXT: &str = "text";

/// One machine in each of the formats that are understood.
const EXAMPLES: [(&str, &str); 4] = [
    (
        "CSV, also from a spreadsheet",
        "name,profiles,memory,disk,tcp_ports
web-1,docker;python,4096,30,22;80;443
web-2,docker,2G,30,22;80",
    ),
    (
        "TOML",
        r#"[defaults]
memory = 4096

[[machine]]
name = "web-1"
profiles = ["docker", "python"]
tcp_ports = [22, 80, 443]"#,
    ),
    (
        "JSON, with or without defaults",
        r#"{
  "defaults": {"memory": 4096},
  "machines": [{"name": "web-1", "profiles": ["docker"]}]
}"#,
    ),
    (
        "Commands of nixos-vm-template",
        "just create-batch web-1 docker,python 4096 4 50G nat
create-batch web-2 memory=2048 static_ip=192.168.1.20/24,192.168.1.1",
    ),
];

#[component]
pub fn NewBatch() -> impl IntoView {
    page(Section::Machines, |cx| async move {
        let choices = cx.portal.choices(&cx.actor).await?;
        let one = view! { <a class="button" href=routes::NEW_MACHINE>"Only one"</a> }.into_any();
        if choices.hosts.is_empty() {
            return Ok(view! {
                {heading(TITLE, one)}
                {table::empty(
                    "No host is configured, so there is nowhere to create machines.",
                    Some((routes::HOSTS, "View hosts")),
                )}
            }
            .into_any());
        }
        let create = cx.form.batch.as_ref().and_then(|batch| buttons(batch));
        Ok(view! {
            {heading(TITLE, one)}
            {outcome(&cx)}
            <form method="post" enctype="multipart/form-data" class="stack wide" novalidate>
                {text(&cx, create.is_none())}
                {cx.form.batch.as_ref().map(|batch| checked(batch, create))}
            </form>
            {formats()}
        }
        .into_any())
    })
}

const TITLE: &str = "Create several machines";

/// What has become of what was posted, in a sentence.
fn outcome(cx: &Cx) -> AnyView {
    let Some(batch) = &cx.form.batch else { return faults::summary(&cx.form, &[(TEXT, "")]) };
    let (tone, sentence) = match &cx.form.fault {
        Some(fault) => ("bad", fault.to_string()),
        None if batch.open() == 0 => ("ok", "Every machine of this text has been accepted.".to_owned()),
        None => ("ok", format!("{}. Nothing has been created yet.", read_as(batch))),
    };
    let role = if tone == "bad" { "alert" } else { "status" };
    let wrong = (batch.wrong() > 0).then(|| batch::links_to_wrong(batch));
    let corrigible = wrong.is_some().then_some("");
    view! {
        <div class="notice" data-tone=tone role=role tabindex="-1" autofocus=true data-mistakes=corrigible>
            <p><strong>{sentence}</strong></p>
            {wrong}
        </div>
    }
    .into_any()
}

fn read_as(batch: &BatchView) -> String {
    match batch.rows.len() {
        1 => format!("1 machine, read as {}", batch.format),
        several => format!("{several} machines, read as {}", batch.format),
    }
}

/// The text and the file, and what is wrong with them as a whole; checking it `is_next`, or something else is.
fn text(cx: &Cx, is_next: bool) -> AnyView {
    let errors: Vec<String> = match &cx.form.fault {
        Some(Fault::Invalid { fields }) => {
            fields.iter().filter(|error| error.field == TEXT).map(|error| error.message.clone()).collect()
        }
        _ => Vec::new(),
    };
    let invalid = (!errors.is_empty()).then_some("true");
    let errors = errors.into_iter().map(|error| view! { <p class="field-error">{error}</p> }).collect_view();
    let check = if is_next { "button primary" } else { "button" };
    // The first line feed after the tag would be left out (WHATWG HTML §13.1.2.5).
    let written = format!("\n{}", escape(cx.form.data.raw(TEXT)));
    view! {
        <section class="card">
            <div class="field">
                <label for=field_id("file")>"File"</label>
                <input
                    id=field_id("file") name=TEXT type="file" accept=".csv,.tsv,.toml,.json,.txt,.sh"
                    aria-describedby="file-help"
                />
                <p class="help" id="file-help">"A file that is chosen here replaces the text below."</p>
            </div>
            <div class="field">
                <label for=field_id(TEXT)>"Machines"</label>
                <textarea
                    id=field_id(TEXT) name=TEXT rows="10" wrap="off" autocomplete="off" autocapitalize="none"
                    spellcheck="false" aria-invalid=invalid aria-describedby="text-help text-error"
                    autofocus=invalid.is_some()
                >
                    {written}
                </textarea>
                <p class="help" id="text-help">
                    "CSV, TOML, JSON or create-batch commands: the page recognises which. At most 100 machines."
                </p>
                <div id="text-error">{errors}</div>
            </div>
            <div class="buttons">
                <button class=check name="intent" value="check_batch">"Check"</button>
            </div>
        </section>
    }
    .into_any()
}

/// The machines of the text, and the buttons that create them.
fn checked(batch: &BatchView, create: Option<AnyView>) -> AnyView {
    // Posted again, so that what was accepted is not submitted a second time.
    let accepted = batch.rows.iter().filter(|row| !row.is_open()).map(|row| {
        view! { <input type="hidden" name="accepted" value=row.name.clone()/> }
    });
    let warnings =
        batch.warnings.iter().map(|warning| view! { <li>{format!("All machines: {warning}")}</li> });
    let warnings: Vec<_> = warnings.collect();
    let warnings =
        (!warnings.is_empty()).then(|| view! { <ul class="notice" data-tone="warn">{warnings}</ul> });
    view! {
        <h2>{read_as(batch)}</h2>
        {accepted.collect_view()}
        {warnings}
        {batch::table(batch)}
        {batch.total.clone().map(|total| view! { <p>{total}</p> })}
        {create}
    }
    .into_any()
}

/// What creates the machines, if nothing is wrong with any, or what tries the refused ones again.
fn buttons(batch: &BatchView) -> Option<AnyView> {
    let was_refused = batch.rows.iter().any(|row| matches!(row.progress, BatchProgress::Accepted(_)));
    if batch.open() == 0 || (batch.wrong() > 0 && !was_refused) {
        return None;
    }
    let remaining = if batch.open() < batch.rows.len() { "the remaining " } else { "" };
    let (create, save) = match batch.open() {
        1 => (format!("Create {remaining}1 machine"), "Only save the configuration".to_owned()),
        open => (format!("Create {remaining}{open} machines"), "Only save the configurations".to_owned()),
    };
    Some(
        view! {
            <input type="hidden" name="digest" value=batch.digest.clone()/>
            <div class="buttons">
                <button class="button primary" name="intent" value="create_batch">{create}</button>
                <button class="button" name="intent" value="configure_batch">{save}</button>
            </div>
        }
        .into_any(),
    )
}

/// What can be written, with an example of each format and the names that are known.
fn formats() -> AnyView {
    let examples = EXAMPLES.map(|(title, text)| view! { <h3>{title}</h3><pre class="example">{text}</pre> });
    let fields = OperationKind::Create.row().form.groups().into_iter().flat_map(|group| group.fields);
    let fields = fields.map(|field| {
        view! { <div><dt><code>{field.name}</code></dt><dd>{field.label}</dd></div> }
    });
    view! {
        <details class="card formats">
            <summary>"Formats and names"</summary>
            {examples.into_iter().collect_view()}
            <p>
                "What is left out is as in the form for a new machine. In a text, items of a list are separated by semicolons or line \
                 breaks; “-” is an empty list. Memory is in MiB and the disk in GiB, if no unit such as G is written."
            </p>
            <dl class="facts">{fields.collect_view()}</dl>
        </details>
    }
    .into_any()
}
