# A data disk that was enlarged gives a larger /var after the next boot, with everything still on it.
{ harness, ... }:
harness.test {
  name = "snowglobe-growth";

  nodes.machine = harness.node {
    mode = "immutable";
    profiles = [ ];
  };

  testScript =
    { nodes, ... }:
    harness.identity
    + ''
      boot_disk("${nodes.machine.system.build.snowglobeImage}")
      disk = data_disk(IDENTITY, size="1G")
      machine.start()
      wait_up(machine)

      def size():
          return int(machine.succeed("df --output=size -B1 /var | tail -1"))

      small = size()
      assert small < 2**30
      machine.succeed("head -c 1M /dev/urandom >/var/lib/kept && sha256sum /var/lib/kept >/var/lib/kept.sum")
      machine.shutdown()

      grow(disk, "3G")
      machine.start()
      wait_up(machine)
      assert size() > 2.5 * 2**30, size()
      machine.succeed("sha256sum -c /var/lib/kept.sum")
    '';
}
