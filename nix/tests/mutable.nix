# A mutable machine rebuilds itself from /etc/nixos, keeps its identity, and grows with its disk. No network: nixpkgs and all
# that a rebuild needs are in the image.
{
  pkgs,
  harness,
  nixpkgs,
  home-manager,
  ...
}:
harness.test {
  name = "snowglobe-mutable";

  nodes.machine = harness.node {
    mode = "mutable";
    profiles = [ ];
    modules = [
      {
        system.includeBuildDependencies = true;
        system.extraDependencies = [
          nixpkgs.outPath
          home-manager.outPath
        ];
        virtualisation.memorySize = nixpkgs.lib.mkForce 4096;
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
          machine.succeed("""cat >/etc/nixos/configuration.nix <<'EOF'
      { modulesPath, ... }:
      {
        # The test driver's way in.
        imports = [ "''${modulesPath}/testing/test-instrumentation.nix" ];
        environment.etc.rebuilt.text = "yes";
      }
      EOF""")
          machine.succeed("nixos-rebuild switch --option substitute false >&2")
          assert machine.succeed("cat /etc/rebuilt").strip() == "yes"
          assert machine.succeed("hostname").strip() == "snowball"

      with subtest("and boots what it built"):
          machine.shutdown()
          machine.start()
          wait_up(machine)
          machine.succeed("test -e /etc/rebuilt")
    '';
}
