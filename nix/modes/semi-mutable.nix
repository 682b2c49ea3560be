# A read-only machine whose users can nevertheless install packages: /nix is an overlay, its upper layer on /var. The
# layer is valid over one image only (kernel, Documentation/filesystems/overlayfs.rst, "Changes to underlying filesystems"): a
# machine that boots another one, after an upgrade or back, begins with an empty one. Profiles in /home then dangle and are
# installed anew.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  layer = "/var/nix-overlay";
  registration = "/nix-path-registration";
  database = pkgs.closureInfo { rootPaths = [ config.system.build.toplevel ]; };

  register = pkgs.writeShellApplication {
    name = "snowglobe-register-store";
    runtimeInputs = [
      config.nix.package
      pkgs.coreutils
    ];
    text = ''
      # The image holds store paths but no database that knows them. The layer notes which image it has registered: it may
      # have been wiped, or belong to an earlier image.
      mark=/nix/var/nix/snowglobe-registered
      booted=$(readlink -f /run/booted-system)
      if [ -e "$mark" ] && [ "$(cat "$mark")" = "$booted" ]; then
        exit 0
      fi
      nix-store --load-db <${registration}
      printf '%s\n' "$booted" >"$mark"
    '';
  };
in
{
  imports = [ ./read-only.nix ];

  vm.mode = "semi-mutable";

  image.repart.partitions."20-root".contents.${registration}.source = "${database}/registration";

  # A mount unit of our own instead of `fileSystems`: the lower layer is the very directory that is mounted over, and NixOS'
  # option would make the unit wait for itself.
  boot.initrd = {
    availableKernelModules = [ "overlay" ];
    systemd = {
      services.snowglobe-nix-layer = {
        description = "Directories of the writable Nix store";
        unitConfig = {
          DefaultDependencies = false;
          RequiresMountsFor = "/sysroot/var";
        };
        before = [ "sysroot-nix.mount" ];
        requiredBy = [ "sysroot-nix.mount" ];
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
        };
        # The system that is booted is named on the kernel's command line, `init=/nix/store/…/init`. The mark is written last,
        # so that an emptying that was interrupted is begun again.
        script = ''
          # With what the initrd has: bash and coreutils, no grep.
          booted=unknown
          read -ra words </proc/cmdline
          for word in "''${words[@]}"; do
            case $word in
              init=*) booted=$word ;;
            esac
          done
          mark=/sysroot${layer}/system
          if ! [ -e "$mark" ] || [ "$(cat "$mark")" != "$booted" ]; then
            rm -rf /sysroot${layer}/upper /sysroot${layer}/work
          fi
          mkdir -p /sysroot${layer}/upper /sysroot${layer}/work
          printf '%s\n' "$booted" >"$mark"
        '';
      };
      mounts = [
        {
          where = "/sysroot/nix";
          what = "overlay";
          type = "overlay";
          options = "lowerdir=/sysroot/nix,upperdir=/sysroot${layer}/upper,workdir=/sysroot${layer}/work";
          unitConfig = {
            DefaultDependencies = false;
            RequiresMountsFor = "/sysroot/var";
          };
          before = [ "initrd-fs.target" ];
          requiredBy = [ "initrd-fs.target" ];
        }
      ];
    };
  };

  systemd.services.snowglobe-register-store = {
    description = "Register the image's store paths with Nix";
    wantedBy = [
      "multi-user.target"
      "nix-daemon.service"
    ];
    before = [ "nix-daemon.service" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = lib.getExe register;
    };
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
    # `nix profile install nixpkgs#…` takes the very revision that the image was made from, and so shares what the image
    # has. nixpkgs knows its revision when it comes from Git.
    registry.nixpkgs.to = {
      type = "github";
      owner = "NixOS";
      repo = "nixpkgs";
    }
    // (
      if config.system.nixos.revision == null then
        { ref = "nixos-${config.system.nixos.release}"; }
      else
        { rev = config.system.nixos.revision; }
    );
  };

  # Instead of the image's own nixpkgs, which would put its whole source into the image.
  nixpkgs.flake = {
    setFlakeRegistry = false;
    setNixPath = false;
  };
}
