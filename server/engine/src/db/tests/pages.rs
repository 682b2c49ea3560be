//! Pages follow each other without a gap, however their rows come and go meanwhile.

use super::database;
use crate::db::{self, Db, Tx, Visible};
use crate::key::Key;
use model::Time;
use model::account::{Role, SessionUser, UserId};
use model::audit::{AUDIT_PER_PAGE, AuditFilter, Outcome};
use model::job::{JobId, JobState};
use model::operation::MachineAction;
use model::view::job::{JOBS_PER_PAGE, JobFilter};
use uuid::Uuid;

async fn begin(tx: &mut Tx, actor: &str, subject: &str) -> i64 {
    let begin = db::audit::Begin {
        began: 1,
        actor_id: None,
        actor: Some(actor),
        from_addr: None,
        action: "start",
        subject: Some(subject),
        job_id: None,
        request: String::new(),
    };
    db::audit::begin(tx, &Key::new(b"a test"), &begin).await.unwrap()
}

/// The acts of all pages, by their numbers.
async fn walk(db: &Db, mut filter: AuditFilter) -> Vec<i64> {
    let mut seqs = Vec::new();
    loop {
        let page = db::audit::page(&mut db.read().await.unwrap(), &filter).await.unwrap();
        assert!(page.rows.len() <= AUDIT_PER_PAGE as usize);
        seqs.extend(page.rows.iter().map(|row| row.seq));
        match page.next {
            Some(next) => filter.before = Some(next),
            None => return seqs,
        }
    }
}

#[tokio::test]
async fn all_acts_are_on_one_page_whatever_is_filtered() {
    let (_dir, db) = database().await;
    let mut tx = db.begin().await.unwrap();
    let mut pending = Vec::new();
    let mut completed = Vec::new();
    for n in 0..5 * i64::from(AUDIT_PER_PAGE) {
        let actor = if n % 2 == 0 { "ada" } else { "bob" };
        let seq = begin(&mut tx, actor, "web").await;
        // More are under way than a page shows.
        if n % 5 < 2 {
            pending.push(seq);
        } else {
            completed.push(seq);
        }
    }
    // Completed in another order than begun.
    completed.sort_by_key(|seq| (seq % 7, *seq));
    for seq in &completed {
        let outcome = if seq % 3 == 0 { Outcome::Denied } else { Outcome::Succeeded };
        db::audit::complete(&mut tx, &Key::new(b"a test"), *seq, outcome, None, Time(2)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let all: Vec<i64> = pending.iter().rev().chain(completed.iter().rev()).copied().collect();
    let of =
        |wanted: &dyn Fn(i64) -> bool| all.iter().copied().filter(|seq| wanted(*seq)).collect::<Vec<_>>();
    let none = AuditFilter::default();
    let actor = Some("ada".to_owned());
    let subject = Some("web".to_owned());
    let action = Some("start".to_owned());
    // The first act is ada's, and every other one.
    let is_ada = |seq: i64| seq % 2 == 1;
    let is_denied = |seq: i64| seq % 3 == 0 && completed.contains(&seq);
    for (filter, expected) in [
        (none.clone(), all.clone()),
        (AuditFilter { subject, ..none.clone() }, all.clone()),
        (AuditFilter { action, ..none.clone() }, all.clone()),
        (AuditFilter { action: Some("stop".to_owned()), ..none.clone() }, Vec::new()),
        (AuditFilter { actor: actor.clone(), ..none.clone() }, of(&is_ada)),
        (AuditFilter { outcome: Some(Outcome::Denied), ..none.clone() }, of(&is_denied)),
        (AuditFilter { outcome: Some(Outcome::Pending), ..none.clone() }, of(&|seq| pending.contains(&seq))),
        (
            AuditFilter { actor, outcome: Some(Outcome::Denied), ..none.clone() },
            of(&|seq| is_ada(seq) && is_denied(seq)),
        ),
    ] {
        assert_eq!(walk(&db, filter.clone()).await, expected, "{filter:?}");
    }
    // A value that someone typed into the URL.
    for before in [i64::MIN, i64::MAX] {
        walk(&db, AuditFilter { before: Some(before), ..none.clone() }).await;
    }
    db.close().await;
}

/// Adds a user.
async fn user(tx: &mut Tx, name: &str) -> UserId {
    let id = UserId(Uuid::now_v7());
    let user = SessionUser { id, name: name.parse().unwrap(), role: Role::Member };
    db::users::insert(tx, &user, "", Time(0)).await.unwrap();
    id
}

#[tokio::test]
async fn a_user_sees_each_of_their_jobs_once_and_in_order() {
    let (_dir, db) = database().await;
    let mut tx = db.begin().await.unwrap();
    let (ada, bob) = (user(&mut tx, "ada").await, user(&mut tx, "bob").await);
    let mut all = Vec::new();
    let mut bobs = Vec::new();
    for n in 0..3 * JOBS_PER_PAGE {
        let id = JobId(Uuid::now_v7());
        let machine = format!("web-{}", n % 2);
        let start = MachineAction::Start.on(machine.parse().unwrap());
        let new = db::jobs::New {
            id,
            title: "Start",
            operation: &start,
            actor: if n % 3 == 0 { bob } else { ada },
            actor_name: "somebody",
            owner: (n % 4 == 0).then_some(bob),
            work: &Default::default(),
            build_key: None,
            audit_seq: 1,
            now: Time(0),
        };
        db::jobs::insert(&mut tx, &new, &[], &[], 0).await.unwrap();
        if n % 5 == 0 {
            db::jobs::add_asker(&mut tx, id, bob).await.unwrap();
        }
        db::jobs::finish(&mut tx, id, JobState::Succeeded, Time(1)).await.unwrap();
        all.push(id);
        if n % 3 == 0 || n % 4 == 0 || n % 5 == 0 {
            bobs.push(id);
        }
    }
    tx.commit().await.unwrap();
    all.reverse();
    bobs.reverse();
    let on_web_1 = |ids: &[JobId]| {
        ids.iter()
            .copied()
            .filter(|id| all.iter().rev().position(|a| a == id).unwrap() % 2 == 1)
            .collect::<Vec<_>>()
    };
    let machine = Some("web-1".parse().unwrap());
    for (sees, machine, open, expected) in [
        (Visible::All, None, false, all.clone()),
        (Visible::Of(bob), None, false, bobs.clone()),
        (Visible::All, machine.clone(), false, on_web_1(&all)),
        (Visible::Of(bob), machine, false, on_web_1(&bobs)),
        (Visible::All, None, true, Vec::new()),
    ] {
        let mut filter = JobFilter { machine, open, before: None };
        let mut found: Vec<JobId> = Vec::new();
        loop {
            let page = db::jobs::list(&mut db.read().await.unwrap(), &filter, &sees).await.unwrap();
            found.extend(page.iter().map(|job| job.badge.id));
            if page.len() < JOBS_PER_PAGE as usize {
                break;
            }
            filter.before = found.last().copied();
        }
        assert_eq!(found, expected, "{sees:?} {filter:?}");
    }
    db.close().await;
}
