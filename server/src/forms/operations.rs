//! Forms that ask for an operation: read, plan, confirm, submit, and go where the job can be watched.
//!
//! The fields of an operation are in its row in the catalog, and [`model::form`] reads them, for the browser too.

use super::decode::{decode, hidden, hidden_or_empty};
use super::post::{Done, Post, Reading, Rerender};
use crate::session::Visitor;
use app::routes;
use model::catalog::{Landing, On};
use model::fault::{Fault, FieldError};
use model::form::FormData;
use model::identity::PasswordHash;
use model::job::JobId;
use model::newtype::Refused;
use model::operation::{Operation, OperationKind};
use model::plan::{Consent, PlanDigest};
use model::portal::{Portal, all_mistakes};
use rand::RngCore as _;
use serde::Deserialize;
use sha_crypt::{PasswordHasher as _, ShaCrypt};
use uuid::Uuid;

/// The largest number of machines that one click works on: a page of the list.
const BULK_MAX: usize = model::view::machine::MACHINES_PER_PAGE as usize;

/// Random bytes in a salt: 12 are 16 characters in crypt's alphabet, the most crypt(5) reads.
const SALT_BYTES: usize = 12;

/// The SHA-512 crypt hash of a console password, as the guest's `/etc/shadow` takes it.
///
/// # Errors
/// If the hash cannot be made; the sentence is for the person who typed the password.
pub fn hash_password(clear: &str) -> Result<PasswordHash, Refused> {
    let failed = || Refused::new("The password could not be hashed. Try another one.");
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let hash = ShaCrypt::SHA512.hash_password_with_salt(clear.as_bytes(), &salt).map_err(|_| failed())?;
    hash.to_string().parse()
}

/// The operations that a form stands for. Hashing a password takes milliseconds, so it does not happen among the
/// requests.
async fn operations(portal: &dyn Portal, visitor: &Visitor, data: FormData) -> Result<Vec<Operation>, Fault> {
    let posted = data.clone();
    let read = tokio::task::spawn_blocking(move || model::form::operations(&posted, &hash_password)).await;
    match read.map_err(|error| internal(&error))? {
        Ok(operations) => Ok(operations),
        Err(found) => Err(Fault::invalid_fields(all_mistakes(portal, &visitor.actor, &data, found).await)),
    }
}

/// The fields of what a person has seen and typed before submitting.
#[derive(Debug, Deserialize)]
struct ConsentForm {
    /// The fingerprint of the plan that was shown.
    #[serde(default, deserialize_with = "hidden_or_empty")]
    digest: Option<PlanDigest>,
    /// The name that was typed.
    #[serde(default, deserialize_with = "hidden_or_empty")]
    confirm: Option<String>,
}

/// The field that every form of an operation has.
#[derive(Debug, Deserialize)]
struct OperationForm {
    #[serde(rename = "intent", deserialize_with = "hidden")]
    kind: OperationKind,
}

/// The field that says what is to be planned.
#[derive(Debug, Deserialize)]
struct PlanForm {
    #[serde(deserialize_with = "hidden")]
    of: OperationKind,
}

/// The result of operations that were submitted together.
#[derive(Debug, Default)]
pub struct Submissions {
    /// Those that were accepted, with their jobs.
    pub accepted: Vec<(Operation, JobId)>,
    /// Those that were refused, with the reason.
    pub refused: Vec<(Operation, Fault)>,
}

/// Submits operations. Each is accepted or refused independently.
pub async fn submit(
    portal: &dyn Portal,
    visitor: &Visitor,
    operations: Vec<Operation>,
    consent: &Consent,
) -> Submissions {
    let mut done = Submissions::default();
    for operation in operations {
        match portal.submit(&visitor.actor, operation.clone(), consent.clone()).await {
            Ok(submitted) => done.accepted.push((operation, submitted.job)),
            Err(fault) => done.refused.push((operation, fault)),
        }
    }
    done
}

