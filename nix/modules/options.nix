# Options that several modules and profiles share; those of one concern are declared beside it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.vm;
in
{
  options.vm = {
    mode = mkOption {
      type = types.enum [
        "immutable"
        "semi-mutable"
        "mutable"
      ];
      description = ''
        How much of the machine can change: nothing but /var and what is bound to it (immutable), also the Nix store
        until the next upgrade (semi-mutable), or everything (mutable). Set by the modules in nix/modes.
      '';
    };

    profiles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Names of the profiles in this image, in canonical form. For information; setting it adds nothing.";
    };

    image = {
      revision = mkOption {
        type = types.str;
        default = "unknown";
        description = "Revision or source hash of the flake that the image was built from.";
      };
      date = mkOption {
        type = types.strMatching "[0-9]{8}|unknown";
        default = "unknown";
        example = "20260522";
        description = "Day on which that source was last changed, as YYYYMMDD. Not the day of the build: that would make every build differ.";
      };
    };

    allowUnfree = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "claude-code" ];
      description = ''
        Names of packages with a licence that is not free which may nevertheless be part of the image. Profiles add to
        this list; nixpkgs' own predicate can be set only once.
      '';
    };

    buildLibraries = mkOption {
      type = types.listOf types.package;
      default = [ ];
      example = lib.literalExpression "[ pkgs.openssl ]";
      description = "Libraries that compilers in the machine find through pkg-config.";
    };
  };

  config = {
    nixpkgs.config.allowUnfreePredicate = package: builtins.elem (lib.getName package) cfg.allowUnfree;

    # Through the system's own path rather than the store's: build directories under /home outlive an upgrade.
    environment = lib.mkIf (cfg.buildLibraries != [ ]) {
      systemPackages = map lib.getDev cfg.buildLibraries ++ map lib.getLib cfg.buildLibraries;
      pathsToLink = [ "/lib/pkgconfig" ];
      sessionVariables.PKG_CONFIG_PATH = "/run/current-system/sw/lib/pkgconfig";
    };

    assertions = [
      {
        assertion = pkgs.stdenv.hostPlatform.isx86_64 || pkgs.stdenv.hostPlatform.isAarch64;
        message = "Snowglobe images exist for x86_64-linux and aarch64-linux only.";
      }
    ];
  };
}
