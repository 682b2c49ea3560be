# The egress block stops a program and a container alike, and it is really the block: without it, both get through.
# Names resolve for all of them, because the machine's resolver is asked and not the network's.
{ pkgs, harness, ... }:
let
  probe = pkgs.dockerTools.buildImage {
    name = "probe";
    tag = "latest";
    copyToRoot = pkgs.busybox;
  };
in
harness.test {
  name = "snowglobe-egress";

  nodes = {
    machine = harness.node {
      mode = "immutable";
      profiles = [
        "claude"
        "docker"
        "podman"
      ];
      modules = [ { environment.etc."probe.tar.gz".source = probe; } ];
    };
    # A neighbour in a private network.
    neighbour = {
      networking.firewall.enable = false;
      environment.systemPackages = [ pkgs.netcat ];
    };
  };

  testScript =
    { nodes, ... }:
    harness.identity
    + ''
      boot_disk("${nodes.machine.system.build.snowglobeImage}")
      data_disk({**IDENTITY, "hosts": "192.0.2.7 printer.example.org\n"}, size="8G")
      start_all()
      wait_up(machine)
      neighbour.wait_for_unit("multi-user.target")
      neighbour.succeed("systemd-run --unit=listen nc -lk 0.0.0.0 8000")
      neighbour.wait_for_open_port(8000)
      address = neighbour.succeed("ip -4 -o addr show eth1").split()[3].split("/")[0]

      machine.wait_for_unit("docker.service")
      engines = {"docker": "docker run --rm probe", "podman": "podman run --rm localhost/probe"}
      for engine in engines:
          machine.succeed(f"{engine} load </etc/probe.tar.gz")
      ways = {
          "a user's program": f"su -l user -c 'nc -z -w 3 {address} 8000'",
          "a container of Docker": f"{engines['docker']} /bin/nc -w 3 {address} 8000 </dev/null",
          "a container of Podman": f"{engines['podman']} /bin/nc -w 3 {address} 8000 </dev/null",
      }

      for engine, command in engines.items():
          with subtest(f"a container of {engine} asks the machine's resolver"):
              assert "192.0.2.7" in machine.succeed(f"{command} /bin/nslookup printer.example.org. || true")

      for who, command in ways.items():
          with subtest(f"{who} is stopped"):
              machine.fail(command)

      with subtest("user cannot lift the block, root can"):
          machine.fail("su -l user -c 'nft delete table inet snowglobe-egress'")
          machine.succeed("nft delete table inet snowglobe-egress")

      for who, command in ways.items():
          with subtest(f"without the block, {who} gets through"):
              machine.wait_until_succeeds(command)
    '';
}
