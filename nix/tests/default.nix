# Tests in virtual machines, on the images that users get: built, put on a qcow2 overlay, booted by UEFI. They need nixpkgs
# and KVM, so a public runner runs them (.github/workflows/nix.yml); `nix flake check ./nix` runs them all.
{
  pkgs,
  modulesFor,
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

  test = file: import file { inherit lib pkgs harness; };
in
{
  boot = test ./boot.nix;
  identity = test ./identity.nix;
  growth = test ./growth.nix;
  upgrade = test ./upgrade.nix;
  semi-mutable = test ./semi-mutable.nix;
  mutable = import ./mutable.nix {
    inherit
      lib
      pkgs
      harness
      nixpkgs
      home-manager
      ;
  };
}
// import ./profiles.nix {
  inherit
    lib
    pkgs
    harness
    metas
    withNeeds
    ;
}
