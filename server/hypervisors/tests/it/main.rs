//! libvirt for real. `test_driver` needs nothing but the library; `real` needs libvirtd, QEMU and an image.

mod real;
mod support;
mod test_driver;
