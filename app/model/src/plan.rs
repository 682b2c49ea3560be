//! What an operation would do, shown before the button is pressed.

use crate::machine::MachineName;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// One step as the plan announces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// `family.verb`, the name that the job, the log and the database use as well.
    pub name: String,
    /// What it will do, in a short sentence.
    pub what: String,
}

/// What will happen, in order, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The operation in words: “Create web-1”.
    pub title: String,
    /// Steps in order.
    pub steps: Vec<PlannedStep>,
    /// How long the machine will not be there, in words; none if it is not touched.
    pub downtime: Option<String>,
    /// What remains, in words.
    pub keeps: Vec<String>,
    /// What is lost, in words. If not empty, the person must type the machine's name.
    pub loses: Vec<String>,
    /// What the person should know before going on.
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
            Err(crate::newtype::Refused::new("The plan's fingerprint is damaged; load the page again."))
        }
    }
);

impl Plan {
    /// SHA-256 over the plan as JSON.
    pub fn digest(&self) -> PlanDigest {
        // A struct of strings and lists always serialises; were it ever not so, an empty text differs from every plan shown.
        let json = serde_json::to_vec(self).unwrap_or_default();
        PlanDigest(hex::encode(Sha256::digest(json)))
    }
}
