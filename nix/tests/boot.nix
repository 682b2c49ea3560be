# An immutable machine comes up, and nothing but /var can be written.
{ harness, ... }:
harness.test {
  name = "snowglobe-boot";

  nodes.machine = harness.node {
    mode = "immutable";
    profiles = [ ];
  };

  testScript =
    { nodes, ... }:
    harness.identity
    + ''
      boot_disk("${nodes.machine.system.build.snowglobeImage}")
      data_disk(IDENTITY)
      machine.start()
      wait_up(machine)

      with subtest("systemd-boot and one unified kernel image booted it"):
          assert "systemd-boot" in machine.succeed("bootctl status --no-pager || true")

      with subtest("root and /etc are read-only, by mount and in fact"):
          for path in ["/", "/etc"]:
              options = machine.succeed(f"findmnt -no OPTIONS {path}").strip().split(",")
              assert "ro" in options, f"{path}: {options}"
              machine.fail(f"touch {path}/written")
          machine.fail("touch /nix/store/written")
          machine.fail("mount -o remount,rw /etc")

      with subtest("/var, /home and /root are the data disk, /tmp is memory"):
          assert machine.succeed("findmnt -no LABEL /var").strip() == "var"
          for path in ["/home", "/root"]:
              machine.succeed(f"touch {path}/written")
              machine.succeed(f"test -e /var{path}/written")
          assert machine.succeed("findmnt -no FSTYPE /tmp").strip() == "tmpfs"

      with subtest("there is a shell, an env, and no Nix"):
          machine.succeed("/bin/sh -c true && /usr/bin/env true && /bin/bash -c true")
          machine.fail("command -v nix")

      with subtest("the image says what it is"):
          facts = dict(line.split("=", 1) for line in machine.succeed("cat /etc/snowglobe-image").splitlines())
          assert facts["profiles"] == "core" and facts["mode"] == "immutable", facts
          assert set(facts) == {"profiles", "mode", "revision", "date"}, facts

      with subtest("a login on the serial console, an agent, no failed unit"):
          # The driver keeps the login itself from running, because it needs the port.
          machine.succeed("grep -q 'console=ttyS0,115200' /proc/cmdline")
          machine.succeed("test -e /run/systemd/generator/getty.target.wants/serial-getty@ttyS0.service")
          machine.succeed("systemctl cat qemu-guest-agent.service")
          assert machine.succeed("systemctl --failed --no-legend --plain") == ""

      with subtest("a boot without any identity ends at a login prompt as well"):
          machine.shutdown()
          data_disk({}, name="empty")
          machine.start()
          wait_up(machine)
          first = machine.succeed("cat /etc/machine-id").strip()
          machine.succeed("test -s /var/identity/ssh_host_ed25519_key")
          machine.shutdown()
          machine.start()
          wait_up(machine)
          assert machine.succeed("cat /etc/machine-id").strip() == first, "the id of the first boot was not kept"
    '';
}
