# What the tests share: a node that boots the image of its own configuration, and Python for its disks.
{
  pkgs,
  modulesFor,
  runTest,
}:
let
  inherit (pkgs) lib;
  qemuImg = "${pkgs.qemu-utils}/bin/qemu-img";
in
rec {
  # node { mode, profiles, modules? }: a NixOS module for `nodes`. The machine's disks are files whose names the test
  # script puts into the environment, see `disks`. What differs from users' images is what the driver adds: a root shell
  # for itself, addresses on the test's network, more console messages, and no login on the serial port.
  node =
    {
      mode,
      profiles,
      modules ? [ ],
    }:
    { config, ... }:
    {
      imports = modulesFor {
        inherit mode profiles modules;
        system = null;
      };

      # Some releases of the driver name a machine after its system, and that after its host name, which we leave empty.
      system.name = config.virtualisation.test.nodeName;

      # The driver's registers a store that it shares with the machine; ours has none, and nixos-init runs no such commands.
      boot.postBootCommands = lib.mkIf (mode != "mutable") (lib.mkForce "");

      virtualisation = {
        # Firmware, boot loader, kernel and root from the image, and not what the test driver would make up.
        directBoot.enable = false;
        mountHostNixStore = false;
        useEFIBoot = true;
        useDefaultFilesystems = false;
        # None means those of the configuration.
        fileSystems = lib.mkForce { };
        memorySize = 2048;
        cores = 2;
        qemu.options = lib.optionals (mode != "mutable") [
          ''-drive if=none,id=data,format=qcow2,discard=unmap,file="$SNOWGLOBE_DATA_DISK"''
          "-device virtio-blk-pci,drive=data"
        ];
      };
    };

  # test { name, nodes, testScript }: with the Python below in front of the script.
  test =
    {
      name,
      nodes,
      testScript,
    }:
    # Not `pkgs.testers.runNixOSTest`: that one fixes nixpkgs' configuration, and our modules choose what is allowed
    # from it.
    runTest {
      inherit name nodes;
      hostPkgs = pkgs;
      # By name: the framework passes only arguments that it sees named.
      testScript = { nodes, ... }: disks + testScript { inherit nodes; };
    };

  disks = ''
    import os
    import subprocess
    import tempfile
    from pathlib import Path

    workdir = Path(tempfile.mkdtemp())

    def run(*argv):
        subprocess.run([str(word) for word in argv], check=True)

    def boot_disk(image, name="boot"):
        """A fresh overlay on an image, as the portal makes it; used by the next machine that starts."""
        disk = workdir / f"{name}.qcow2"
        disk.unlink(missing_ok=True)
        run("${qemuImg}", "create", "-q", "-f", "qcow2", "-b", f"{image}/nixos.qcow2", "-F", "qcow2", disk)
        os.environ["NIX_DISK_IMAGE"] = str(disk)

    def data_disk(files, size="2G", name="data"):
        """A data disk with an identity: one ext4 file system on the whole disk, label var."""
        tree = workdir / f"{name}.tree"
        identity = tree / "identity"
        identity.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (identity / file).write_text(text)
            (identity / file).chmod(0o600 if "password" in file or "ssh_host" in file else 0o644)
        raw, disk = workdir / f"{name}.raw", workdir / f"{name}.qcow2"
        run("${pkgs.coreutils}/bin/truncate", "-s", size, raw)
        run("${pkgs.e2fsprogs}/bin/mke2fs", "-q", "-t", "ext4", "-L", "var", "-E", "root_owner=0:0", "-d", tree, raw)
        run("${qemuImg}", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
        raw.unlink()
        os.environ["SNOWGLOBE_DATA_DISK"] = str(disk)
        return disk

    def grow(disk, size):
        run("${qemuImg}", "resize", "-q", disk, size)

    def wait_up(machine):
        machine.wait_for_file("/run/snowglobe/boot-complete")
        # The journal of this boot and of those before it, their shutdowns included.
        journal = machine.succeed("journalctl --no-pager --output cat").splitlines()
        cycles = [line for line in journal if "ordering cycle" in line]
        assert not cycles, cycles
  '';

  # An identity with every file in it, for tests that change one thing.
  identity = ''
    MACHINE_ID = "0123456789abcdef0123456789abcdef"
    IDENTITY = {
        "hostname": "snowball",
        "machine-id": MACHINE_ID,
        "tcp_ports": "# open\n22 # ssh\n8000-8002\n9000",
        "udp_ports": "5353",
        "hosts": "192.0.2.7 printer\n",
        "resolv.conf": "nameserver 192.0.2.53\n",
    }
  '';
}
