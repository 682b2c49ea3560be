//! Forms that ask for an operation: decode, plan, confirm, submit, and go where the job can be watched.

use super::intent::hidden;
use super::post::{Done, Post, Rerender, internal};
use app::routes;
use model::catalog::{Landing, On};
use model::fault::{Fault, FieldError};
use model::form::FormData;
use model::identity::PasswordHash;
use model::job::JobId;
use model::newtype::Refused;
use model::operation::{Operation, OperationKind};
use model::plan::Consent;
use rand::RngCore as _;
use sha_crypt::{PasswordHasher as _, ShaCrypt};

/// The largest number of machines that one click works on: a page of the list.
const BULK_MAX: usize = model::view::machine::MACHINES_PER_PAGE as usize;

/// Random bytes in a salt: 12 are 16 characters in crypt's alphabet, the most that crypt(5) reads.
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

/// The operations that a form means. Hashing a password takes milliseconds, so it does not happen among the requests.
async fn decode(data: FormData) -> Result<Vec<Operation>, Fault> {
    let decoded = tokio::task::spawn_blocking(move || model::form::operations(&data, &hash_password)).await;
    decoded.map_err(|error| internal(&error))?.map_err(Fault::invalid_fields)
}

impl Post<'_> {
    /// Shows what the form would do, on the same page.
    pub(super) async fn show_plan(&self, kind: OperationKind) -> Result<Done, Rerender> {
        let mut data = self.data.clone();
        data.set("intent", kind.as_str());
        let operations = decode(data).await?;
        let Some(operation) = operations.first() else {
            return Err(Fault::refused("There is nothing to be planned.").into());
        };
        let plan = self.server.portal.plan(&self.visitor.actor, operation).await?;
        Err(Rerender { fault: None, plan: Some(Box::new(plan)) })
    }

    /// Submits what the form asks for. Of several machines, those that can go on do, and each of the others is named with
    /// its reason.
    pub(super) async fn operate(&self, kind: OperationKind) -> Result<Done, Rerender> {
        let consent = self.consent()?;
        let mut accepted: Vec<(Operation, JobId)> = Vec::new();
        let mut refused: Vec<(Operation, Fault)> = Vec::new();
        for data in each_machine(kind, self.data)? {
            for operation in decode(data).await? {
                let submitted =
                    self.server.portal.submit(&self.visitor.actor, operation.clone(), consent.clone()).await;
                match submitted {
                    Ok(submitted) => accepted.push((operation, submitted.job)),
                    Err(fault) => refused.push((operation, fault)),
                }
            }
        }
        match (accepted.as_slice(), refused.pop()) {
            ([], Some((operation, fault))) if refused.is_empty() => self.not_done(&operation, fault),
            (_, Some(last)) => {
                refused.push(last);
                Err(left_out(&refused).into())
            }
            (accepted, None) => Ok(Done::Go(self.watch(kind, accepted))),
        }
    }

    /// What the person has seen and typed.
    fn consent(&self) -> Result<Consent, Fault> {
        let plan = match self.data.get("digest") {
            "" => None,
            _ => Some(hidden(self.data, "digest")?),
        };
        let name = Some(self.data.get("confirm").to_owned()).filter(|typed| !typed.is_empty());
        Ok(Consent { plan, name })
    }

    /// One operation that was not accepted. What wants to be confirmed is confirmed on the operation's own page.
    fn not_done(&self, operation: &Operation, fault: Fault) -> Result<Done, Rerender> {
        let (Fault::NeedsConfirmation { plan }, Some(machine)) = (&fault, operation.machine()) else {
            return Err(fault.into());
        };
        let page = routes::operate(machine, operation.kind());
        if self.uri.path() != page {
            return Ok(Done::Go(page));
        }
        let beside_the_field = plan.confirm.is_some().then(|| Fault::invalid("confirm", fault.to_string()));
        Err(Rerender { plan: Some(plan.clone()), fault: Some(beside_the_field.unwrap_or(fault)) })
    }

    /// Where what was begun can be watched.
    fn watch(&self, kind: OperationKind, accepted: &[(Operation, JobId)]) -> String {
        let here = self.uri.path_and_query().map_or("", |p| p.as_str());
        if self.data.get("from") == "list" && self.uri.path() == routes::MACHINES {
            return here.to_owned();
        }
        let [(operation, job)] = accepted else { return routes::JOBS.to_owned() };
        match (kind.row().lands, operation.machine()) {
            (Landing::Images, _) => routes::IMAGES.to_owned(),
            (Landing::Job, _) | (_, None) => routes::job(*job),
            // The power buttons beside a console leave its screen in view.
            (Landing::Machine, Some(name))
                if self.uri.path() == routes::machine_tab(name, routes::Tab::Console) =>
            {
                here.to_owned()
            }
            (Landing::Machine, Some(name)) => routes::machine(name),
        }
    }
}

/// Which of several operations were refused, and why.
fn left_out(refused: &[(Operation, Fault)]) -> Fault {
    let one = |(operation, fault): &(Operation, Fault)| match operation.machine() {
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
            format!("At most {BULK_MAX} machines can be chosen at a time."),
        ));
    }
    let one = |name: &&str| {
        let mut data = data.clone();
        data.set("machine", *name);
        data
    };
    Ok(names.iter().map(one).collect())
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
