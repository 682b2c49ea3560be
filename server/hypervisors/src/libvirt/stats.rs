//! What exists on the host and what it uses: one bulk call each, however many domains there are.

use super::error::of_host;
use super::power::from_libvirt;
use super::sys::{DomainStats, all_stats};
use ports::hypervisor::{Counters, HostRef, Result, Seen};
use virt::connect::Connect;

/// A domain that is busy with something else returns what is known at once instead of making everyone wait.
const NO_WAIT: u32 = virt_sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;

/// All domains with their states.
pub fn inventory(connect: &Connect) -> Result<Vec<Seen>> {
    let stats = all_stats(connect, virt_sys::VIR_DOMAIN_STATS_STATE, NO_WAIT)
        .map_err(of_host("Listing the host's machines"))?;
    Ok(stats.into_iter().map(seen).collect())
}

fn seen(stats: DomainStats) -> Seen {
    let value =
        |name: &str| stats.values.iter().find(|(n, _)| n == name).and_then(|(_, v)| u32::try_from(*v).ok());
    let crashed = value("state.reason") == Some(virt_sys::VIR_DOMAIN_SHUTOFF_CRASHED);
    let state = from_libvirt(value("state.state").unwrap_or(virt_sys::VIR_DOMAIN_NOSTATE), crashed);
    Seen { machine: HostRef(stats.uuid.to_string()), name: stats.name, state }
}

/// Counters of all active domains.
pub fn counters(connect: &Connect) -> Result<Vec<(HostRef, Counters)>> {
    let groups = virt_sys::VIR_DOMAIN_STATS_CPU_TOTAL
        | virt_sys::VIR_DOMAIN_STATS_BALLOON
        | virt_sys::VIR_DOMAIN_STATS_INTERFACE
        | virt_sys::VIR_DOMAIN_STATS_BLOCK;
    let active = virt_sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE;
    let stats =
        all_stats(connect, groups, active | NO_WAIT).map_err(of_host("Reading the machines' counters"))?;
    Ok(stats.iter().map(|domain| (HostRef(domain.uuid.to_string()), read(&domain.values))).collect())
}

/// Sums a domain's parameters (virConnectGetAllDomainStats(3)) into counters.
fn read(values: &[(String, u64)]) -> Counters {
    let mut counters = Counters::default();
    let mut balloon = Balloon::default();
    for (name, value) in values {
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            ["cpu", "time"] => counters.cpu_nanos = Some(*value),
            ["balloon", field] => balloon.set(field, *value),
            ["net", _, "rx", "bytes"] => add(&mut counters.net_rx, *value),
            ["net", _, "tx", "bytes"] => add(&mut counters.net_tx, *value),
            ["block", _, "rd", "bytes"] => add(&mut counters.disk_read, *value),
            ["block", _, "wr", "bytes"] => add(&mut counters.disk_written, *value),
            ["block", _, "capacity"] => add(&mut counters.disk_size, *value),
            // The file's length; qcow2 files are hardly sparse.
            ["block", _, "physical"] => add(&mut counters.disk_used, *value),
            _ => {}
        }
    }
    counters.memory_used = balloon.used();
    counters
}

fn add(sum: &mut Option<u64>, value: u64) {
    *sum = Some(sum.unwrap_or(0).saturating_add(value));
}

/// Memory figures in KiB. The first two come from the guest's balloon driver, `rss` is QEMU's own share of the host.
#[derive(Default)]
struct Balloon {
    available: Option<u64>,
    usable: Option<u64>,
    rss: Option<u64>,
}

impl Balloon {
    fn set(&mut self, field: &str, value: u64) {
        match field {
            "available" => self.available = Some(value),
            "usable" => self.usable = Some(value),
            "rss" => self.rss = Some(value),
            _ => {}
        }
    }

    fn used(&self) -> Option<u64> {
        let guest = self.available.zip(self.usable).and_then(|(all, free)| all.checked_sub(free));
        guest.or(self.rss).and_then(|kib| kib.checked_mul(1024))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn disks_and_cards_are_summed() {
        let counters = read(&values(&[
            ("cpu.time", 7),
            ("block.count", 2),
            ("block.0.rd.bytes", 10),
            ("block.1.rd.bytes", 5),
            ("block.0.rd.reqs", 99),
            ("block.1.physical", 4096),
            ("net.0.rx.bytes", 3),
            ("net.0.rx.drop", 1000),
        ]));
        assert_eq!(counters.cpu_nanos, Some(7));
        assert_eq!(counters.disk_read, Some(15));
        assert_eq!(counters.disk_used, Some(4096));
        assert_eq!(counters.net_rx, Some(3));
        assert_eq!(counters.net_tx, None);
    }

    #[test]
    fn the_guests_own_word_on_memory_wins_and_nonsense_does_not() {
        let guest =
            read(&values(&[("balloon.available", 1000), ("balloon.usable", 400), ("balloon.rss", 9000)]));
        assert_eq!(guest.memory_used, Some(600 * 1024));
        let lying = read(&values(&[("balloon.available", 1), ("balloon.usable", 400), ("balloon.rss", 9)]));
        assert_eq!(lying.memory_used, Some(9 * 1024));
        assert_eq!(read(&values(&[("balloon.rss", u64::MAX)])).memory_used, None);
    }
}
