//! What a machine is born with: identifiers drawn at random. Whether they are unique is for the database to decide.

use crate::error::{Error, Result};
use model::machine::HardwareIds;
use uuid::Uuid;

/// Draws new hardware ids at random.
pub(crate) fn hardware_ids() -> Result<HardwareIds> {
    let [a, b, c, ..] = Uuid::new_v4().into_bytes();
    Ok(HardwareIds {
        uuid: Uuid::new_v4(),
        // 52:54:00 is what QEMU and libvirt use: locally administered, never a bought card's.
        mac: format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
            .parse()
            .map_err(Error::damaged("a drawn network address"))?,
        machine_id: Uuid::new_v4()
            .simple()
            .to_string()
            .parse()
            .map_err(Error::damaged("a drawn machine id"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_ids_differ_and_are_of_the_right_form() {
        let (one, two) = (hardware_ids().unwrap(), hardware_ids().unwrap());
        assert!(one.mac.as_str().starts_with("52:54:00:"));
        assert!(one.uuid != two.uuid && one.machine_id != two.machine_id);
    }
}
