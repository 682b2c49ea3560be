# Tests in virtual machines, on the images that users get: built, put on a qcow2 overlay, booted by UEFI. They need nixpkgs
# and KVM, so a public runner runs them (.github/workflows/nix.yml); `nix flake check ./nix` runs them all.
{
  pkgs,
  modulesFor,
  mkSystem,
  metas,
  withNeeds,
  nixpkgs,
  home-manager,
}:
let
  inherit (pkgs) lib;

  harness = import ./harness.nix {
    inherit pkgs modulesFor;
    inherit (nixpkgs.lib.nixos) runTest;
  };

  test =
    file:
    import file {
      inherit
        lib
        pkgs
        harness
        mkSystem
        metas
        withNeeds
        nixpkgs
        home-manager
        ;
    };
in
{
  boot = test ./boot.nix;
  identity = test ./identity.nix;
  growth = test ./growth.nix;
  upgrade = test ./upgrade.nix;
  egress = test ./egress.nix;
  semi-mutable = test ./semi-mutable.nix;
  mutable = test ./mutable.nix;
}
// test ./profiles.nix
