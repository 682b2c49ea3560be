//! Many new machines from one text: read, judged as the form for one judges it, planned, and submitted as a job each.
//!
//! The text is posted each time, and nothing of it is kept in between: what was checked is read and planned again before anything
//! is submitted, because a name may have been taken meanwhile; of a text with a mistake, or one that differs from what was checked,
//! nothing is begun. It may hold passwords.
//! It is shown again to the person who posted it, in the answer to that post, which no cache keeps (`guard`), and nowhere else.

mod checked;
mod shown;

use super::operations::{hash_password, internal, submit};
use super::post::{Done, Post, Reading, Rerender};
use checked::{Checked, TEXT};
use model::fault::Fault;
use model::form::{self, FormData, placeholder_hash};
use model::identity::PasswordHash;
use model::newtype::Refused;
use model::operation::OperationKind;
use model::plan::Consent;
use model::portal::Choices;
use model::view::batch::{BatchProgress, BatchView};
use std::collections::BTreeSet;

/// Posted for each machine of the text that was accepted before.
const ACCEPTED: &str = "accepted";

/// The fingerprint of the text that was checked.
const DIGEST: &str = "digest";
/// Said where another text is to be submitted: someone has gone on writing.
const NOT_SHOWN: &str =
    "The text has changed since it was checked, and nothing has been created. This is what it would do now.";

/// Makes the hash of a password, without anything of its surroundings.
type Hash = fn(&str) -> Result<PasswordHash, Refused>;

