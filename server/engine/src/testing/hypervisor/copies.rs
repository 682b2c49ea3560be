//! Copies of disks, in the steps in which a real host makes them: a crash may come between any two.

use super::port::{failed, must_have_place};
use super::{Disk, MemoryHypervisor, World};
use model::machine::MachineState;
use ports::hypervisor::{CopyEvent, CopyListener, DiskRole, MachineRef, Result, Volume};
use std::sync::MutexGuard;
use tokio::task::yield_now;

const WHAT: &str = "copying the disk";

impl MemoryHypervisor {
    pub(super) async fn copy(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
        listener: &CopyListener,
    ) -> Result<Volume> {
        if let Some(finished) = self.begin(machine, volume, to, role)? {
            return Ok(finished);
        }
        let copied = self.copy_begun(machine, volume, to, role, listener).await;
        // A host that does not answer cannot be told; the next try, or the end of it, finds what is left.
        if copied.is_err() && self.end(machine, to).is_ok() {
            self.world("copy_disk")?.disks.retain(|_, disk| disk.place != to.name || !disk.unfinished);
        }
        copied
    }

    async fn copy_begun(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
        listener: &CopyListener,
    ) -> Result<Volume> {
        let was = self.world("copy_disk")?.state(machine);
        if was == MachineState::Running {
            self.freeze(machine)?;
            yield_now().await;
        }
        self.still(machine, was)?.copying.insert((machine.host_ref.clone(), to.name.clone()));
        yield_now().await;
        if was == MachineState::Running {
            self.thaw(machine, listener)?;
            yield_now().await;
        }
        listener(CopyEvent::Progress { done: 1, of: 1 });
        self.finish(machine, volume, to, role, was)
    }

    /// Ends what an interrupted copy left.
    pub(super) fn end(&self, machine: &MachineRef, to: &MachineRef) -> Result<()> {
        let mut world = self.world("end_copy")?;
        world.frozen.remove(&machine.host_ref);
        world.copying.remove(&(machine.host_ref.clone(), to.name.clone()));
        Ok(())
    }

    /// Makes the unfinished copy, or finds a finished one.
    fn begin(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
    ) -> Result<Option<Volume>> {
        let mut world = self.world("copy_disk")?;
        world.place(machine)?;
        must_have_place(&world, to)?;
        let source = world.disks.get(&volume.0).filter(|disk| disk.place == machine.name);
        let source = source.ok_or_else(|| failed(WHAT, "there is no such disk"))?.clone();
        let found = world.copy_of(to, role).map(|(name, disk)| (name.clone(), disk.unfinished));
        match found {
            Some((name, false)) => return Ok(Some(Volume(name))),
            Some((name, true)) => drop(world.disks.remove(&name)),
            None => {}
        }
        // What an earlier try left.
        world.frozen.remove(&machine.host_ref);
        world.copying.remove(&(machine.host_ref.clone(), to.name.clone()));
        let name = self.free_volume(&world, to, role, 1);
        let copy = Disk {
            place: to.name.clone(),
            role,
            generation: 1,
            unfinished: true,
            files: Default::default(),
            ..source
        };
        world.disks.insert(name, copy);
        Ok(None)
    }

    /// The guest's file systems stand still.
    fn freeze(&self, machine: &MachineRef) -> Result<()> {
        let mut world = self.world("freeze")?;
        world.frozen.insert(machine.host_ref.clone());
        Ok(())
    }

    fn thaw(&self, machine: &MachineRef, listener: &CopyListener) -> Result<()> {
        self.world("thaw")?.frozen.remove(&machine.host_ref);
        listener(CopyEvent::StoodStill { millis: 0 });
        Ok(())
    }

    /// The world, if the machine is in the state in which its copy began.
    fn still(&self, machine: &MachineRef, was: MachineState) -> Result<MutexGuard<'_, World>> {
        let world = self.world("copy_disk")?;
        if world.state(machine) == was {
            return Ok(world);
        }
        Err(failed(WHAT, "the machine was switched on or off meanwhile"))
    }

    fn finish(
        &self,
        machine: &MachineRef,
        volume: &Volume,
        to: &MachineRef,
        role: DiskRole,
        was: MachineState,
    ) -> Result<Volume> {
        let mut world = self.still(machine, was)?;
        world.copying.remove(&(machine.host_ref.clone(), to.name.clone()));
        let missing = || failed(WHAT, "the disk is gone");
        let files = world.disks.get(&volume.0).ok_or_else(missing)?.files.clone();
        let name = world.copy_of(to, role).map(|(name, _)| name.clone()).ok_or_else(missing)?;
        let copy = world.disks.get_mut(&name).ok_or_else(missing)?;
        (copy.files, copy.unfinished) = (files, false);
        Ok(Volume(name))
    }
}

impl World {
    fn state(&self, machine: &MachineRef) -> MachineState {
        self.domains.get(&machine.host_ref).map_or(MachineState::Configured, |domain| domain.state)
    }

    /// The disk of a machine that a copy becomes.
    fn copy_of(&self, to: &MachineRef, role: DiskRole) -> Option<(&String, &Disk)> {
        self.disk(&to.name, role, 1)
    }
}
