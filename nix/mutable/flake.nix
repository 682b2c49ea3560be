# The flake of this machine. To change it: edit configuration.nix or the list of profiles in machine.nix, then run
#   nixos-rebuild switch
# as root. `nix flake update --flake /etc/nixos` moves to the newest nixpkgs of the release. If you keep this directory in Git,
# add `hostname` too: Nix does not see files that Git does not know.
{
  description = "This machine";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    home-manager = {
      url = "github:nix-community/home-manager/release-26.05";
      inputs.nixpkgs.follows = "nixpkgs";
    };
  };

  outputs =
    { nixpkgs, home-manager, ... }:
    let
      snowglobe = import ./snowglobe/lib/image.nix {
        inherit nixpkgs home-manager;
        profilesDir = ./snowglobe/profiles;
      };
      machine = import ./machine.nix;
      configuration = snowglobe.mkSystem (
        machine
        // {
          mode = "mutable";
          modules = [ ./configuration.nix ];
        }
      );
      # Written by snowglobe-identity, because nixos-rebuild looks for a configuration of the machine's name.
      name =
        if builtins.pathExists ./hostname then
          builtins.head (builtins.match "([^\n]*)\n*" (builtins.readFile ./hostname))
        else
          "nixos";
    in
    {
      nixosConfigurations.${name} = configuration;
    };
}
