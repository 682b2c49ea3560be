//! `cargo xtask doctor`: what is installed, what is missing, and how to get it. Changes nothing.

use anyhow::{Result, bail};

use crate::distribution::Family;
use crate::kvm;
use crate::libvirt;
use crate::project::Project;
use crate::system::{self, For};
use crate::toolchain;

/// Prints a line per need. An error when something is missing, so that scripts can use it too.
pub fn run(project: &Project) -> Result<()> {
    let family = Family::detect();
    println!("checkout {}, caches in {}", project.root.display(), project.cache.display());
    let mut missing = 0_usize;
    for (need, met) in system::survey(&[For::Portal, For::Tests]) {
        if met {
            println!("ok       {}", need.name());
            continue;
        }
        missing += 1;
        println!(
            "missing  {}: needed to {}{}; {}",
            need.name(),
            need.purpose,
            if need.why == For::Tests { " (tests only)" } else { "" },
            family.advice(&need.packages(family))
        );
    }
    println!("{}", toolchain::describe());
    println!("{}", libvirt::describe());
    println!("{}", kvm::describe());
    if missing > 0 {
        bail!("{missing} things are missing; `cargo xtask up` and `cargo xtask test` install them");
    }
    Ok(())
}
