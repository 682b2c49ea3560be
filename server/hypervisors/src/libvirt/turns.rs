//! Whose turn it is among the copies of one machine that runs.

use ports::hypervisor::{HostRef, MachineRef};
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;

/// The copies that are made of each machine that runs.
#[derive(Debug, Default)]
pub struct Copies(std::sync::Mutex<HashMap<HostRef, Arc<Turns>>>);

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Turns {
    /// A domain has one background job at a time.
    pub job: Arc<Mutex<()>>,
    /// What gets a guest moving must not do so while another copy begins.
    pub still: Mutex<()>,
    /// The last copy did not end as it should: a backup may be under way, or the guest stand still.
    pub unsure: AtomicBool,
}

impl Copies {
    /// Those of a machine.
    pub fn of(&self, machine: &MachineRef) -> Arc<Turns> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(machine.host_ref.clone()).or_default().clone()
    }
}
