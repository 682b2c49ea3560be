# A mutable machine rebuilds itself from /etc/nixos under its own name, keeps its identity, and grows with its disk.
#
# There is no network in here. What the rebuild will need was built beforehand from the same files, so that Nix in the
# machine evaluates its own flake, finds everything in its store, activates it and installs the boot entry; if the
# evaluation had any other result, it would have to build, could not, and the test would fail.
{
  lib,
  pkgs,
  harness,
  mkSystem,
  nixpkgs,
  home-manager,
  ...
}:
let
  profiles = [ ];
  rebuilt = mkSystem {
    inherit profiles;
    inherit (pkgs.stdenv.hostPlatform) system;
    mode = "mutable";
    modules = [ ./rebuilt.nix ];
  };
  after = rebuilt.config.system.build.toplevel;
in
harness.test {
  name = "snowglobe-mutable";

  nodes.machine = harness.node {
    inherit profiles;
    mode = "mutable";
    modules = [
      {
        system.extraDependencies = [
          after
          nixpkgs.outPath
          home-manager.outPath
        ];
        nix.settings.substituters = lib.mkForce [ ];
        # Nix evaluates a whole system in there.
        virtualisation.memorySize = lib.mkForce 4096;
      }
    ];
  };

  testScript =
    { nodes, ... }:
    ''
      boot_disk("${nodes.machine.system.build.snowglobeImage}")
      run("${pkgs.qemu-utils}/bin/qemu-img", "resize", "-q", os.environ["NIX_DISK_IMAGE"], "+10G")
      machine.start()
      wait_up(machine)

      with subtest("one disk, writable, grown"):
          machine.succeed("touch /written")
          free = int(machine.succeed("df --output=avail -B1 / | tail -1"))
          assert free > 9 * 2**30, free

      with subtest("the identity lies on the same disk and is applied"):
          machine.succeed("echo snowball >/var/identity/hostname")
          machine.wait_until_succeeds("test $(hostname) = snowball")
          machine.wait_until_succeeds("grep -qx snowball /etc/nixos/hostname")

      with subtest("it rebuilds itself under its own name"):
          machine.succeed("cp ${./rebuilt.nix} /etc/nixos/configuration.nix")
          machine.succeed("nixos-rebuild switch --option substitute false >&2")
          assert machine.succeed("cat /etc/rebuilt").strip() == "yes"
          assert machine.succeed("hostname").strip() == "snowball"
          assert machine.succeed("readlink -f /run/current-system").strip() == "${after}"

      with subtest("and boots what it built"):
          machine.shutdown()
          machine.start()
          wait_up(machine)
          assert machine.succeed("readlink -f /run/booted-system").strip() == "${after}"
    '';
}
