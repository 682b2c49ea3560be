# Snowglobe's images, the portal's own package and module, and the development shell.
#
# This directory lives in two layouts. In the repository the profiles and the portal's sources are beside it; the
# portal's state directory has a copy with the profiles inside, including the users' own, and no sources. `profilesDir`
# is the only place that cares. `lib.profiles` reads no input: it evaluates without nixpkgs and without a network.
{
  description = "Immutable NixOS machines, and the portal that runs them";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    home-manager = {
      url = "github:nix-community/home-manager/release-26.05";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    {
      self,
      nixpkgs,
      home-manager,
    }:
    let
      deployed = builtins.pathExists ./profiles;
      profilesDir = if deployed then ./profiles else ../profiles;

      registry = import ./lib/profiles.nix { dir = profilesDir; };
      images = import ./lib/image.nix { inherit nixpkgs home-manager profilesDir; };

      # Of the source, not of the build, so that the same source gives the same image.
      origin = {
        revision = self.shortRev or self.dirtyShortRev or (builtins.substring 7 12 self.narHash);
        date = builtins.substring 0 8 (self.lastModifiedDate or "unknown");
      };
      # Callers may call the revision `flakeRevision`: seen from them it is this flake's.
      named =
        request:
        origin
        // removeAttrs request [ "flakeRevision" ]
        // (if request ? flakeRevision then { revision = request.flakeRevision; } else { });
      mkSystem = request: images.mkSystem (named request);
      mkImage = request: images.mkImage (named request);

      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forSystems =
        build:
        builtins.listToAttrs (
          map (system: {
            name = system;
            value = build system nixpkgs.legacyPackages.${system};
          }) systems
        );

      # The most requested sets; single profiles come with what they need.
      combinations = map (profile: [ profile ]) (builtins.attrNames registry.metas) ++ [
        [
          "dev"
          "docker"
          "podman"
        ]
        [
          "dev"
          "docker"
          "home-manager"
          "podman"
        ]
        [
          "docker"
          "python"
        ]
        [
          "claude"
          "dev"
          "docker"
          "home-manager"
          "podman"
        ]
        [
          "claude"
          "dev"
          "docker"
          "nvidia"
        ]
        [
          "dev"
          "docker"
          "home-manager"
          "open-code"
          "podman"
        ]
      ];
      imagesFor =
        system:
        builtins.listToAttrs (
          map (profiles: {
            name = builtins.concatStringsSep "--" profiles;
            value = mkImage {
              inherit system;
              mode = "immutable";
              profiles = registry.withNeeds profiles;
            };
          }) combinations
        );

      # What exists in the repository only.
      portal = {
        packages = forSystems (_: pkgs: { portal = pkgs.callPackage ./portal/package.nix { }; });
        checks = forSystems (_: pkgs: { portal = pkgs.callPackage ./tests/portal.nix { inherit self; }; });
      };
      inRepository = part: system: if deployed then { } else portal.${part}.${system};
    in
    {
      lib = {
        inherit mkImage mkSystem;
        inherit (registry)
          canonical
          modes
          problems
          withNeeds
          ;
        profiles = registry.metas;
        profileFaults = registry.faults;
      };

      packages = forSystems (system: _: imagesFor system // inRepository "packages" system);

      checks = forSystems (
        system: pkgs:
        import ./tests {
          inherit pkgs nixpkgs home-manager;
          inherit (images) modulesFor mkSystem;
          inherit (registry) metas withNeeds;
        }
        // inRepository "checks" system
      );

      nixosConfigurations = builtins.listToAttrs (
        map (mode: {
          name = mode;
          value = mkSystem {
            inherit mode;
            profiles = [ "core" ];
          };
        }) registry.modes
      );

      nixosModules = {
        portal = import ./portal/module.nix self;
        default = self.nixosModules.portal;
      };

      devShells = forSystems (_: pkgs: { default = pkgs.callPackage ./portal/shell.nix { }; });

      formatter = forSystems (_: pkgs: pkgs.nixfmt);
    };
}
