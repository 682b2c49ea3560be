# From firmware to login prompt: virtio, systemd from the first moment, a quiet serial console, and recovery without
# anyone at a console.
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
    initrd.systemd.enable = true;

    # The last console is where systemd's generator starts a login, and where messages go.
    kernelParams = [
      "quiet"
      "console=tty0"
      "console=${serial},115200"
      "systemd.show_status=auto"
      "rd.systemd.show_status=auto"
      "udev.log_level=3"
      # Partitions are mounted by label; what the generator guesses from their types would come on top.
      "systemd.gpt_auto=no"
      # A panic reboots after ten seconds, and an initrd that fails panics instead of waiting at an emergency prompt.
      "panic=10"
      "boot.panic_on_fail"
    ];
    # The test driver wants to see more.
    consoleLogLevel = lib.mkDefault 3;

    loader.grub.enable = false;

    tmp.useTmpfs = true;
  };

  systemd = {
    # A file system that cannot be mounted must not keep the network and SSH from coming up.
    enableEmergencyMode = false;
    # Where the hypervisor provides a watchdog, it resets a machine whose systemd has stopped. Long enough for an emulated
    # machine on a busy host.
    settings.Manager.RuntimeWatchdogSec = "2min";
  };

  services.qemuGuest.enable = true;
}
