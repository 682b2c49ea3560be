# What immutable and semi-mutable machines share: two disks, the first one read-only.
#
#   vda  ESP (systemd-boot and one unified kernel image) and an EROFS root that nobody can write, /etc included
#   vdb  one ext4 file system, label `var`: everything that the machine remembers
#
# The image is assembled by systemd-repart from nixpkgs' image/repart.nix: no virtual machine and no root at build time, and
# nothing but the system's closure inside. /etc is NixOS' overlay in its immutable form, mounted by the initrd. nixos-init
# starts the system: unlike the activation scripts, it writes nothing to the root.
{
  config,
  lib,
  modulesPath,
  pkgs,
  ...
}:
let
  inherit (pkgs.stdenv.hostPlatform) efiArch libDir;
  inherit (config.system.boot.loader) ukiFile;

  # What programs expect outside the store and nixos-init would create, were the root writable.
  skeleton = pkgs.runCommandLocal "snowglobe-root-skeleton" { } ''
    mkdir -p $out/bin $out/usr/bin
    ln -s ${pkgs.bashInteractive}/bin/sh $out/bin/sh
    ln -s ${pkgs.bashInteractive}/bin/bash $out/bin/bash
    ln -s ${pkgs.coreutils}/bin/env $out/usr/bin/env
  '';

  mountPoints = [
    "/boot"
    "/dev"
    "/etc"
    "/home"
    "/${libDir}"
    "/mnt"
    "/nix/var"
    "/opt"
    "/proc"
    "/root"
    "/run"
    "/srv"
    "/sys"
    "/tmp"
    "/var"
  ];
in
{
  imports = [ "${modulesPath}/image/repart.nix" ];

  fileSystems = {
    "/" = {
      device = "/dev/disk/by-partlabel/nixos";
      fsType = "erofs";
      options = [ "ro" ];
      # The disk itself may be read-only, and its contents never change.
      noCheck = true;
    };
    # For the dynamic linker of foreign programs, which systemd-tmpfiles links there as on any NixOS.
    "/${libDir}" = {
      device = "tmpfs";
      fsType = "tmpfs";
      options = [
        "mode=0755"
        "size=1M"
        "nosuid"
        "nodev"
      ];
    };
    "/var" = {
      device = "/dev/disk/by-label/var";
      fsType = "ext4";
      options = [ "noatime" ];
      neededForBoot = true;
      # Checked by the initrd, see below. A second check in the running system would find it mounted, and close an ordering
      # cycle: it comes after local-fs-pre.target, that after Userborn, and Userborn's state directory after /var.
      noCheck = true;
      # By systemd-growfs while it is mounted, at each boot: a no-op unless the disk has grown.
      autoResize = true;
    };
    "/home" = {
      device = "/var/home";
      fsType = "none";
      options = [ "bind" ];
    };
    "/root" = {
      device = "/var/root";
      fsType = "none";
      options = [ "bind" ];
    };
  };

  # The check of /var before it is mounted. The name is the device's, escaped.
  boot.initrd.systemd.services."systemd-fsck@dev-disk-by\\x2dlabel-var" = {
    overrideStrategy = "asDropin";
    requiredBy = [ "sysroot-var.mount" ];
    before = [ "sysroot-var.mount" ];
  };

  systemd.tmpfiles.rules = [
    "d /var/home 0755 root root -"
    "d /var/root 0700 root root -"
    "d /var/mnt 0755 root root -"
  ];

  system = {
    nixos-init.enable = true;
    etc.overlay = {
      enable = true;
      mutable = false;
    };

    # The image is replaced, never switched.
    switch.enable = false;
    disableInstallerTools = true;

    # What the skeleton's links point at belongs to the system, or it would be missing from the image.
    extraDependencies = [ skeleton ];

    # In /etc/os-release, for programs that know nothing about ours.
    image = {
      id = "snowglobe";
      version =
        let
          # os-release(5) knows no others.
          allowed = char: if builtins.match "[a-z0-9._-]" char != null then char else "-";
        in
        lib.stringAsChars allowed (lib.toLower "${config.vm.image.date}.${config.vm.image.revision}");
    };
  };

  environment = {
    # Both are part of the image, see the skeleton.
    binsh = null;
    usrbinenv = null;
    # A linker for 32-bit programs would need a directory /lib that can be written, and a second nixpkgs.
    ldso32 = null;
  };

  # Where the machine's own id is bound to. Empty, not `uninitialized`: this is never a first boot.
  environment.etc.machine-id = {
    text = lib.mkForce "";
    mode = lib.mkForce "0444";
  };
  # Explicit, because the identity scripts edit the shadow file in it.
  services.userborn.passwordFilesLocation = "/var/lib/nixos";

  image.repart = {
    name = "nixos";
    partitions = {
      "10-esp" = {
        contents = {
          "/EFI/BOOT/BOOT${lib.toUpper efiArch}.EFI".source =
            "${config.systemd.package}/lib/systemd/boot/efi/systemd-boot${efiArch}.efi";
          "/EFI/Linux/${ukiFile}".source = "${config.system.build.uki}/${ukiFile}";
          "/loader/loader.conf".source = pkgs.writeText "loader.conf" ''
            timeout 0
            editor no
          '';
        };
        repartConfig = {
          Type = "esp";
          Label = "ESP";
          Format = "vfat";
          SizeMinBytes = "256M";
          SizeMaxBytes = "256M";
        };
      };
      "20-root" = {
        storePaths = [ config.system.build.toplevel ];
        contents = {
          "/bin".source = "${skeleton}/bin";
          "/usr".source = "${skeleton}/usr";
        };
        repartConfig = {
          Type = "root";
          Label = "nixos";
          Format = "erofs";
          Minimize = "best";
          MakeDirectories = toString mountPoints;
        };
      };
    };
  };

  system.build.snowglobeImage =
    pkgs.runCommand "snowglobe-image" { nativeBuildInputs = [ pkgs.buildPackages.qemu-utils ]; }
      ''
        mkdir -p $out
        qemu-img convert -f raw -O qcow2 ${config.system.build.image}/*.raw $out/nixos.qcow2
        cp ${config.system.build.snowglobeClosure} $out/closure.json
      '';
}
