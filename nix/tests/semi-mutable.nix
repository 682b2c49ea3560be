# A semi-mutable machine installs a package, keeps it over a reboot, and forgets it when the layer is wiped.
{
  lib,
  pkgs,
  harness,
  ...
}:
harness.test {
  name = "snowglobe-semi-mutable";

  nodes.machine = harness.node {
    mode = "semi-mutable";
    profiles = [ ];
    modules = [
      {
        # No network in here: the package comes from a binary cache in a file.
        environment.etc."test-cache".source = pkgs.mkBinaryCache { rootPaths = [ pkgs.hello ]; };
        nix.settings = {
          substituters = lib.mkForce [ "file:///etc/test-cache" ];
          require-sigs = false;
        };
      }
    ];
  };

  testScript =
    { nodes, ... }:
    harness.identity
    + ''
      boot_disk("${nodes.machine.system.build.snowglobeImage}")
      disk = data_disk(IDENTITY, size="4G")
      machine.start()
      wait_up(machine)

      with subtest("the root is read-only, the store knows its paths"):
          machine.fail("touch /written")
          machine.succeed("nix-store --verify-path $(readlink -f /run/booted-system)")

      with subtest("a package is installed and survives a reboot"):
          machine.fail("test -e ${pkgs.hello}")
          machine.succeed("su -l user -c 'nix-env -i ${pkgs.hello}' && su -l user -c hello")
          machine.shutdown()
          machine.start()
          wait_up(machine)
          machine.succeed("su -l user -c hello")

      with subtest("collecting garbage leaves the system alone"):
          machine.succeed("nix-collect-garbage")
          machine.succeed("nix-store --verify --check-contents $(readlink -f /run/booted-system)")

      with subtest("with the layer wiped it is as it was made"):
          machine.succeed("touch /var/nix-overlay/wipe-me")
          machine.shutdown()
          run("${pkgs.qemu-utils}/bin/qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, workdir / "wipe.raw")
          run("${pkgs.e2fsprogs}/bin/debugfs", "-w", "-R", "rename /nix-overlay /nix-overlay.old", workdir / "wipe.raw")
          run("${pkgs.qemu-utils}/bin/qemu-img", "convert", "-f", "raw", "-O", "qcow2", workdir / "wipe.raw", disk)
          machine.start()
          wait_up(machine)
          machine.fail("test -e ${pkgs.hello}")
          machine.succeed("nix-store --verify-path $(readlink -f /run/booted-system)")
    '';
}
