//! Every operation there is, a row each: its labels, who may, its form, where its button is, what has to be confirmed.
//!
//! Forms, pages, permissions and the planner all read this table; what an operation does is in the engine's `ops/`.

#[cfg(any(feature = "portal", test))]
use crate::form::fields::Entry;
use crate::form::fields::{
    Group, clone_groups, generation_group, machine_groups, new_name_group, profiles_group, reconfigure_groups,
};
use crate::form::reader::Reader;
use crate::machine::MachineState;
use crate::operation::{MachineAction, Operation, OperationKind};
use crate::permission::Scope;
use crate::plan::Confirm;

/// What an operation is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A machine that there is.
    Machine,
    /// A machine that it creates.
    NewMachine,
    /// An image.
    Image,
}

/// How a button looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As any other.
    Plain,
    /// As something that ends or removes.
    Danger,
}

/// Which page comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The job's.
    Job,
    /// The machine's.
    Machine,
    /// The machine's, with its configuration.
    Configuration,
}

/// The fields of a form.
pub type Fields = fn() -> Vec<Group>;
/// Reads a posted form. One can mean several operations, as “build each of these” does.
pub type Read = fn(&mut Reader<'_>) -> Option<Vec<Operation>>;

/// A form: its fields, and how it is read when posted. Only the server has the latter; a browser knows whether there
/// are fields: pointers to everything that reads a form would add a tenth to a first visit.
#[derive(Clone, Copy)]
pub struct Form {
    has_fields: bool,
    #[cfg(any(feature = "portal", test))]
    fields: Fields,
    #[cfg(any(feature = "portal", test))]
    read: Read,
}

impl Form {
    /// A form with fields.
    #[cfg_attr(
        not(any(feature = "portal", test)),
        expect(unused_variables, reason = "only the server reads forms")
    )]
    const fn new(fields: Fields, read: Read) -> Self {
        Self {
            has_fields: true,
            #[cfg(any(feature = "portal", test))]
            fields,
            #[cfg(any(feature = "portal", test))]
            read,
        }
    }

    /// One without: a button.
    const fn button(read: Read) -> Self {
        Self { has_fields: false, ..Self::new(Vec::new, read) }
    }

    /// Whether there is something to fill in.
    pub fn has_fields(&self) -> bool {
        self.has_fields
    }

    /// Its fields, in groups.
    #[cfg(any(feature = "portal", test))]
    pub fn groups(&self) -> Vec<Group> {
        (self.fields)()
    }

    /// The names of its fields, in order.
    #[cfg(any(feature = "portal", test))]
    pub fn names(&self) -> Vec<&'static str> {
        self.groups().into_iter().flat_map(|group| group.fields).map(|field| field.name).collect()
    }

    /// The same with their labels.
    #[cfg(any(feature = "portal", test))]
    pub fn labels(&self) -> Vec<(&'static str, &'static str)> {
        let fields = self.groups().into_iter().flat_map(|group| group.fields);
        fields.filter(|field| field.entry != Entry::Base).map(|field| (field.name, field.label)).collect()
    }

    /// Reads it; `None` when the reader has found something wrong.
    #[cfg(any(feature = "portal", test))]
    pub(crate) fn read(&self, reader: &mut Reader<'_>) -> Option<Vec<Operation>> {
        (self.read)(reader)
    }
}

/// One row.
pub struct OperationRow {
    /// Which.
    pub kind: OperationKind,
    /// Its button's label.
    pub title: &'static str,
    /// What it is done to.
    pub on: On,
    /// Over which things a member may do it.
    pub member: Scope,
    /// Whether it cannot be planned without the image builder.
    pub needs_builder: bool,
    /// Its form. One on a machine has no field for the machine: the page names it.
    pub form: Form,
    /// The states of a machine in which this is what one most likely wants.
    pub likely: &'static [MachineState],
    /// Whether a machine's menu has it in every state; otherwise only where it is likely.
    pub in_menu: bool,
    /// Whether the list offers it for many machines at once.
    pub in_bulk: bool,
    /// How its button looks.
    pub tone: Tone,
    /// What has to be confirmed.
    pub confirm: Confirm,
    /// Where the browser lands.
    pub lands: Landing,
}

