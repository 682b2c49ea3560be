//! How long it takes from a built image to a running domain, through the whole portal, compared with the same work by
//! bare tools.

use crate::bare::{self, Pattern, Way};
use crate::person::step_millis;
use crate::report::{Figure, Samples, Target, Unit, millis};
use crate::tiny::Tiny;
use anyhow::{Context as _, Result};
use std::time::{Duration, Instant};

/// Rounds; the first, in which caches fill, does not count.
const ROUNDS: usize = 8;
/// Rounds with guestfish, which takes seconds.
const GUESTFISH_ROUNDS: usize = 3;
/// The targets, in milliseconds.
const TARGET: Target = Target::AtMost(350.0);

/// Runs the figures.
///
/// # Errors
/// If a machine cannot be made.
pub async fn run() -> Result<Vec<Figure>> {
    let mut tiny = Tiny::begin().await?;
    let mut measured = Measured::default();
    let mut pattern = None;
    for round in 0..=ROUNDS {
        let (steps, wall) = by_portal(&mut tiny, &mut pattern).await?;
        let pattern = pattern.as_ref().context("the first round takes the pattern")?;
        let tools = pattern.create(&tiny, "bench-tools", Way::Mke2fs).await?;
        bare::remove(&tiny, "bench-tools").await?;
        if round > 0 {
            measured.steps.push(steps);
            measured.wall.push(wall);
            measured.tools.push(tools);
        }
    }
    if bare::has_guestfish().await {
        let pattern = pattern.as_ref().context("the first round takes the pattern")?;
        for _ in 0..GUESTFISH_ROUNDS {
            measured.guestfish.push(pattern.create(&tiny, "bench-fish", Way::Guestfish).await?);
            bare::remove(&tiny, "bench-fish").await?;
        }
    }
    tiny.end().await?;
    measured.figures()
}

#[derive(Default)]
struct Measured {
    /// From the first step after the image to the end of the start, by the job's own clock, in milliseconds.
    steps: Vec<f64>,
    /// From the posted form to the frame that shows the browser that the machine runs.
    wall: Vec<Duration>,
    tools: Vec<Duration>,
    guestfish: Vec<Duration>,
}

impl Measured {
    fn figures(self) -> Result<Vec<Figure>> {
        let none = "nothing was measured";
        let tools = millis(&self.tools).context(none)?;
        let fish = millis(&self.guestfish);
        let rows = [
            ("start: image built → domain running, steps", Samples::new(self.steps).context(none)?),
            ("start: form posted → browser knows it runs", millis(&self.wall).context(none)?),
        ];
        let figure = |(name, samples)| {
            let figure =
                Figure::new(name, Unit::Millis, samples).target(TARGET).beside("bare tools", tools.clone());
            match &fish {
                Some(fish) => figure.beside("guestfish", fish.clone()),
                None => figure,
            }
        };
        Ok(rows.into_iter().map(figure).collect())
    }
}

/// One machine by the portal; the first one leaves the pattern for the others.
async fn by_portal(tiny: &mut Tiny, pattern: &mut Option<Pattern>) -> Result<(f64, Duration)> {
    const NAME: &str = "bench-portal";
    let begun = Instant::now();
    let job = tiny.create(NAME).await?;
    let view = tiny.started(job).await?;
    let wall = begun.elapsed();
    let steps = step_millis(&view, "disks.create", "power.start")?;
    if pattern.is_none() {
        *pattern = Some(Pattern::of(tiny, NAME).await?);
    }
    // What remains of the job is waiting for the guest's address, which takes as long as a boot. Cancelling undoes all.
    tiny.undo(job).await?;
    Ok((steps as f64, wall))
}
