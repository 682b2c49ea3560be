//! What another system would change: the packages that differ, or what has to be built before that is known.

use crate::cx::Cx;
use crate::parts::{closure, forecast};
use leptos::prelude::*;
use model::fault::Fault;
use model::image::ImageId;
use model::operation::OperationKind;
use model::view::machine::MachineDetail;

/// For the plan of an upgrade, and for each generation that the machine can go back to; nothing for other operations.
pub async fn what_changes(
    cx: &Cx,
    kind: OperationKind,
    machine: &MachineDetail,
) -> Result<Option<AnyView>, Fault> {
    let Some(current) = machine.generations.iter().find(|generation| generation.is_current) else {
        return Ok(None);
    };
    let told = match (kind, machine.next_image) {
        (OperationKind::Upgrade, Some(next)) => difference(cx, current.image, next).await?,
        (OperationKind::Upgrade, None) => {
            let (profiles, mode) = (&machine.spec.profiles, machine.applied.mode);
            forecast::forecast(&cx.portal.forecast(&cx.actor, profiles, mode).await?).into_any()
        }
        (OperationKind::RollBack, _) => {
            let mut all = Vec::new();
            for other in machine.generations.iter().filter(|generation| !generation.is_current) {
                let told = difference(cx, current.image, other.image).await?;
                all.push(view! { <p class="note">{format!("Generation {}", other.number)}</p>{told} });
            }
            all.into_any()
        }
        _ => return Ok(None),
    };
    Ok(Some(view! { <div class="what-changes"><h3>"Packages"</h3>{told}</div> }.into_any()))
}

/// From one image to another, in a line that unfolds.
async fn difference(cx: &Cx, from: ImageId, to: ImageId) -> Result<AnyView, Fault> {
    let diff = cx.portal.closure_diff(&cx.actor, from, to).await?;
    Ok(match &diff.closure {
        Ok(diff) => closure::fold(diff),
        Err(why) => view! { <p class="note">{why.clone()}</p> }.into_any(),
    })
}
