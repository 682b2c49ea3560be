# The portal as a service: up, answering, confined, with libvirt in reach.
{ testers, self }:
testers.runNixOSTest {
  name = "snowglobe-portal";

  nodes.machine = {
    imports = [ self.nixosModules.portal ];
    services.snowglobe = {
      enable = true;
      publicUrl = "https://machines.example.org";
      trustedProxies = [ "127.0.0.1" ];
    };
    virtualisation.memorySize = 2048;
  };

  testScript = ''
    machine.wait_for_unit("snowglobe.service")
    machine.wait_for_open_port(3000)
    machine.succeed("curl --fail --silent http://127.0.0.1:3000/healthz")

    # One-time setup link on the first start, written to the journal of the service.
    machine.succeed("journalctl -u snowglobe.service | grep -q /setup")

    with subtest("it runs as a user of its own who can use libvirt and nothing else"):
        assert machine.succeed("systemctl show -P User snowglobe.service").strip() == "snowglobe"
        machine.succeed("su -s /bin/sh snowglobe -c 'virsh -c qemu:///system list'")
        machine.fail("su -s /bin/sh snowglobe -c 'ls /root'")

    with subtest("its files are closed to others"):
        assert machine.succeed("stat -c '%U %a' /var/lib/snowglobe").split() == ["snowglobe", "711"]
        machine.succeed("stat -c '%a' /var/lib/snowglobe/snowglobe.db | grep -qE '^6[04]0$'")
  '';
}
