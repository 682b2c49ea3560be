//! Sizes with their units in the type, and how they are written for people.

use crate::newtype::Refused;
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! bounded {
    ($(#[$meta:meta])* $name:ident, $int:ty, $low:expr, $high:expr, $what:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name($int);

        impl $name {
            /// The smallest value accepted.
            pub const MIN: u64 = $low;
            /// The largest value accepted.
            pub const MAX: u64 = $high;

            /// The number in the type's own unit.
            pub fn get(self) -> $int {
                self.0
            }
        }
        impl TryFrom<u64> for $name {
            type Error = Refused;
            fn try_from(n: u64) -> Result<Self, Refused> {
                let outside = || Refused(format!("{} must be between {} and {}.", $what, Self::MIN, Self::MAX));
                if !(Self::MIN..=Self::MAX).contains(&n) {
                    return Err(outside());
                }
                <$int>::try_from(n).map(Self).map_err(|_| outside())
            }
        }
        impl From<$name> for u64 {
            fn from(value: $name) -> u64 {
                value.0.into()
            }
        }
        impl std::str::FromStr for $name {
            type Err = Refused;
            fn from_str(text: &str) -> Result<Self, Refused> {
                let n: u64 = text
                    .trim()
                    .parse()
                    .map_err(|_| Refused(format!("{} must be a whole number.", $what)))?;
                Self::try_from(n)
            }
        }
    };
}

bounded!(
    /// A machine's memory in MiB.
    MemoryMib, u32, 128, 4 * 1024 * 1024, "Memory in MiB"
);
bounded!(
    /// A machine's number of virtual processors.
    Vcpus, u16, 1, 512, "The number of vCPUs"
);
bounded!(
    /// The size of a machine's disk for data, in GiB.
    DiskGib, u32, 1, 64 * 1024, "The disk in GiB"
);

bounded!(
    /// How many copies of a machine one form makes.
    Copies, u8, 1, 20, "The number of copies"
);

impl MemoryMib {
    /// The same in bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.0) << 20
    }
}

impl DiskGib {
    /// The largest size that a new disk can have: it is made from a sparse file of that size, and ext4 with 4 KiB
    /// blocks, which most portals keep their state on, holds no file of 16 TiB. Existing disks may be larger.
    pub const NEW_MAX: u64 = 16 * 1024 - 1;

    /// The same in bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.0) << 30
    }
}

impl fmt::Display for MemoryMib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(self.bytes()).fmt(f)
    }
}

impl fmt::Display for DiskGib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(self.bytes()).fmt(f)
    }
}

impl fmt::Display for Vcpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vCPU{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// A number of bytes, shown in binary units with at most one decimal: `1.5 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        // Tenths of the unit in whole numbers: exact, and 1023.96 KiB rounds up into “1 MiB”, not “1024 KiB”.
        let mut tenths = u128::from(self.0) * 10;
        let mut unit = "B";
        for next in UNITS {
            tenths = (tenths + 512) / 1024;
            unit = next;
            if tenths < 10_235 {
                break;
            }
        }
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole} {unit}"),
            (whole, tenth) => write!(f, "{whole}.{tenth} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_as_people_write_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (2048 << 20, "2 GiB"),
            (30 << 30, "30 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text, "{bytes}");
        }
    }

    #[test]
    fn sizes_outside_their_bounds_are_refused_with_the_bounds() {
        assert!("127".parse::<MemoryMib>().unwrap_err().0.contains("between 128"));
        assert!("".parse::<Vcpus>().is_err());
        assert!("-1".parse::<DiskGib>().is_err());
        assert!("99999999999999999999999".parse::<DiskGib>().is_err());
        assert_eq!(" 20 ".parse::<DiskGib>().unwrap().bytes(), 20 << 30);
    }
}
