# From firmware to login prompt: virtio, systemd from the first moment, a quiet serial console.
{
  modulesPath,
  lib,
  pkgs,
  ...
}:
let
  serial = if pkgs.stdenv.hostPlatform.isAarch64 then "ttyAMA0" else "ttyS0";
in
{
  imports = [ "${modulesPath}/profiles/qemu-guest.nix" ];

  boot = {
    initrd = {
      systemd.enable = true;
      # libvirt gives virtio disks, Proxmox can give SCSI or SATA ones.
      availableKernelModules = [
        "ahci"
        "sd_mod"
        "virtio_blk"
        "virtio_pci"
        "virtio_scsi"
      ];
    };

    # The last console is the one that systemd's generator starts a login on, and where messages go.
    kernelParams = [
      "quiet"
      "console=tty0"
      "console=${serial},115200"
      "systemd.show_status=auto"
      "rd.systemd.show_status=auto"
      "udev.log_level=3"
      # Partitions are mounted by label; what the generator guesses from their types would come on top.
      "systemd.gpt_auto=no"
    ];
    # The test driver wants to see more.
    consoleLogLevel = lib.mkDefault 3;

    loader.grub.enable = false;

    tmp.useTmpfs = true;

    # A machine that hangs while nobody watches its console should come back by itself.
    kernel.sysctl."kernel.panic" = lib.mkDefault 10;
  };

  services.qemuGuest.enable = true;
}
