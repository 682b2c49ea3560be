# The identity is applied at boot, and again when its files change, removals included.
{ pkgs, harness, ... }:
let
  keys = pkgs.runCommand "test-keys" { nativeBuildInputs = [ pkgs.openssh ]; } ''
    mkdir $out
    ssh-keygen -q -t ed25519 -N "" -f $out/key
  '';
in
harness.test {
  name = "snowglobe-identity";

  nodes = {
    machine = harness.node {
      mode = "immutable";
      profiles = [ ];
    };
    client.environment.systemPackages = [
      pkgs.netcat
      pkgs.openssh
    ];
  };

  testScript =
    { nodes, ... }:
    harness.identity
    + ''
      PUBLIC_KEY = Path("${keys}/key.pub").read_text()
      # Not the hash of any password: only its format matters.
      HASH = "$6$rounds=5000$globe$" + "x" * 86

      boot_disk("${nodes.machine.system.build.snowglobeImage}")
      data_disk({**IDENTITY, "admin_authorized_keys": PUBLIC_KEY, "root_password_hash": HASH})
      start_all()
      wait_up(machine)
      client.wait_for_unit("multi-user.target")
      machine.wait_until_succeeds("ip -4 -o addr show eth1 | grep -q inet")
      address = machine.succeed("ip -4 -o addr show eth1").split()[3].split("/")[0]
      client.succeed("install -m600 ${keys}/key /tmp/key")
      ssh = f"ssh -i /tmp/key -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=5 admin@{address}"

      def open_port(port, to=address):
          return client.execute(f"nc -z -w 3 {to} {port}")[0] == 0

      def listen(*ports):
          for port in ports:
              # IPv6 and, mapped, IPv4.
              machine.succeed(f"systemd-run --unit=listen-{port} nc -lk :: {port}")
              machine.wait_for_open_port(port)

      def rewrite(file, text):
          """As the portal does it: beside, then renamed. The path unit must notice."""
          machine.succeed(f"printf '%s' '{text}' >/var/identity/{file}.new && mv /var/identity/{file}.new /var/identity/{file}")

      with subtest("name and id are those of the identity, from the first moment"):
          assert machine.succeed("hostname").strip() == "snowball"
          assert machine.succeed("hostnamectl --static").strip() == "snowball"
          assert machine.succeed("cat /etc/machine-id").strip() == MACHINE_ID
          # PID 1 does not consider this a first boot, and the journal is named after no other id.
          machine.fail("test -e /run/systemd/first-boot")
          assert machine.succeed("ls /var/log/journal").split() == [MACHINE_ID]

      with subtest("ports: comments, ranges, a last line without newline; nothing else"):
          listen(8001, 9000, 9001)
          assert open_port(22) and open_port(8001) and open_port(9000)
          assert not open_port(9001)
          address6 = machine.succeed("ip -6 -o addr show eth1 scope global").split()[3].split("/")[0]
          client.wait_until_succeeds(f"nc -z -w 3 {address6} 9000")
          assert not open_port(9001, address6)
          rules = machine.succeed("nft list table inet snowglobe")
          assert "udp dport 5353 accept" in rules, rules

      with subtest("keys, hosts, DNS, root's password"):
          client.succeed(f"{ssh} true")
          assert "192.0.2.7" in machine.succeed("getent hosts printer")
          assert "192.0.2.53" in machine.succeed("resolvectl dns --no-pager; cat /run/systemd/resolve/resolv.conf")
          assert HASH in machine.succeed("getent shadow root")

      with subtest("a host key was made, and is the one that sshd shows"):
          shown = client.succeed(f"ssh-keyscan -t ed25519 {address} 2>/dev/null").split()[2]
          assert shown in machine.succeed("ssh-keygen -yf /var/identity/ssh_host_ed25519_key")

      with subtest("a port that is taken away closes, another opens, without a reboot"):
          rewrite("tcp_ports", "22\n9001")
          machine.wait_until_succeeds("nft list table inet snowglobe | grep -q 'tcp dport 9001 accept'")
          machine.wait_until_fails("nft list table inet snowglobe | grep -q 'tcp dport 9000 accept'")
          assert open_port(9001) and not open_port(9000) and not open_port(8001)

      with subtest("a file that is removed takes its effect along"):
          machine.succeed("rm /var/identity/root_password_hash /var/identity/hosts")
          machine.wait_until_succeeds("getent shadow root | grep -q '^root:!:'")
          machine.wait_until_fails("getent hosts printer")
          machine.succeed(": >/var/identity/admin_authorized_keys")
          machine.wait_until_fails("test -s /run/snowglobe/authorized_keys/admin")
          client.fail(f"{ssh} true")

      with subtest("the portal's own call does the same, at once"):
          rewrite("hostname", "snowdrift")
          machine.succeed("/run/current-system/sw/bin/snowglobe-identity")
          assert machine.succeed("hostname").strip() == "snowdrift"

      with subtest("a malformed file costs its own concern only"):
          rewrite("machine-id", "not an id")
          rewrite("static_address", "address=1.2.3")
          machine.fail("/run/current-system/sw/bin/snowglobe-identity")
          rewrite("tcp_ports", "22\nnonsense\n9000")
          machine.execute("/run/current-system/sw/bin/snowglobe-identity")
          assert open_port(9000)

      with subtest("an extra authority is trusted until it is removed"):
          machine.succeed("cp /etc/ssl/certs/ca-certificates.crt /tmp/before")
          machine.succeed("sed -n '/BEGIN/,/END/p;/END/q' /tmp/before >/var/identity/ca-cert.pem")
          machine.wait_until_succeeds("test $(wc -c </etc/ssl/certs/ca-certificates.crt) -gt $(wc -c </tmp/before)")
          machine.succeed("rm /var/identity/ca-cert.pem")
          machine.wait_until_succeeds("cmp /etc/ssl/certs/ca-certificates.crt /tmp/before")
    '';
}
