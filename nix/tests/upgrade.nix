# Another image, with more services in it, on the same data disk: files, owners, identity and host key stay.
{ harness, ... }:
harness.test {
  name = "snowglobe-upgrade";

  nodes = {
    before = harness.node {
      mode = "immutable";
      profiles = [ ];
    };
    after = harness.node {
      mode = "immutable";
      profiles = [
        "docker"
        "podman"
      ];
    };
  };

  testScript =
    { nodes, ... }:
    harness.identity
    + ''
      data_disk(IDENTITY)

      boot_disk("${nodes.before.system.build.snowglobeImage}", "before")
      before.start()
      wait_up(before)
      before.succeed("su -l user -c 'echo mine >~/file'")
      before.succeed("su -l admin -c 'echo mine >~/file'")

      def state(machine):
          return {
              "key": machine.succeed("cat /var/identity/ssh_host_ed25519_key"),
              "id": machine.succeed("cat /etc/machine-id"),
              "name": machine.succeed("hostname"),
              "user": machine.succeed("stat -c '%U %u %a' /home/user/file /home/user"),
              "admin": machine.succeed("stat -c '%U %u %a' /home/admin/file /home/admin"),
              # Ids once assigned are not assigned to another user.
              "ids": machine.succeed("cut -d: -f1,3 /etc/passwd | sort"),
          }

      old = state(before)
      before.shutdown()

      boot_disk("${nodes.after.system.build.snowglobeImage}", "after")
      after.start()
      wait_up(after)
      new = state(after)
      assert set(old["ids"].split()) <= set(new["ids"].split()), (old["ids"], new["ids"])
      for part in ["key", "id", "name", "user", "admin"]:
          assert old[part] == new[part], part
      after.wait_for_unit("docker.service")
    '';
}
