//! The list of machines, of 1,000 and of 10,000: how long one page takes, how many pages go out in a second, and how much
//! memory the server has. With 1,000, a first visit's cost in bytes is also checked (`weight`).
//!
//! The load comes from the same computer and takes its share of it. `/healthz` is the floor: the same connection, no page.

use crate::bare;
use crate::fleet::Fleet;
use crate::person::Person;
use crate::report::{Figure, Samples, Target, Unit, millis};
use crate::weight;
use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use std::time::{Duration, Instant};

/// Views by one person, one after another.
const VIEWS: usize = 200;
/// People at once.
const PEOPLE: usize = 8;
/// How long they go on.
const LOAD: Duration = Duration::from_secs(5);
const HEALTH: &str = "/healthz";
/// How often libvirt's own tool is asked for the same list.
const TOOL_RUNS: usize = 5;
/// The targets: milliseconds for a page of 1,000, ten times that for 10,000; pages a second; KiB.
const PAGE: f64 = 10.0;
const PAGES: f64 = 500.0;
const MEMORY: f64 = 60e6 / 1024.0;

/// Runs the figures.
///
/// # Errors
/// If a page is not answered.
pub async fn run() -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut fleet = Fleet::strangers(1000).await?;
    views(&mut fleet.person, app::routes::MACHINES, VIEWS).await?;
    let empty = fleet.server.resident()?;
    let mut fleet = fleet.adopt(1000).await?;
    let page = page(&mut fleet, "1,000", PAGE, &mut figures).await?;
    // The stand-in for the host is in the same process, and is not the portal's.
    let driver = bare::driver_resident(&fleet.uri()).await?;
    let own = |resident: f64| Samples::one(resident - driver);
    let memory = Figure::new(
        "memory: 1,000 machines, after 200 views",
        Unit::Kibibytes,
        own(fleet.server.resident()?),
    );
    let memory = memory.target(Target::AtMost(MEMORY)).beside("without machines", own(empty));
    figures.push(memory.beside("the test driver's domains, left out", Samples::one(driver)));
    load(&mut fleet, "1,000", Some(PAGES), &mut figures).await?;
    figures.extend(weight::figures(&mut fleet.person).await?);
    fleet.server.stop().await?;

    let mut fleet = Fleet::strangers(10_000).await?.adopt(10_000).await?;
    let more = self::page(&mut fleet, "10,000", PAGE * 10.0, &mut figures).await?;
    let times = Samples::one(more / page);
    figures.push(
        Figure::new("list: 10,000 machines over 1,000", Unit::Times, times).target(Target::AtMost(10.0)),
    );
    load(&mut fleet, "10,000", None, &mut figures).await?;
    fleet.server.stop().await?;
    Ok(figures)
}

/// One page at a time; returns the median in milliseconds.
async fn page(fleet: &mut Fleet, machines: &str, target: f64, figures: &mut Vec<Figure>) -> Result<f64> {
    let pages = views(&mut fleet.person, app::routes::MACHINES, VIEWS).await?;
    let floor = views(&mut fleet.person, HEALTH, VIEWS).await?;
    let mut tool = Vec::new();
    for _ in 0..TOOL_RUNS {
        tool.push(bare::list_domains(&fleet.uri()).await?);
    }
    let none = "nothing was measured";
    let (pages, floor, tool) = (millis(&pages), millis(&floor), millis(&tool));
    let pages = pages.context(none)?;
    let median = pages.median();
    let name = format!("list: the page of {machines} machines");
    let figure = Figure::new(name, Unit::Millis, pages).target(Target::AtMost(target));
    figures.push(figure.beside("virsh list", tool.context(none)?).beside("/healthz", floor.context(none)?));
    Ok(median)
}

/// Many people at once, as fast as they are answered.
async fn load(
    fleet: &mut Fleet,
    machines: &str,
    target: Option<f64>,
    figures: &mut Vec<Figure>,
) -> Result<()> {
    let pages = rate(&fleet.person, app::routes::MACHINES).await?;
    let floor = rate(&fleet.person, HEALTH).await?;
    let name = format!("list: {PEOPLE} people, {machines} machines");
    let figure = Figure::new(name, Unit::PerSecond("pages"), Samples::one(pages));
    let figure = figure.target(target.map_or(Target::None, Target::AtLeast));
    figures.push(figure.beside("/healthz", Samples::one(floor)));
    Ok(())
}

async fn views(person: &mut Person, path: &str, count: usize) -> Result<Vec<Duration>> {
    let request = person.page(path);
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        let reply = person.send(&request).await?;
        took.push(begun.elapsed());
        reply.expect(200, path)?;
    }
    Ok(took)
}

async fn rate(person: &Person, path: &str) -> Result<f64> {
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        people.push(person.another_window().await?);
    }
    let begun = Instant::now();
    let working = people.into_iter().map(|mut person| {
        let path = path.to_owned();
        tokio::spawn(async move {
            let request = person.page(&path);
            let mut count = 0_usize;
            while begun.elapsed() < LOAD {
                person.send(&request).await?.expect(200, &path)?;
                count += 1;
            }
            anyhow::Ok(count)
        })
    });
    let counts = try_join_all(working).await?.into_iter().collect::<Result<Vec<usize>>>()?;
    Ok(counts.iter().sum::<usize>() as f64 / begun.elapsed().as_secs_f64())
}