/// What most operations on a machine have in common: owners may do it, it has no form, and it is in the menu.
const ON_MACHINE: OperationRow = OperationRow {
    kind: OperationKind::Start,
    title: "",
    on: On::Machine,
    member: Scope::Own,
    needs_builder: false,
    form: Form::button(|_| None),
    likely: &[],
    in_menu: true,
    in_bulk: false,
    tone: Tone::Plain,
    confirm: Confirm::Nothing,
    lands: Landing::Machine,
};

/// The table, in the order in which menus show it.
pub static TABLE: &[OperationRow] = &[
    OperationRow {
        kind: OperationKind::Build,
        title: "Build image",
        on: On::Image,
        needs_builder: true,
        form: Form::new(|| vec![profiles_group()], |form| form.builds()),
        in_menu: false,
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::RemoveImage,
        title: "Remove image",
        on: On::Image,
        member: Scope::None,
        form: Form::button(|form| Some(vec![Operation::RemoveImage { image: form.hidden("image")? }])),
        in_menu: false,
        tone: Tone::Danger,
        confirm: Confirm::Plan,
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Create,
        title: "Create and start",
        on: On::NewMachine,
        needs_builder: true,
        form: Form::new(machine_groups, |form| {
            Some(vec![Operation::Create { spec: Box::new(form.spec()?) }])
        }),
        in_menu: false,
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Configure,
        title: "Save configuration only",
        on: On::NewMachine,
        needs_builder: true,
        form: Form::new(machine_groups, |form| {
            Some(vec![Operation::Configure { spec: Box::new(form.spec()?) }])
        }),
        in_menu: false,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Provision,
        title: "Create from configuration",
        needs_builder: true,
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Provision))),
        likely: &[MachineState::Configured],
        in_menu: false,
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Reconfigure,
        title: "Save configuration",
        needs_builder: true,
        form: Form::new(reconfigure_groups, |form| form.on_machine(|form| form.reconfigure())),
        in_menu: false,
        lands: Landing::Configuration,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Apply,
        title: "Apply changes",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Apply))),
        in_menu: false,
        confirm: Confirm::Plan,
        lands: Landing::Configuration,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Revert,
        title: "Drop changes",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Revert))),
        in_menu: false,
        confirm: Confirm::Plan,
        lands: Landing::Configuration,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Upgrade,
        title: "Upgrade",
        needs_builder: true,
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Upgrade))),
        confirm: Confirm::Plan,
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::RollBack,
        title: "Roll back",
        form: Form::new(generation_group, |form| {
            form.on_machine(|form| Some(MachineAction::RollBack { generation: form.value("generation")? }))
        }),
        confirm: Confirm::Plan,
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Start,
        title: "Start",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Start))),
        likely: &[MachineState::Off, MachineState::Crashed],
        in_bulk: true,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::ShutDown,
        title: "Shut down",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::ShutDown))),
        likely: &[MachineState::Running],
        in_bulk: true,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Reboot,
        title: "Reboot",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Reboot))),
        in_bulk: true,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Suspend,
        title: "Suspend",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Suspend))),
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Resume,
        title: "Resume",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Resume))),
        likely: &[MachineState::Paused],
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::ForceOff,
        title: "Force off",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::ForceOff))),
        likely: &[MachineState::ShuttingDown],
        tone: Tone::Danger,
        confirm: Confirm::Plan,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Rename,
        title: "Rename",
        form: Form::new(new_name_group, |form| {
            form.on_machine(|form| Some(MachineAction::Rename { name: form.value("name")? }))
        }),
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Clone,
        title: "Clone",
        needs_builder: true,
        form: Form::new(clone_groups, |form| form.clones()),
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Recreate,
        title: "Recreate",
        needs_builder: true,
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Recreate))),
        tone: Tone::Danger,
        confirm: Confirm::Name,
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Destroy,
        title: "Destroy",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Destroy))),
        tone: Tone::Danger,
        confirm: Confirm::Name,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Purge,
        title: "Purge",
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Purge))),
        tone: Tone::Danger,
        confirm: Confirm::Name,
        lands: Landing::Job,
        ..ON_MACHINE
    },
    OperationRow {
        kind: OperationKind::Forget,
        title: "Forget",
        member: Scope::None,
        form: Form::button(|form| form.on_machine(|_| Some(MachineAction::Forget))),
        tone: Tone::Danger,
        confirm: Confirm::Name,
        lands: Landing::Job,
        ..ON_MACHINE
    },
];

