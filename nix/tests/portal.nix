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
      auditKeyFile = "/run/keys/audit";
    };
    systemd.tmpfiles.rules = [ "f /run/keys/audit 0400 root root - 0123456789abcdef0123456789abcdef" ];
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

    with subtest("the key of its audit log is one that only root can read, and it makes none of its own"):
        machine.fail("su -s /bin/sh snowglobe -c 'cat /run/keys/audit'")
        machine.succeed("test -e /var/lib/snowglobe/audit.head")
        machine.fail("test -e /var/lib/snowglobe/audit.key")
  '';
}
