//! The only error a browser sees. Everything else is mapped to one of these, once, at the portal.

use crate::job::JobId;
use crate::newtype::Refused;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::ops::Deref;

/// What is wrong with one field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// The field's name.
    pub field: String,
    /// What is wrong and what to do, in one or two sentences.
    pub message: String,
}

impl FieldError {
    /// An error beside this field.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// What is wrong with a form, in its order: at least one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<FieldError>", into = "Vec<FieldError>")]
pub struct FieldErrors(Vec<FieldError>);

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

impl TryFrom<Vec<FieldError>> for FieldErrors {
    type Error = Refused;

    fn try_from(errors: Vec<FieldError>) -> Result<Self, Refused> {
        if errors.is_empty() { Err(Refused::new("No field is wrong.")) } else { Ok(Self(errors)) }
    }
}

impl From<FieldErrors> for Vec<FieldError> {
    fn from(errors: FieldErrors) -> Self {
        errors.0
    }
}

impl Deref for FieldErrors {
    type Target = [FieldError];

    fn deref(&self) -> &[FieldError] {
        &self.0
    }
}

/// Why the portal refused or failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Fault {
    /// Nobody is logged in.
    #[error("Log in first.")]
    Unauthenticated,
    /// There is no such thing, or the actor may not know about it.
    #[error("There is no such {what}, or you do not have access to it.")]
    NotFound {
        /// The kind of thing: machine, job, image …
        what: String,
    },
    /// The actor is known and may see the thing, but may not do this.
    #[error("{why}")]
    Denied {
        /// Who may, in a sentence.
        why: String,
    },
    /// A program sent something that none of our pages sends.
    #[error("The request could not be read: {why}")]
    Malformed {
        /// What is wrong with it, for the program's author.
        why: String,
    },
    /// Some fields are wrong.
    #[error("{}", fields.first().map_or("The form has an error.", |f| f.message.as_str()))]
    Invalid {
        /// Which, in the form's order.
        fields: FieldErrors,
    },
    /// The operation does not fit the present state.
    #[error("{why}")]
    Refused {
        /// What is in the way and what to do.
        why: String,
    },
    /// There is nothing to do: everything is as it is wanted already.
    #[error("Everything is as it was.")]
    Unchanged,
    /// Another job holds the machine.
    #[error("Another job is running on this machine. Wait for it to finish, or cancel it.")]
    Busy {
        /// That job.
        job: JobId,
    },
    /// What would happen is no longer what was shown.
    #[error("Something has changed since the plan was shown. Review the new plan and confirm again.")]
    PlanChanged {
        /// What would happen now.
        plan: Box<Plan>,
    },
    /// Something would be lost or cut off, and that has not been agreed to yet.
    #[error("{}", needs_confirmation(.plan))]
    NeedsConfirmation {
        /// What would happen.
        plan: Box<Plan>,
    },
    /// Too many tries.
    #[error("Too many attempts. Try again in {seconds} s.")]
    Throttled {
        /// When to try again.
        seconds: u64,
    },
    /// A host is unreachable.
    #[error("The host “{host}” is unreachable. The Hosts page shows why.")]
    Unavailable {
        /// Which.
        host: String,
    },
    /// The server's disk is full.
    #[error(
        "The server's disk is full, so nothing was saved. Free some space where the portal keeps its state, or ask an \
         administrator to, and try again. No restart is needed."
    )]
    DiskFull,
    /// A bug or a failure of the server itself. The log has the details under this id.
    #[error("Something went wrong on the server. Error reference: {id}")]
    Internal {
        /// What to search the log for.
        id: String,
    },
}

fn needs_confirmation(plan: &Plan) -> String {
    match &plan.confirm {
        Some(name) => format!("Type the machine's name, {name}, to confirm what will be lost."),
        None => "Review what will happen, and confirm.".to_owned(),
    }
}

impl Fault {
    /// Shorthand for [`Fault::NotFound`].
    pub fn not_found(what: &str) -> Self {
        Fault::NotFound { what: what.to_owned() }
    }

    /// Shorthand for [`Fault::Refused`].
    pub fn refused(why: impl Into<String>) -> Self {
        Fault::Refused { why: why.into() }
    }

    /// Shorthand for [`Fault::Invalid`] with one field.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Fault::Invalid { fields: FieldError::new(field, message).into() }
    }

    /// [`Fault::Invalid`] with all of these. A form that is refused without an error on any field is
    /// [`Fault::Refused`], because there is no field to show it beside.
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        match fields.try_into() {
            Ok(fields) => Fault::Invalid { fields },
            Err(_) => Fault::refused("Something in the form is wrong. Reload the page and try again."),
        }
    }

    /// The HTTP status (RFC 9110; 507 is from RFC 4918) that goes with it.
    pub fn status(&self) -> u16 {
        match self {
            Fault::Unauthenticated => 401,
            Fault::NotFound { .. } => 404,
            Fault::Denied { .. } => 403,
            Fault::Malformed { .. } => 400,
            Fault::Invalid { .. } => 422,
            Fault::Refused { .. } | Fault::Unchanged | Fault::Busy { .. } => 409,
            Fault::PlanChanged { .. } | Fault::NeedsConfirmation { .. } => 409,
            Fault::Throttled { .. } => 429,
            Fault::Unavailable { .. } => 503,
            Fault::Internal { .. } => 500,
            Fault::DiskFull => 507,
        }
    }

    /// In how many seconds to try again, if known (RFC 9110, `Retry-After`).
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Fault::Throttled { seconds } => Some(*seconds),
            _ => None,
        }
    }

    /// The message for one field, if this fault has one for it.
    pub fn of_field(&self, name: &str) -> Option<&str> {
        match self {
            Fault::Invalid { fields } => fields.iter().find(|f| f.field == name).map(|f| f.message.as_str()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_never_wrong_without_a_field() {
        assert!(serde_json::from_str::<Fault>(r#"{"code":"invalid","fields":[]}"#).is_err());
        assert!(matches!(Fault::invalid_fields(Vec::new()), Fault::Refused { .. }));
        let fault = Fault::invalid_fields(vec![FieldError::new("name", "Too long.")]);
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        assert_eq!(fault.of_field("name"), Some("Too long."));
    }
}
