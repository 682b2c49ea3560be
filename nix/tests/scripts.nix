# The Python of every test, as plain text, for `nix/check`: { <test> = { machines = [ … ]; script = "…"; }; }.
#
# The tests are called with stand-ins for nixpkgs, and their scripts in the way of nixpkgs' test framework, which passes only
# the arguments that a function names.
{ profilesDir }:
let
  inherit (builtins)
    attrNames
    filter
    functionArgs
    intersectAttrs
    isFunction
    listToAttrs
    mapAttrs
    ;

  registry = import ../lib/profiles.nix { dir = profilesDir; };
  itself = test: test;

  lib = {
    concatMapStrings = f: list: builtins.concatStringsSep "" (map f list);
    filterAttrs = keep: set: removeAttrs set (filter (name: !(keep name set.${name})) (attrNames set));
    mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
    mkForce = itself;
    optionals = condition: list: if condition then list else [ ];
  };
  pkgs = {
    inherit lib;
    coreutils = "/coreutils";
    e2fsprogs = "/e2fsprogs";
    openssh = "/openssh";
    qemu-utils = "/qemu-utils";
    runCommand =
      name: _: _:
      "/${name}";
    stdenv.hostPlatform.system = "x86_64-linux";
  };
  system = {
    build = {
      snowglobeImage = "/image";
      toplevel = "/toplevel";
    };
  };

  tests =
    import ./. {
      inherit pkgs;
      inherit (registry) metas withNeeds;
      modulesFor = _: [ ];
      mkSystem = _: { config = { inherit system; }; };
      nixpkgs = {
        outPath = "/nixpkgs";
        lib.nixos.runTest = itself;
      };
      home-manager.outPath = "/home-manager";
    }
    // {
      portal = import ./portal.nix {
        testers.runNixOSTest = itself;
        self.nixosModules.portal = { };
      };
    };

  scriptOf =
    { nodes, testScript, ... }:
    let
      arguments.nodes = mapAttrs (_: _: { inherit system; }) nodes;
    in
    if isFunction testScript then
      testScript (intersectAttrs (functionArgs testScript) arguments)
    else
      testScript;
in
mapAttrs (_: test: {
  machines = attrNames test.nodes;
  script = scriptOf test;
}) tests
