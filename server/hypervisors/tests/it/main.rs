//! libvirt for real. `test_driver` needs nothing but the library; `real` needs libvirtd, QEMU and an image.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows the test functions, not what they share"
)]

mod real;
mod support;
mod test_driver;
