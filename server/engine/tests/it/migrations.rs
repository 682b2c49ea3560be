//! Migrations are tried on tables that are not empty: each has sample data in `migrations/samples/`, written after it and before
//! the next one, and the engine opens the result.

use crate::harness::{World, actor, name};
use futures::StreamExt as _;
use model::Time;
use model::audit::ChainState;
use model::job::StepState;
use model::portal::Portal as _;
use model::view::job::{JobFilter, JobFrame};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};
use std::path::Path;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

#[tokio::test]
async fn every_migration_works_on_data_and_the_engine_opens_it() {
    let world = World::new();
    std::fs::create_dir_all(&world.settings.state).unwrap();
    let options =
        SqliteConnectOptions::new().filename(world.database()).create_if_missing(true).foreign_keys(true);
    let mut sql = options.connect().await.unwrap();
    for migration in MIGRATIONS.iter() {
        let only = Migrator {
            migrations: vec![migration.clone()].into(),
            ignore_missing: true,
            ..Migrator::DEFAULT
        };
        only.run_direct(&mut sql).await.unwrap();
        let sample =
            format!("{}/../../migrations/samples/{:04}.sql", env!("CARGO_MANIFEST_DIR"), migration.version);
        let sample = std::fs::read_to_string(Path::new(&sample))
            .unwrap_or_else(|error| panic!("{sample}: {error}; every migration comes with sample data"));
        sql.execute(sample.as_str()).await.unwrap();
    }
    drop(sql);

    let engine = world.open().await;
    let ada = actor(&engine, "ada").await;
    let web = engine.machine(&ada, &name("web")).await.unwrap();
    assert_eq!((web.row.owner.as_str(), web.has_root_password), ("bob", false));
    let former = engine.machine(&ada, &name("www")).await.unwrap();
    assert_eq!(former.row.id, web.row.id, "a name that it had before leads to it");
    assert!(web.image.is_some() && web.row.observed.warning.is_some());
    assert_eq!(engine.users(&ada).await.unwrap().len(), 2);
    let jobs = engine.jobs(&ada, &JobFilter::default()).await.unwrap();
    assert_eq!(jobs.len(), 6);
    let bob = actor(&engine, "bob").await;
    let bobs = engine.jobs(&bob, &JobFilter::default()).await.unwrap();
    assert_eq!(
        bobs.iter().map(|job| job.badge.id).collect::<Vec<_>>(),
        [0, 1, 3, 4, 5].map(|n| jobs[n].badge.id)
    );
    assert!(!engine.job(&ada, jobs[2].badge.id).await.unwrap().can_retry);
    let cancelled = engine.job(&ada, jobs[3].badge.id).await.unwrap();
    assert_eq!(cancelled.steps[0].state, StepState::Cancelled);
    assert_eq!(cancelled.summary.began, Some(Time(10)), "a column that nobody read before");
    let mut frames = engine.follow_job(&ada, jobs[4].badge.id, None).await.unwrap();
    let mut said = Vec::new();
    while let Some(frame) = frames.next().await {
        if let JobFrame::Lines { lines } = frame {
            said.extend(lines.into_iter().map(|line| line.text));
        }
    }
    assert!(said.len() == 1 && said[0].contains("not been kept"), "a log that is gone says so: {said:?}");
    assert_eq!(engine.images(&ada).await.unwrap().len(), 2);
    assert!(matches!(engine.verify_audit(&ada).await.unwrap(), ChainState::Intact { entries: 0, .. }));
    engine.shut_down().await;
}
