# A semi-mutable machine installs a package, keeps it over a reboot, and forgets it when the layer is wiped.
{ lib, harness, ... }:
harness.test {
  name = "snowglobe-semi-mutable";

  nodes.machine = harness.node {
    mode = "semi-mutable";
    profiles = [ ];
    modules = [
      {
        # Nothing can be downloaded in here: what is installed is built from almost nothing.
        nix.settings.substituters = lib.mkForce [ ];
        environment.etc."thing.nix".text = ''
          derivation {
            name = "thing";
            system = builtins.currentSystem;
            builder = "/bin/sh";
            args = [ "-c" "echo kept >$out" ];
          }
        '';
      }
    ];
  };

  testScript =
    { nodes, ... }:
    harness.identity
    + ''
      boot_disk("${nodes.machine.system.build.snowglobeImage}")
      data_disk(IDENTITY, size="4G")
      machine.start()
      wait_up(machine)

      with subtest("the root is read-only, the store knows its paths"):
          machine.fail("touch /written")
          machine.succeed("nix-store --verify-path $(readlink -f /run/booted-system)")

      with subtest("what a user builds survives a reboot"):
          machine.succeed("su -l user -c 'nix-build /etc/thing.nix -o thing'")
          machine.shutdown()
          machine.start()
          wait_up(machine)
          assert machine.succeed("cat /home/user/thing").strip() == "kept"

      with subtest("collecting garbage leaves it and the system alone"):
          machine.succeed("nix-collect-garbage")
          machine.succeed("cat /home/user/thing")
          machine.succeed("nix-store --verify --check-contents")

      with subtest("with the layer wiped it is as it was made"):
          machine.succeed("mv /var/nix-overlay /var/nix-overlay.old")
          machine.shutdown()
          machine.start()
          wait_up(machine)
          machine.fail("cat /home/user/thing")
          machine.succeed("nix-store --verify-path $(readlink -f /run/booted-system)")
    '';
}
