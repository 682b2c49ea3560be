//! How SQLite carries out every query that the portal has, by `explain query plan`: what grows with time is never read or
//! sorted as a whole.

use super::database;
use crate::db::Conn;
use sqlx::Row as _;
use std::path::Path;

/// Tables that grow with every act. All others have as many rows as there are things to look at.
const GROWING: [&str; 4] = ["audit", "jobs", "job_steps", "job_askers"];

/// What may be read from one end to the other: the indexes of the few jobs that are open or have secrets, and the whole log
/// when its chain is verified.
const READ_WHOLE: [&str; 3] = [
    "SCAN jobs USING INDEX jobs_open",
    "SCAN jobs USING INDEX jobs_secrets",
    "SCAN audit USING INDEX sqlite_autoindex_audit_1",
];

/// Every query of the portal, as the compiler checked it.
fn queries() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    let query = |file: Vec<u8>| serde_json::from_slice::<serde_json::Value>(&file).unwrap()["query"].clone();
    files.map(|file| query(file).as_str().unwrap().to_owned()).collect()
}

/// The growing tables of a query, by the names that its plan has for them.
fn growing(query: &str) -> Vec<&str> {
    let words: Vec<&str> = query.split([' ', '\n', '(', ')', ',']).filter(|word| !word.is_empty()).collect();
    let mut names = Vec::new();
    for three in
        words.windows(2).enumerate().filter(|(_, two)| matches!(two[0], "from" | "join" | "into" | "update"))
    {
        if GROWING.contains(&three.1[1]) {
            names.push(three.1[1]);
            names.extend(words.get(three.0 + 2));
        }
    }
    names
}

/// What is wrong with how a query is carried out.
async fn faults(conn: &mut Conn, query: &str) -> Vec<String> {
    let plan = format!("explain query plan {query}");
    let rows = sqlx::query(&plan).fetch_all(conn).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    let growing = growing(query);
    let mut details = rows.into_iter().map(|row| row.get::<String, _>("detail"));
    let is_fault = |detail: &String| {
        let scanned = detail.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
        let is_whole = scanned.is_some_and(|name| growing.contains(&name));
        let is_sorted = detail.starts_with("USE TEMP B-TREE") && !growing.is_empty();
        (is_whole || is_sorted) && !READ_WHOLE.contains(&detail.as_str())
    };
    details.by_ref().filter(is_fault).collect()
}

#[tokio::test]
async fn no_query_reads_or_sorts_the_whole_of_what_grows() {
    let (_dir, db) = database().await;
    let mut conn = db.read().await.unwrap();
    let queries = queries();
    assert!(queries.len() > 50, "the queries are looked for in the wrong place");
    for query in queries {
        assert_eq!(faults(&mut conn, &query).await, Vec::<String>::new(), "{query}");
    }
    drop(conn);
    db.close().await;
}

#[tokio::test]
async fn a_query_that_does_is_found() {
    let (_dir, db) = database().await;
    let mut conn = db.read().await.unwrap();
    for (query, found) in [
        (
            "select seq from audit where (?1 is null or actor = ?1) order by (end_link is null) desc, end_link desc",
            2,
        ),
        ("select j.id from jobs j where (?1 is null or j.machine = ?1) order by j.id desc", 1),
        ("select id from jobs where machine = ? order by ended", 1),
        ("update jobs set cancel = 1 where title = ?", 1),
    ] {
        let faults = faults(&mut conn, query).await;
        assert_eq!(faults.len(), found, "{query}: {faults:?}");
    }
    drop(conn);
    db.close().await;
}
