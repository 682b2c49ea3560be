//! What each operation consists of: the table of operations and their steps on one page.
//!
//! A mark behind each step says what becomes of it when a later one fails or somebody cancels: [`After::Nothing`] (there is
//! nothing to undo), [`After::Undo`] (it is undone, in reverse order), [`After::Forward`] (it cannot be undone; it is tried again
//! for a while, and what comes after it is left for the next attempt).
//!
//! To add an operation: a variant in `model::operation`, its row here, its steps in `steps/`, its words in `plan.rs`.

use crate::job::step::{After, Cell, Step};
use model::operation::OperationKind;

/// The steps of an operation, in order.
pub(crate) const fn steps(kind: OperationKind) -> &'static [Cell] {
    use After::{Forward, Nothing, Undo};
    use OperationKind as Op;
    use Step as S;
    match kind {
        Op::Build => &[(S::ImageBuild, Nothing)],
        Op::Create => &[
            (S::RecordNew, Undo),
            (S::ImageBuild, Nothing),
            (S::DisksCreate, Undo),
            (S::IdentityWrite, Nothing),
            (S::DefinitionPut, Undo),
            (S::PowerStart, Undo),
            (S::AddressAwait, Nothing),
        ],
        Op::Configure => &[(S::RecordNew, Undo)],
        Op::Provision => &[
            (S::ImageBuild, Nothing),
            (S::DisksCreate, Undo),
            (S::IdentityWrite, Nothing),
            (S::DefinitionPut, Undo),
            (S::PowerStart, Undo),
            (S::AddressAwait, Nothing),
        ],
        Op::Start => &[(S::PowerStart, Nothing)],
        Op::ShutDown => &[(S::PowerShutDown, Nothing)],
        Op::Reboot => &[(S::PowerReboot, Nothing)],
        Op::ForceOff => &[(S::PowerForceOff, Nothing)],
        Op::Suspend => &[(S::PowerSuspend, Nothing)],
        Op::Resume => &[(S::PowerResume, Nothing)],
        Op::Destroy => &[(S::PowerKill, Forward), (S::DefinitionRemove, Forward), (S::DisksRetire, Forward)],
        Op::Purge => &[
            (S::PowerKill, Forward),
            (S::DefinitionRemove, Forward),
            (S::DisksRetire, Forward),
            (S::RecordForget, Forward),
        ],
        Op::RemoveImage => &[(S::ImageForget, Forward)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_comes_before_anything_that_touches_a_machine_on_its_host() {
        for kind in OperationKind::ALL {
            let steps = steps(*kind);
            let build = steps.iter().position(|(s, _)| *s == Step::ImageBuild);
            let touches = steps.iter().position(|(s, _)| s.works_on_host());
            if let (Some(build), Some(touches)) = (build, touches) {
                assert!(build < touches, "{kind}");
            }
        }
    }

    #[test]
    fn what_makes_a_machine_begins_with_its_row_which_is_written_when_the_job_is_accepted() {
        for kind in OperationKind::ALL {
            let makes = matches!(kind, OperationKind::Create | OperationKind::Configure);
            let at = steps(*kind).iter().position(|(step, _)| *step == Step::RecordNew);
            assert_eq!(at, makes.then_some(0), "{kind}");
        }
    }

    #[test]
    fn nothing_that_goes_only_forward_comes_before_something_that_is_undone() {
        for kind in OperationKind::ALL {
            let forward = steps(*kind).iter().position(|(_, after)| *after == After::Forward);
            let undo = steps(*kind).iter().rposition(|(_, after)| *after == After::Undo);
            if let (Some(forward), Some(undo)) = (forward, undo) {
                assert!(undo < forward, "{kind}");
            }
        }
    }
}
