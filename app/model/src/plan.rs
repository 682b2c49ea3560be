//! What an operation would do, shown before the button is pressed.

use crate::machine::{MachineId, MachineName};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// One step as the plan announces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// `family.verb`, the name that the job, the log and the database also use.
    pub name: String,
    /// What it will do, in a short sentence.
    pub what: String,
}

/// What will happen, in order, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The operation as text: “Create web-1”.
    pub title: String,
    /// The machine that it is done to. A name may belong to another machine by the time someone agrees.
    pub machine: Option<MachineId>,
    /// What becomes different in the configuration, in words, with what each needs before it is true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// Steps in order.
    pub steps: Vec<PlannedStep>,
    /// How long the machine will be unavailable, as text; none if it is not affected.
    pub downtime: Option<String>,
    /// What remains.
    pub keeps: Vec<String>,
    /// What is lost. If not empty, the person must type the machine's name.
    pub loses: Vec<String>,
    /// What the person should know before continuing.
    pub warnings: Vec<String>,
    /// The name to be typed as confirmation.
    pub confirm: Option<MachineName>,
}

crate::validated_string!(
    /// Fingerprint of a plan: a form posts it back, and a plan that has changed meanwhile is shown again.
    PlanDigest,
    |text| {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(())
        } else {
            Err(crate::newtype::Refused::new("The plan's digest is invalid. Reload the page."))
        }
    }
);

impl Plan {
    /// SHA-256 over what matters to the person who agreed: which machine, steps, downtime, what is lost and kept, what
    /// must be confirmed. Not over the wording.
    pub fn digest(&self) -> PlanDigest {
        let steps: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        let agreed = (steps, &self.downtime, &self.loses, &self.keeps, &self.confirm, &self.machine);
        // Lists of strings always serialise; if one ever did not, an empty text differs from every plan shown.
        let json = serde_json::to_vec(&agreed).unwrap_or_default();
        PlanDigest(hex::encode(Sha256::digest(json)))
    }
}

/// What a person has to do before an operation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confirm {
    /// Press the button.
    Nothing,
    /// See the plan and press again.
    Plan,
    /// See the plan and type the machine's name, where something would be lost.
    Name,
}

/// What a person has agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// The plan that was shown; none if none was shown.
    pub plan: Option<PlanDigest>,
    /// What was typed to confirm a loss.
    pub name: Option<String>,
}

impl Consent {
    /// To this plan and all its losses.
    pub fn to(plan: &Plan) -> Self {
        Self { plan: Some(plan.digest()), name: plan.confirm.as_ref().map(ToString::to_string) }
    }

    /// Whether this is enough for what the operation's row in the catalog asks for.
    pub fn is_enough(&self, asked: Confirm, plan: &Plan) -> bool {
        let name = plan.confirm.as_ref().map(MachineName::as_str);
        let typed = name.is_none_or(|name| self.name.as_deref().is_some_and(|typed| typed.trim() == name));
        match asked {
            Confirm::Nothing => typed,
            Confirm::Plan | Confirm::Name => self.plan.is_some() && typed,
        }
    }
}
