//! Progress in a few plain lines: `[3/7] building the portal … 12 s`.
//!
//! For `up` and `build`, which do one thing after another. `test` runs parts side by side and prints by itself.

use std::io::Write as _;
use std::time::Instant;

use anyhow::Result;

/// Numbers the steps of one command.
pub struct Steps {
    total: usize,
    done: usize,
}

/// What a running step may print. Ends the step's line first, so that nothing is glued to it.
pub struct Line {
    open: std::cell::Cell<bool>,
}

impl Steps {
    /// Starts counting to `total`.
    pub fn new(total: usize) -> Self {
        Self { total, done: 0 }
    }

    /// Runs one step under its line.
    pub fn step<T>(&mut self, what: &str, work: impl FnOnce(&Line) -> Result<T>) -> Result<T> {
        self.done += 1;
        print!("[{}/{}] {what} … ", self.done, self.total);
        flush();
        let started = Instant::now();
        let line = Line { open: std::cell::Cell::new(true) };
        let outcome = work(&line);
        let seconds = started.elapsed().as_secs();
        match (&outcome, line.open.get()) {
            (Ok(_), true) => println!("{seconds} s"),
            (Ok(_), false) => println!("      {seconds} s"),
            (Err(_), _) => println!("failed after {seconds} s"),
        }
        outcome
    }
}

impl Line {
    /// For work outside of numbered steps: notes are lines like any other.
    pub fn plain() -> Self {
        Self { open: std::cell::Cell::new(false) }
    }

    /// Prints one thing that the user should know, below the step.
    pub fn note(&self, text: &str) {
        if self.open.replace(false) {
            println!();
        }
        println!("      {text}");
        flush();
    }
}

/// Standard output may be a pipe; its reader wants to see what is going on. Having no reader is no error.
fn flush() {
    let _ = std::io::stdout().flush();
}
