//! What was measured, and how it is printed: one line per figure.
//!
//! A line has the figure's name, what was measured (median, range, number of samples), the target, the reference
//! measured in the same run on the same computer, the ratio of the two, and whether the target was reached. A missed
//! target is reported but is no error: times depend on the computer. Every other module of the bench makes [`Figure`]s.

use std::fmt::Write as _;
use std::time::Duration;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Things per second; the thing's name.
    PerSecond(&'static str),
    /// Megabytes (10^6 bytes) per second.
    MegabytesPerSecond,
    /// Bytes, shown as kB (10^3).
    Bytes,
    /// KiB, shown as MB (10^6), as the kernel reports memory.
    Kibibytes,
    /// How many times something is something else.
    Times,
    /// Things; their name.
    Count(&'static str),
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Millis if value < 10.0 => format!("{value:.2} ms"),
            Unit::Millis => format!("{value:.0} ms"),
            Unit::PerSecond(what) => format!("{value:.0} {what}/s"),
            Unit::MegabytesPerSecond => format!("{value:.1} MB/s"),
            Unit::Bytes => format!("{:.1} kB", value / 1e3),
            Unit::Kibibytes => format!("{:.1} MB", value * 1024.0 / 1e6),
            Unit::Times => format!("{value:.2} times"),
            Unit::Count(what) => format!("{value:.0} {what}"),
        }
    }
}

/// A figure's target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
    /// Printed for comparison; no target.
    None,
}

/// The samples of one quantity, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Samples in any order; without one there is nothing to report.
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|v| v.is_finite());
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    /// A quantity that is counted rather than sampled.
    pub fn one(value: f64) -> Self {
        Self(vec![value])
    }

    /// The middle sample; of an even number the upper one of the two.
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn range(&self) -> (f64, f64) {
        (self.0.first().copied().unwrap_or(f64::NAN), self.0.last().copied().unwrap_or(f64::NAN))
    }
}

/// Durations as milliseconds.
pub fn millis(durations: &[Duration]) -> Option<Samples> {
    Samples::new(durations.iter().map(|d| d.as_secs_f64() * 1e3).collect())
}

/// The same work done by something else, in the same run.
#[derive(Clone, Debug)]
pub struct Reference {
    /// By what.
    pub by: &'static str,
    /// Its samples, in the figure's unit.
    pub samples: Samples,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// What was measured.
    pub samples: Samples,
    /// The unit.
    pub unit: Unit,
    /// The target.
    pub target: Target,
    /// What it is compared with.
    pub references: Vec<Reference>,
}

impl Figure {
    /// A figure without a target and without a reference.
    pub fn new(name: impl Into<String>, unit: Unit, samples: Samples) -> Self {
        Self { name: name.into(), samples, unit, target: Target::None, references: Vec::new() }
    }

    /// With a target.
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }

    /// With the same work done by something else.
    pub fn beside(mut self, by: &'static str, samples: Samples) -> Self {
        self.references.push(Reference { by, samples });
        self
    }

    /// Whether the target was reached; none if there is no target.
    pub fn is_reached(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(most) => Some(self.samples.median() <= most),
            Target::AtLeast(least) => Some(self.samples.median() >= least),
            Target::None => None,
        }
    }

    /// The line.
    pub fn line(&self) -> String {
        let mut line = format!("{:<46} {}", self.name, self.measured());
        match self.target {
            Target::AtMost(most) => push(&mut line, &format!("target ≤ {}", self.unit.show(most))),
            Target::AtLeast(least) => push(&mut line, &format!("target ≥ {}", self.unit.show(least))),
            Target::None => {}
        }
        for reference in &self.references {
            let (ours, theirs) = (self.samples.median(), reference.samples.median());
            push(&mut line, &format!("{} {}", reference.by, self.unit.show(theirs)));
            if theirs > 0.0 {
                push(&mut line, &format!("ratio {:.2}", ours / theirs));
            }
        }
        match self.is_reached() {
            Some(true) => push(&mut line, "ok"),
            Some(false) => push(&mut line, "MISSED"),
            None => {}
        }
        line
    }

    fn measured(&self) -> String {
        let median = self.unit.show(self.samples.median());
        if self.samples.0.len() == 1 {
            return median;
        }
        let (least, most) = self.samples.range();
        let (least, most) = (self.unit.show(least), self.unit.show(most));
        format!("{median} ({least} – {most}, n={})", self.samples.0.len())
    }
}

fn push(line: &mut String, part: &str) {
    // Writing to a string cannot fail.
    let _ = write!(line, " | {part}");
}

/// The closing line.
pub fn summary(figures: &[Figure]) -> String {
    let reached = figures.iter().filter(|f| f.is_reached() == Some(true)).count();
    let missed = figures.iter().filter(|f| f.is_reached() == Some(false)).count();
    format!("{reached} targets reached, {missed} missed")
}
