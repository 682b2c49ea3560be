//! The memory hypervisor is held to the contract of all hypervisors; a lenient stand-in would make every other test worthless.

use engine::testing::contract::{Subject, holds};
use engine::testing::hypervisor::{MemoryHypervisor, THICK, THIN};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn the_memory_hypervisor_keeps_the_contract() {
    for capabilities in [THIN, THICK] {
        let subject = Subject {
            hypervisor: Arc::new(MemoryHypervisor::new(capabilities)),
            image: "/nix/store/x-image/nixos.qcow2".into(),
            patience: Duration::from_secs(10),
        };
        holds(&subject).await;
    }
}
