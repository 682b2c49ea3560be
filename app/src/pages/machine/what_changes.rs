//! What another system would change: the packages that differ, or what has to be built before that is known.

use crate::cx::Cx;
use crate::parts::{closure, forecast};
use leptos::prelude::*;
use model::fault::Fault;
use model::form::FormData;
use model::image::ImageId;
use model::machine::GenerationNumber;
use model::operation::OperationKind;
use model::view::machine::MachineDetail;

/// For the plan of an upgrade or of going back; nothing for other operations.
pub async fn what_changes(
    cx: &Cx,
    kind: OperationKind,
    machine: &MachineDetail,
    data: &FormData,
) -> Result<Option<AnyView>, Fault> {
    let current = machine.generations.iter().find(|generation| generation.is_current);
    let (Some(current), Some(to)) = (current, other(kind, machine, data)) else { return Ok(None) };
    let told = match to {
        Some(to) => {
            let diff = cx.portal.closure_diff(&cx.actor, current.image, to).await?;
            match &diff.closure {
                Ok(diff) => closure::fold(diff),
                Err(why) => view! { <p class="note">{why.clone()}</p> }.into_any(),
            }
        }
        None => {
            let spec = &machine.spec;
            forecast::forecast(&cx.portal.forecast(&cx.actor, &spec.profiles, spec.mode).await?).into_any()
        }
    };
    Ok(Some(view! { <h3>"Packages"</h3>{told} }.into_any()))
}

/// The image that would be booted, if the operation boots another one and that has been built.
fn other(kind: OperationKind, machine: &MachineDetail, data: &FormData) -> Option<Option<ImageId>> {
    match kind {
        OperationKind::Upgrade => Some(machine.next_image),
        OperationKind::RollBack => {
            let chosen: GenerationNumber = data.get("generation").parse().ok()?;
            let chosen = machine.generations.iter().find(|generation| generation.number == chosen)?;
            Some(Some(chosen.image))
        }
        _ => None,
    }
}