impl<'a> Post<'a> {
    /// Shows what the text would do, on the same page.
    pub(super) fn check_batch(&'a self) -> Reading<'a> {
        Ok(Box::pin(async move {
            let checked = self.checked(OperationKind::Create, placeholder_hash).await?;
            Ok(Done::Rerender(rerender(&checked)))
        }))
    }

    /// Submits an operation for each machine of the text, if nothing is wrong with any.
    pub(super) fn submit_batch(&'a self, kind: OperationKind) -> Reading<'a> {
        Ok(Box::pin(async move {
            let mut checked = self.checked(kind, hash_password).await?;
            let operations = checked.operations();
            if shown::view(&checked).wrong() > 0 || operations.is_empty() {
                return Ok(Done::Rerender(rerender(&checked)));
            }
            if self.data.get(DIGEST) != checked.digest {
                let fault = Some(Fault::refused(NOT_SHOWN));
                return Ok(Done::Rerender(Rerender { fault, ..rerender(&checked) }));
            }
            let done = submit(self.portal, self.visitor, operations, &Consent::default()).await;
            if done.refused.is_empty() {
                return Ok(Done::Go(self.watch(kind, &done.accepted)));
            }
            checked.note(done);
            Ok(Done::Rerender(rerender(&checked)))
        }))
    }

    /// Reads, judges and plans every machine of the text.
    async fn checked(&self, kind: OperationKind, hash: Hash) -> Result<Checked, Fault> {
        let choices = self.portal.choices(&self.visitor.actor).await?;
        let base = base(kind, &choices);
        let text = self.data.raw(TEXT).to_owned();
        let accepted: BTreeSet<String> = self.data.all(ACCEPTED).map(ToOwned::to_owned).collect();
        // Hashing a password takes milliseconds, and a text can have a hundred: not among the requests.
        let read =
            tokio::task::spawn_blocking(move || Checked::read(&text, base, &accepted, &choices, &hash));
        let mut checked = read.await.map_err(|error| internal(&error))??;
        for machine in &mut checked.machines {
            machine.plan(self.portal, self.visitor).await?;
        }
        Ok(checked)
    }
}

/// The form for a new machine as it opens.
fn base(kind: OperationKind, choices: &Choices) -> FormData {
    let mut base = form::defaults(kind);
    base.set("intent", kind.as_str());
    if let Some(host) = choices.default_host() {
        base.set("host", host.name.as_str());
    }
    base
}

/// The same page with all of it, and in one sentence what is wrong.
fn rerender(checked: &Checked) -> Rerender {
    let view: BatchView = shown::view(checked);
    let (wrong, all) = (view.wrong(), view.rows.len());
    let accepted = view.rows.iter().filter(|row| matches!(row.progress, BatchProgress::Accepted(_))).count();
    let why = match (accepted, wrong) {
        (_, 0) => None,
        (0, 1) if all == 1 => Some("The machine has an error.".to_owned()),
        (0, 1) => Some(format!("1 of {all} machines has an error.")),
        (0, _) => Some(format!("{wrong} of {all} machines have errors.")),
        (1, _) => Some(format!("1 machine was accepted, {wrong} were refused.")),
        (_, 1) => Some(format!("{accepted} machines were accepted, 1 was refused.")),
        (_, _) => Some(format!("{accepted} machines were accepted, {wrong} were refused.")),
    };
    let fault = why.map(|why| Fault::invalid("machine", why));
    Rerender { fault, batch: Some(Box::new(view)), ..Rerender::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::operations::Submissions;
    use model::job::JobId;
    use uuid::Uuid;

    fn checked(text: &str) -> Checked {
        let mut base = form::defaults(OperationKind::Create);
        base.set("intent", "create");
        base.set("host", "local");
        let core = serde_json::from_str(r#"{"core": {"title": "", "summary": ""}}"#).unwrap();
        let choices = Choices { profiles: core, ..Choices::default() };
        Checked::read(text, base, &BTreeSet::new(), &choices, &placeholder_hash).unwrap()
    }

    fn said(checked: &Checked) -> Option<String> {
        rerender(checked).fault.map(|fault| fault.to_string())
    }

    #[test]
    fn one_sentence_says_how_many_are_wrong() {
        assert_eq!(said(&checked("name\na\nb")), None);
        assert_eq!(said(&checked("name\nA")).unwrap(), "The machine has an error.");
        assert_eq!(said(&checked("name\na\nB")).unwrap(), "1 of 2 machines has an error.");
        assert_eq!(said(&checked("name\na\na\nB")).unwrap(), "2 of 3 machines have errors.");
    }

    #[test]
    fn a_refusal_stands_beside_its_machine_and_the_accepted_ones_are_left_out_the_next_time() {
        let mut text = checked("name\na\nb\nc");
        let [a, b, c] = <[_; 3]>::try_from(text.operations()).unwrap();
        let full = Fault::refused("You have 2 open jobs.");
        let job = JobId(Uuid::nil());
        text.note(Submissions {
            accepted: vec![(a, job)],
            refused: vec![(b, full), (c, Fault::invalid("name", "Taken."))],
        });
        assert_eq!(said(&text).unwrap(), "1 machine was accepted, 2 were refused.");
        let view = shown::view(&text);
        assert_eq!(view.rows[0].progress, BatchProgress::Accepted(job));
        assert_eq!(view.rows[1].errors, ["You have 2 open jobs."]);
        assert_eq!(view.rows[2].cells[0].errors, ["Taken."]);
        assert_eq!((view.open(), view.wrong()), (2, 2));
    }

    #[test]
    fn a_table_shows_what_is_meant_and_no_secret() {
        let text = checked(
            "name,root_password,samba_user,samba_password,dns\na,correct horse staple,ada,hunter2 hunter2,1.1.1.1;x;y;z;w",
        );
        let view = shown::view(&text);
        let shown: Vec<&str> = view.rows[0].cells.iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(shown, ["a", "core", "Immutable", "2 GiB", "2 vCPUs", "30 GiB", "NAT"]);
        let others: Vec<(&str, &str, usize)> = view.rows[0]
            .others
            .iter()
            .map(|cell| (cell.field, cell.text.as_str(), cell.errors.len()))
            .collect();
        assert_eq!(
            others,
            [
                ("root_password", "set", 0),
                ("dns", "1.1.1.1, x, y and 2 more", 4),
                ("samba_user", "ada", 0),
                ("samba_password", "set", 0)
            ]
        );
        assert_eq!(view.rows[0].others[1].errors[3], "And 1 more.");
    }
}
