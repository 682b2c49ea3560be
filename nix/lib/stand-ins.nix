# Stand-ins for what nixpkgs gives to modules, so that `nix/check` can read what is written inside them without nixpkgs: real
# where texts and names depend on them (joining strings, conditions), and store paths named after what they would hold.
let
  inherit (builtins)
    concatMap
    concatStringsSep
    filter
    isAttrs
    isPath
    listToAttrs
    map
    match
    toJSON
    ;

  hasInfix = infix: text: match ".*${infix}.*" text != null;
  identity = value: value;

  lib = {
    inherit concatStringsSep filter hasInfix;
    concatMapStringsSep =
      separator: f: list:
      concatStringsSep separator (map f list);
    genAttrs =
      names: value:
      listToAttrs (
        map (name: {
          inherit name;
          value = value name;
        }) names
      );
    # A script keeps its text and name.
    getExe = program: if program ? text then toJSON { inherit (program) name text; } else "/program";
    literalExpression = identity;
    makeBinPath = _: "/programs";
    mkDefault = identity;
    mkForce = identity;
    mkIf = condition: content: if condition then content else { };
    mkMerge = contents: { inherit contents; };
    mkOption = identity;
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    optionalString = condition: text: if condition then text else "";
    types = {
      bool = null;
      lines = null;
      listOf = identity;
      package = null;
      str = null;
      strMatching = identity;
    };
  };

  pkgs = {
    bashInteractive = { };
    cacert.override = _: "/cacert";
    cifs-utils = "/cifs-utils";
    cloud-utils.guest = "/cloud-utils";
    closureInfo = _: "/closure";
    coreutils = "/coreutils";
    diffutils = "/diffutils";
    docker-compose = "/docker-compose";
    findutils = "/findutils";
    git = "/git";
    nftables = "/nftables";
    openssh = "/openssh";
    runCommandLocal =
      name: _: _:
      "/${name}";
    runtimeShell = "/bin/sh";
    stdenv.hostPlatform = {
      isAarch64 = false;
      isx86_64 = true;
      libDir = "lib64";
    };
    util-linux = "/util-linux";
    # With the options that it puts before the text.
    writeShellApplication =
      { name, text, ... }:
      {
        inherit name;
        text = "set -o errexit -o nounset -o pipefail\n" + text;
      };
    writeShellScriptBin = name: text: {
      inherit name text;
      outPath = "/${name}";
    };
    writeText = name: _: "/${name}";
  };

  # Settings that the texts depend on.
  config = mode: {
    ids.uids.systemd-resolve = 153;
    home-manager.users.user.home-files = "/home-files";
    nix.package = "/nix";
    security.pki = {
      caCertificateBlacklist = [ ];
      certificateFiles = [ ];
      certificates = [ ];
    };
    services.userborn.passwordFilesLocation = if mode == "mutable" then "/etc" else "/var/lib/nixos";
    system = {
      build.toplevel = "/toplevel";
      stateVersion = "26.05";
    };
    systemd.package = "/systemd";
    users.users.user.home = "/home/user";
    vm = {
      inherit mode;
      buildLibraries = [ ];
      docker.groupMembers = [ "admin" ];
      egress = {
        allowedCIDRs = [
          "192.0.2.0/24"
          "2001:db8::1"
        ];
        blockPrivateNetworks = true;
      };
      firewall.extraInputRules = "";
      identity = {
        platform = "";
        scripts = "/scripts";
      };
      zram.enable = false;
    };
  };

  call =
    mode: module:
    if isAttrs module then
      module
    else
      module {
        inherit lib pkgs;
        config = config mode;
        modulesPath = "/nixpkgs";
      };
  configs =
    mode: module:
    let
      called = call mode module;
      content = called.config or called;
    in
    content.contents or [ content ];
  # A module's configurations and those of the files that it imports.
  collect =
    mode: module:
    let
      body = if isPath module then import module else module;
    in
    configs mode body ++ concatMap (collect mode) (filter isPath ((call mode body).imports or [ ]));
in
{
  inherit collect configs;
}
