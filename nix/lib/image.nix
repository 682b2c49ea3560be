# From a set of profiles and a mode to a NixOS system and its image. The only file between the pure rules of profiles.nix
# and nixpkgs; the flake, a mutable machine's own flake and the VM tests all come through here.
{
  nixpkgs,
  home-manager,
  profilesDir,
}:
let
  registry = import ./profiles.nix { dir = profilesDir; };
in
rec {
  # modulesFor { system?, profiles, mode, revision?, date?, modules? }: everything that makes such a machine, as NixOS modules.
  # With system = null the caller chooses the platform, as the test driver does.
  modulesFor =
    {
      profiles,
      mode,
      system ? "x86_64-linux",
      revision ? "unknown",
      date ? "unknown",
      modules ? [ ],
    }:
    let
      set = registry.resolve { inherit profiles mode; };
      when = condition: module: if condition then [ module ] else [ ];
    in
    [
      ../modules
      (../modes + "/${mode}.nix")
      {
        vm = {
          profiles = set;
          image = { inherit revision date; };
        };
      }
    ]
    ++ when (system != null) { nixpkgs.hostPlatform = nixpkgs.lib.mkDefault system; }
    ++ when (mode == "mutable") { vm.mutable.flakeSource.profiles = profilesDir; }
    ++ when (builtins.elem "home-manager" set) home-manager.nixosModules.home-manager
    ++ registry.modules set
    ++ modules;

  # mkSystem …: the NixOS configuration, as in `nixosConfigurations`. A set that does not fit is refused before nixpkgs is
  # even fetched.
  mkSystem =
    request:
    builtins.seq (registry.resolve { inherit (request) profiles mode; }) nixpkgs.lib.nixosSystem {
      modules = modulesFor request;
    };

  # mkImage …: a directory with two files, nixos.qcow2 and closure.json.
  mkImage = request: (mkSystem request).config.system.build.snowglobeImage;
}
