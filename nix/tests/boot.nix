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
      import json

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
          for path in ["/", "/etc"]:
              machine.fail(f"mount -o remount,rw {path}")

      with subtest("nothing tried to write to it while booting"):
          # With it nixos-init runs, and no activation script.
          machine.fail("test -e /run/booted-system/prepare-root")
          assert machine.succeed("systemctl show -P ExecMainStatus systemd-tmpfiles-setup.service").strip() == "0"

      with subtest("/var was checked before it was mounted"):
          machine.succeed("journalctl --boot --output cat --unit 'systemd-fsck@*' | grep '^var: clean'")

      with subtest("/var, /home and /root are the data disk, /tmp is memory"):
          assert machine.succeed("findmnt -no LABEL /var").strip() == "var"
          for path in ["/home", "/root"]:
              machine.succeed(f"touch {path}/written")
              machine.succeed(f"test -e /var{path}/written")
          assert machine.succeed("findmnt -no FSTYPE /tmp").strip() == "tmpfs"

      with subtest("there is a shell, an env, a linker for foreign programs, and no Nix"):
          machine.succeed("/bin/sh -c true && /usr/bin/env true && /bin/bash -c true")
          machine.succeed("test -e /lib*/ld-linux-*.so.*")
          machine.fail("command -v nix")

      with subtest("the image says what it is"):
          facts = dict(line.split("=", 1) for line in machine.succeed("cat /etc/snowglobe-image").splitlines())
          assert facts["profiles"] == "core" and facts["mode"] == "immutable", facts
          assert set(facts) == {"profiles", "mode", "revision", "date"}, facts
          machine.succeed("grep -q '^IMAGE_ID=.*snowglobe' /etc/os-release && grep -q '^IMAGE_VERSION=' /etc/os-release")

      with subtest("the manifest beside the image lists what is in its store"):
          with open("${nodes.machine.system.build.snowglobeImage}/closure.json", encoding="utf-8") as file:
              manifest = json.load(file)
          stored = machine.succeed("ls /nix/store").split()
          listed = ["".join(package["hash"]) + "-" + package["name"] for package in manifest["packages"]]
          assert len(listed) > 100 and set(listed) <= set(stored), set(listed) - set(stored)
          assert machine.succeed("uname -r").startswith(manifest["kernel"]), manifest["kernel"]
          assert manifest["systemd"] in machine.succeed("systemctl --version"), manifest["systemd"]

      with subtest("it recovers without anyone at its console"):
          machine.succeed("systemd-analyze cat-config systemd/system.conf | grep -qx RuntimeWatchdogSec=2min")
          machine.fail("systemctl cat emergency.target")
          # The driver adds the other half, boot.panic_on_fail, to every machine.
          machine.succeed("grep -qw panic=10 /proc/cmdline")

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
          # What wait_up checks includes the previous boot.
          assert len(machine.succeed("journalctl --list-boots --quiet --no-pager").splitlines()) == 2
    '';
}