impl<'a> Post<'a> {
    /// Shows what the form would do, on the same page.
    pub(super) fn show_plan(&'a self) -> Reading<'a> {
        let PlanForm { of } = decode(self.data)?;
        let mut data = self.data.clone();
        data.set("intent", of.as_str());
        Ok(Box::pin(async move {
            let operations = operations(self.portal, self.visitor, data).await?;
            let operation = operations.first().ok_or_else(|| Fault::refused("There is nothing to plan."))?;
            let plan = self.portal.plan(&self.visitor.actor, operation).await?;
            Ok(Done::Rerender(Rerender { plan: Some(Box::new(plan)), ..Rerender::default() }))
        }))
    }

    /// Submits what the form asks for, once for each machine that it names.
    pub(super) fn submit(&'a self) -> Reading<'a> {
        let OperationForm { kind } = decode(self.data)?;
        let ConsentForm { digest, confirm } = decode(self.data)?;
        let consent = Consent { plan: digest, name: confirm };
        let forms = each_machine(kind, self.data)?;
        Ok(Box::pin(async move {
            let mut all = Vec::new();
            for data in forms {
                all.extend(operations(self.portal, self.visitor, data).await?);
            }
            self.submitted(kind, submit(self.portal, self.visitor, all, &consent).await)
        }))
    }

    /// With several operations, each refused one is named with its reason.
    fn submitted(
        &self,
        kind: OperationKind,
        Submissions { accepted, mut refused }: Submissions,
    ) -> Result<Done, Fault> {
        match (accepted.as_slice(), refused.pop()) {
            (accepted, None) => Ok(Done::Go(self.watch(kind, accepted))),
            ([], Some((operation, fault))) if refused.is_empty() => self.not_done(&operation, fault),
            (accepted, Some(last)) => {
                refused.push(last);
                let accepted = accepted.iter().map(|(operation, _)| operation.title()).collect();
                Ok(Done::Rerender(Rerender { accepted, ..left_out(&refused).into() }))
            }
        }
    }

    /// One operation that was not accepted. Confirmation happens on the operation's own page.
    fn not_done(&self, operation: &Operation, fault: Fault) -> Result<Done, Fault> {
        let (Fault::NeedsConfirmation { plan }, Some(machine)) = (&fault, operation.machine()) else {
            return Err(fault);
        };
        let page = routes::operate(machine, operation.kind());
        if self.uri.path() != page {
            return Ok(Done::Go(page));
        }
        let beside_the_field = plan.confirm.is_some().then(|| Fault::invalid("confirm", fault.to_string()));
        Ok(Done::Rerender(Rerender {
            plan: Some(plan.clone()),
            fault: Some(beside_the_field.unwrap_or(fault)),
            ..Rerender::default()
        }))
    }

    /// Where the new job can be watched.
    pub(super) fn watch(&self, kind: OperationKind, accepted: &[(Operation, JobId)]) -> String {
        let here = self.uri.path_and_query().map_or("", |p| p.as_str());
        if self.data.get("from") == "list" && self.uri.path() == routes::MACHINES {
            return here.to_owned();
        }
        let [(operation, job)] = accepted else { return routes::JOBS.to_owned() };
        match (kind.row().lands, operation.machine()) {
            (Landing::Job, _) | (_, None) => routes::job(*job),
            // The power buttons beside a console leave its screen in view.
            (Landing::Machine, Some(name))
                if self.uri.path() == routes::machine_tab(name, routes::Tab::Console) =>
            {
                here.to_owned()
            }
            (Landing::Machine, Some(name)) => routes::machine(name),
            (Landing::Configuration, Some(name)) => routes::machine_tab(name, routes::Tab::Configuration),
        }
    }
}

/// Which of several operations were refused, and why.
fn left_out(refused: &[(Operation, Fault)]) -> Fault {
    let one = |(operation, fault): &(Operation, Fault)| match operation.machine() {
        // Of several copies of one machine each has its name.
        Some(_) if operation.new_name().is_some() => {
            FieldError::new("name", format!("{}: {fault}", operation.title()))
        }
        Some(machine) => FieldError::new("machine", format!("{machine}: {fault}")),
        None => FieldError::new("profiles", format!("{}: {fault}", operation.title())),
    };
    Fault::invalid_fields(refused.iter().map(one).collect())
}

/// The form once for each machine that it names: the list posts the ticked ones together.
fn each_machine(kind: OperationKind, data: &FormData) -> Result<Vec<FormData>, Fault> {
    let names: Vec<&str> = data.all("machine").take(BULK_MAX + 1).collect();
    if kind.row().on != On::Machine || names.len() < 2 {
        return Ok(vec![data.clone()]);
    }
    if names.len() > BULK_MAX {
        return Err(Fault::invalid(
            "machine",
            format!("At most {BULK_MAX} machines can be selected at a time."),
        ));
    }
    let one = |name: &&str| {
        let mut data = data.clone();
        data.set("machine", *name);
        data
    };
    Ok(names.iter().map(one).collect())
}

/// A failure of ours: logged whole under an id that the person sees.
pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Fault {
    let id = Uuid::now_v7().to_string();
    tracing::error!(fault.id = id, error, "a form could not be carried out");
    Fault::Internal { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_salted_and_one_that_a_guest_reads() {
        let (one, two) = (hash_password("correct horse").unwrap(), hash_password("correct horse").unwrap());
        assert_ne!(one, two, "equal passwords must not have equal hashes");
        assert!(one.as_str().starts_with("$6$"), "{}", one.as_str());
        let verify = |clear: &str| {
            sha_crypt::PasswordVerifier::verify_password(&ShaCrypt::SHA512, clear.as_bytes(), one.as_str())
        };
        assert!(verify("correct horse").is_ok() && verify("correct hors").is_err());
    }

    #[test]
    fn ticked_machines_are_one_form_each() {
        let data = FormData::from_urlencoded(b"intent=start&machine=a&machine=b&from=list");
        let forms = each_machine(OperationKind::Start, &data).unwrap();
        assert_eq!(forms.iter().map(|f| f.get("machine")).collect::<Vec<_>>(), ["a", "b"]);
        assert!(forms.iter().all(|f| f.all("machine").count() == 1 && f.get("from") == "list"));
        assert_eq!(each_machine(OperationKind::Create, &data).unwrap().len(), 1);
        let many = FormData((0..=BULK_MAX).map(|n| ("machine".to_owned(), format!("m{n}"))).collect());
        assert!(each_machine(OperationKind::Start, &many).is_err());
    }
}