/// Used where a kind has no row, which the table's test rules out: nobody may do it.
static NO_ROW: OperationRow = OperationRow { member: Scope::None, in_menu: false, ..ON_MACHINE };

impl OperationKind {
    /// Its row.
    pub fn row(self) -> &'static OperationRow {
        TABLE.iter().find(|row| row.kind == self).unwrap_or(&NO_ROW)
    }

    /// Its button's label.
    pub fn title(self) -> &'static str {
        self.row().title
    }
}

impl OperationRow {
    /// Whether a person has to decide something first, so that its button leads to a page of its own.
    pub fn has_page(&self) -> bool {
        self.confirm > Confirm::Nothing || self.form.has_fields()
    }
}

impl Operation {
    /// As text, for job lists and plans: “Create web-1”.
    pub fn title(&self) -> String {
        match self {
            Operation::Build { profiles, mode } => {
                format!("Build image {} ({})", profiles.words(), mode.as_str())
            }
            Operation::RemoveImage { .. } => self.kind().title().to_owned(),
            Operation::Create { spec } => format!("Create {}", spec.name),
            Operation::Configure { spec } => format!("Save the configuration of {}", spec.name),
            Operation::OnMachine { machine, action: MachineAction::Provision } => {
                format!("Create {machine} from its configuration")
            }
            Operation::OnMachine { machine, action: MachineAction::Reconfigure(_) } => {
                format!("Save the configuration of {machine}")
            }
            Operation::OnMachine { machine, action: MachineAction::Apply } => {
                format!("Apply the changes to {machine}")
            }
            Operation::OnMachine { machine, action: MachineAction::Revert } => {
                format!("Drop the changes to {machine}")
            }
            Operation::OnMachine { machine, action: MachineAction::Rename { name } } => {
                format!("Rename {machine} to {name}")
            }
            Operation::OnMachine { machine, action: MachineAction::Clone(copy) } => {
                format!("Clone {machine} to {}", copy.name)
            }
            Operation::OnMachine { machine, action: MachineAction::RollBack { generation } } => {
                format!("Roll {machine} back to generation {generation}")
            }
            Operation::OnMachine { machine, action } => format!("{} {machine}", action.kind().title()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row_in_the_order_of_the_kinds() {
        let rows: Vec<OperationKind> = TABLE.iter().map(|row| row.kind).collect();
        assert_eq!(rows, OperationKind::ALL);
        assert!(TABLE.iter().all(|row| !row.title.is_empty()));
    }

    #[test]
    fn a_form_has_fields_as_it_says() {
        for row in TABLE {
            assert_eq!(row.form.has_fields, !row.form.groups().is_empty(), "{}", row.kind);
        }
    }

    #[test]
    fn each_state_has_at_most_one_likely_operation() {
        use MachineState::{Configured, Crashed, Off, Paused, Running, ShuttingDown, Unknown};
        for state in [Configured, Crashed, Off, Paused, Running, ShuttingDown, Unknown] {
            assert!(TABLE.iter().filter(|row| row.likely.contains(&state)).count() <= 1, "{state:?}");
        }
    }
}
