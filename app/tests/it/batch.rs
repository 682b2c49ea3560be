//! The page for many machines: sound whatever the text says, each error beside its cell, each button where it belongs.

use crate::html::{assert_sound, tags};
use crate::pages::{get, show};
use crate::world::{HOSTILE, ID, World, actor, plan};
use app::{FormState, routes};
use model::account::Role;
use model::fault::{Fault, FieldError};
use model::form::FormData;
use model::job::JobId;
use model::view::batch::{BatchCell, BatchProgress, BatchRow, BatchView};

fn cell(field: &'static str, label: &'static str, errors: &[&str]) -> BatchCell {
    let errors = errors.iter().map(|error| (*error).to_owned()).collect();
    BatchCell { field, label, text: HOSTILE.to_owned(), errors }
}

fn row(errors: &[&str], progress: BatchProgress) -> BatchRow {
    BatchRow {
        name: HOSTILE.to_owned(),
        cells: vec![cell("name", "Name", errors), cell("memory", "Memory", errors)],
        others: vec![cell("dns", "Name servers", errors)],
        errors: errors.iter().map(|error| (*error).to_owned()).collect(),
        warnings: vec![HOSTILE.to_owned()],
        plan: errors.is_empty().then(|| plan(HOSTILE, false)),
        progress,
    }
}

async fn posted(rows: Vec<BatchRow>, fault: Option<Fault>) -> String {
    let total = Some("Together 4 GiB of memory.".to_owned());
    let batch =
        BatchView { format: "CSV", digest: "d1".to_owned(), rows, warnings: vec![HOSTILE.to_owned()], total };
    let data = FormData(vec![("text".to_owned(), format!("\n{HOSTILE}"))]);
    let form = FormState { data, fault, batch: Some(Box::new(batch)), ..FormState::default() };
    let answer = get(World { machines: 3 }, actor(Role::Member), routes::NEW_BATCH, form).await;
    assert_sound("batch", &answer.html);
    answer.html
}

fn buttons(html: &str) -> Vec<String> {
    let buttons =
        tags(html).into_iter().filter(|tag| tag.name == "button" && tag.get("name") == Some("intent"));
    buttons.map(|button| button.get("value").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_is_right_can_be_created() {
    let html = posted(vec![row(&[], BatchProgress::Open), row(&[], BatchProgress::Open)], None).await;
    assert_eq!(buttons(&html), ["check_batch", "create_batch", "configure_batch"]);
    assert!(
        tags(&html).iter().any(|tag| tag.get("name") == Some("digest") && tag.get("value") == Some("d1"))
    );
    for said in
        ["2 machines, read as CSV. Nothing has been created yet.", "Create 2 machines", "Together 4 GiB"]
    {
        assert!(html.contains(said), "{said}");
    }
    assert!(
        html.contains("enctype=\"multipart/form-data\"") && html.contains("All machines: &lt;script&gt;")
    );
    // The first line feed belongs to the tag, so that the text begins as it was typed.
    assert!(html.contains(">\n\n&lt;script&gt;"), "{html}");
    let one = posted(vec![row(&[], BatchProgress::Open)], None).await;
    assert!(one.contains("Create 1 machine<") && one.contains("Only save the configuration<"));
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_cell_and_nothing_can_be_created() {
    let fault = Fault::invalid("machine", "1 of 2 machines has an error.");
    let rows = vec![row(&[], BatchProgress::Open), row(&["Too much."], BatchProgress::Open)];
    let html = posted(rows, Some(fault)).await;
    assert_eq!(buttons(&html), ["check_batch"]);
    assert!(html.contains("1 of 2 machines has an error.") && html.contains("href=\"#machine-2\""));
    assert_eq!(html.matches("class=\"field-error\">Too much.").count(), 4, "{html}");
    assert_eq!(tags(&html).iter().filter(|tag| tag.get("data-wrong").is_some()).count(), 1);
}

#[tokio::test]
async fn the_remaining_ones_can_be_tried_again_when_some_were_accepted() {
    let fault = Fault::invalid("machine", "1 machine was accepted, 1 were refused.");
    let job = JobId(ID);
    let rows =
        vec![row(&[], BatchProgress::Accepted(job)), row(&["You have 50 open jobs."], BatchProgress::Open)];
    let html = posted(rows, Some(fault)).await;
    assert_eq!(buttons(&html), ["check_batch", "create_batch", "configure_batch"]);
    assert!(html.contains("Create the remaining 1 machine") && html.contains(&routes::job(job)));
    let hidden = tags(&html).into_iter().filter(|tag| tag.get("name") == Some("accepted")).count();
    assert_eq!(hidden, 1, "it is not submitted a second time");
    let all = posted(vec![row(&[], BatchProgress::Before)], None).await;
    assert!(
        all.contains("Every machine of this text has been accepted.") && buttons(&all) == ["check_batch"]
    );
}

#[tokio::test]
async fn what_is_wrong_with_the_text_stands_below_it() {
    let fields =
        vec![FieldError::new("text", "Line 2: not this."), FieldError::new("text", "Line 3: nor this.")];
    let data = FormData(vec![("text".to_owned(), HOSTILE.to_owned())]);
    let form = FormState { data, fault: Some(Fault::invalid_fields(fields)), ..FormState::default() };
    let html = get(World { machines: 3 }, actor(Role::Member), routes::NEW_BATCH, form).await.html;
    assert_sound("batch", &html);
    for line in ["Line 2: not this.", "Line 3: nor this."] {
        assert!(html.contains(&format!("<p class=\"field-error\">{line}")), "{line}: {html}");
    }
    let area = tags(&html).into_iter().find(|tag| tag.name == "textarea").unwrap();
    assert!(area.get("aria-invalid") == Some("true") && area.get("autofocus").is_some());
}

#[tokio::test]
async fn both_pages_that_create_machines_lead_to_it() {
    for page in [routes::MACHINES, routes::NEW_MACHINE] {
        assert!(show(page).await.html.contains(&format!("href=\"{}\"", routes::NEW_BATCH)), "{page}");
    }
}
