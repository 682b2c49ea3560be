//! Forms that ask for an operation: decode, plan, confirm, submit, and go where the job can be watched.

use super::intent::hidden;
use super::post::{Again, Done, Post, internal};
use app::routes;
use model::Fault;
use model::form::FormData;
use model::identity::PasswordHash;
use model::job::JobId;
use model::newtype::Refused;
use model::operation::{Operation, OperationKind};
use model::plan::{Plan, PlanDigest};
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
    decoded.map_err(|error| internal(&error))?.map_err(|fields| Fault::Invalid { fields })
}

impl Post<'_> {
    /// Shows what the form would do, on the same page.
    pub(super) async fn show_plan(&self, kind: OperationKind) -> Result<Done, Again> {
        let mut data = self.data.clone();
        data.set("intent", kind.as_str());
        let operations = decode(data).await?;
        let Some(operation) = operations.first() else {
            return Err(Fault::refused("There is nothing to be planned.").into());
        };
        let plan = self.server.portal.plan(&self.visitor.actor, operation).await?;
        Err(Again { fault: None, plan: Some(Box::new(plan)) })
    }

    /// Plans everything before anything is submitted: of several builds, a mistake in one stops all.
    pub(super) async fn operate(&self, kind: OperationKind) -> Result<Done, Again> {
        let shown: Option<PlanDigest> = match self.data.get("digest") {
            "" => None,
            _ => Some(hidden(self.data, "digest")?),
        };
        let mut planned = Vec::new();
        for data in each_machine(kind, self.data)? {
            for operation in decode(data).await? {
                let plan = self.server.portal.plan(&self.visitor.actor, &operation).await?;
                self.confirm(&plan)?;
                // Whoever typed the name agreed to this plan and to no other.
                let agreed = plan.confirm.is_some().then(|| plan.digest());
                planned.push((operation, shown.clone().or(agreed)));
            }
        }
        self.submit(kind, planned).await
    }

    /// A plan that loses something wants the machine's name typed.
    fn confirm(&self, plan: &Plan) -> Result<(), Again> {
        let Some(name) = &plan.confirm else { return Ok(()) };
        if self.data.get("confirm") == name.as_str() {
            return Ok(());
        }
        let fault = Fault::invalid(
            "confirm",
            format!("Type the machine's name, {name}, to confirm what will be lost."),
        );
        Err(Again { fault: Some(fault), plan: Some(Box::new(plan.clone())) })
    }

    async fn submit(
        &self,
        kind: OperationKind,
        planned: Vec<(Operation, Option<PlanDigest>)>,
    ) -> Result<Done, Again> {
        let machine = planned.first().and_then(|(operation, _)| operation.machine().cloned());
        let asked = planned.len();
        let mut jobs: Vec<JobId> = Vec::new();
        let mut refused: Vec<(String, Fault)> = Vec::new();
        for (operation, digest) in planned {
            let title = operation.title();
            match self.server.portal.submit(&self.visitor.actor, operation, digest).await {
                Ok(submitted) => jobs.push(submitted.job),
                Err(fault) => refused.push((title, fault)),
            }
        }
        match (refused.pop(), jobs.as_slice()) {
            (Some((_, fault)), []) if asked == 1 => Err(fault.into()),
            (Some((title, fault)), _) => {
                let accepted = jobs.len();
                let why = format!("{accepted} of {asked} were accepted. {title}: {fault}");
                Err(Fault::refused(why).into())
            }
            (None, jobs) => Ok(Done::Go(self.watch(kind, machine.as_ref(), jobs))),
        }
    }

    /// Where what was begun can be watched.
    fn watch(
        &self,
        kind: OperationKind,
        machine: Option<&model::machine::MachineName>,
        jobs: &[JobId],
    ) -> String {
        let here = self.uri.path_and_query().map_or("", |p| p.as_str());
        if self.data.get("from") == "list" && self.uri.path() == routes::MACHINES {
            return here.to_owned();
        }
        let [job] = jobs else { return routes::JOBS.to_owned() };
        match (kind, machine) {
            (OperationKind::RemoveImage, _) => routes::IMAGES.to_owned(),
            (
                OperationKind::Create
                | OperationKind::Provision
                | OperationKind::Build
                | OperationKind::Purge,
                _,
            )
            | (_, None) => routes::job(*job),
            // The power buttons beside a console leave its screen in view.
            (_, Some(name)) if self.uri.path() == routes::machine_tab(name, routes::Tab::Console) => {
                here.to_owned()
            }
            (_, Some(name)) => routes::machine(name),
        }
    }
}

/// The form once for each machine that it names: the list posts the ticked ones together.
fn each_machine(kind: OperationKind, data: &FormData) -> Result<Vec<FormData>, Fault> {
    let names: Vec<&str> = data.all("machine").take(BULK_MAX + 1).collect();
    let with_fields = matches!(
        kind,
        OperationKind::Build | OperationKind::Create | OperationKind::Configure | OperationKind::RemoveImage
    );
    if with_fields || names.len() < 2 {
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
