# An ordinary NixOS machine on one disk, which rebuilds itself from /etc/nixos. The portal creates it and keeps its
# identity; its system is its owner's.
#
# The disk is installed by nixpkgs' make-disk-image in a virtual machine, so building it needs KVM. It is called directly
# and not through virtualisation/disk-image.nix: that module fixes a small ESP, copies a channel into the image, and in some
# revisions replaces every other file system of the configuration.
{
  config,
  lib,
  modulesPath,
  pkgs,
  ...
}:
let
  cfg = config.vm;
  source = cfg.mutable.flakeSource;

  machine = pkgs.writeText "machine.nix" ''
    # Which image this machine was made from. Change the profiles and run: nixos-rebuild switch
    {
      system = "${pkgs.stdenv.hostPlatform.system}";
      profiles = [ ${lib.concatMapStringsSep " " (name: ''"${name}"'') cfg.profiles} ];
      revision = "${cfg.image.revision}";
      date = "${cfg.image.date}";
    }
  '';

  # The same layout as in the portal's state directory, with a flake of the machine's own around it.
  etcNixos = pkgs.runCommandLocal "etc-nixos" { } ''
    mkdir -p $out/snowglobe
    cp -r ${source.nix}/{lib,modules,modes,identity,mutable,flake.lock} $out/snowglobe/
    cp -r ${source.profiles} $out/snowglobe/profiles
    cp ${source.nix}/flake.lock ${source.nix}/mutable/{flake.nix,configuration.nix} $out/
    cp ${machine} $out/machine.nix
  '';

  # The machine's name from its identity, where the flake can read it: nixos-rebuild looks for a configuration of that name.
  tellFlake = pkgs.writeShellScript "snowglobe-flake-hostname" ''
    if [ -d /etc/nixos ]; then
      ${pkgs.coreutils}/bin/cp -f /run/snowglobe/hostname /etc/nixos/hostname
    fi
  '';
in
{
  options.vm.mutable.flakeSource = {
    nix = lib.mkOption {
      type = lib.types.path;
      default = ../.;
      description = "Directory with lib, modules, modes, identity and flake.lock, copied into /etc/nixos.";
    };
    profiles = lib.mkOption {
      type = lib.types.path;
      description = "Directory of the profile files, copied into /etc/nixos.";
    };
  };

  config = {
    vm.mode = "mutable";

    fileSystems = {
      "/" = {
        device = "/dev/disk/by-label/nixos";
        fsType = "ext4";
        options = [ "noatime" ];
      };
      "/boot" = {
        device = "/dev/disk/by-label/ESP";
        fsType = "vfat";
        options = [ "umask=0077" ];
      };
    };
    # The partition and then the file system, while it is in use. nixpkgs has an option for the first half; it is being
    # renamed.
    systemd.services.snowglobe-grow-root = {
      description = "Grow the root file system to the size of the disk";
      wantedBy = [ "multi-user.target" ];
      path = [
        pkgs.cloud-utils.guest
        pkgs.util-linux
      ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script = ''
        partition=$(findmnt -no SOURCE /)
        number=$(cat "/sys/class/block/''${partition##*/}/partition")
        disk=/dev/$(lsblk -no PKNAME "$partition")
        # 1 means that there is nothing to grow.
        growpart "$disk" "$number" || test $? -eq 1
        ${config.systemd.package}/lib/systemd/systemd-growfs /
      '';
    };

    boot.loader = {
      # Long enough to choose the generation before a bad one.
      timeout = 3;
      systemd-boot = {
        enable = true;
        # Each generation with a kernel of its own takes some 60 MB of the ESP.
        configurationLimit = 6;
        editor = false;
      };
      efi.canTouchEfiVariables = false;
    };

    nix = {
      settings.experimental-features = [
        "nix-command"
        "flakes"
      ];
      gc = {
        automatic = true;
        dates = "weekly";
        options = "--delete-older-than 30d";
      };
    };
    environment.systemPackages = [ pkgs.git ];

    # This is what the mode is for.
    system.switch.enable = true;

    # /bin/bash for scripts from elsewhere; read-only images have it built in.
    systemd.tmpfiles.rules = [
      "L+ /bin/bash - - - - ${lib.getExe pkgs.bashInteractive}"
      # Names for a machine's settings that mutable machines have used so far.
      "d /etc/firewall-ports 0755 root root -"
      "L+ /etc/firewall-ports/tcp_ports - - - - /var/identity/tcp_ports"
      "L+ /etc/firewall-ports/udp_ports - - - - /var/identity/udp_ports"
      "L+ /etc/root_password_hash - - - - /var/identity/root_password_hash"
    ];
    # Also when another part of the identity is malformed.
    systemd.services.snowglobe-identity.serviceConfig.ExecStopPost = tellFlake;

    system.build.snowglobeImage = import "${modulesPath}/../lib/make-disk-image.nix" {
      inherit config lib pkgs;
      format = "qcow2";
      partitionTableType = "efi";
      bootSize = "512M";
      additionalSpace = "1G";
      copyChannel = false;
      contents = [
        {
          source = etcNixos;
          target = "/etc/nixos";
          # Its owner edits them; in the store they were read-only.
          mode = "u=rwX,go=rX";
        }
      ];
      # Nothing besides the image and its manifest: the portal takes the directory at its word.
      postVM = ''
        rm -rf $out/nix-support
        cp ${config.system.build.snowglobeClosure} $out/closure.json
      '';
    };
  };
}
