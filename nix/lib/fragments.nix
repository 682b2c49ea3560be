# The shell scripts and firewall rules that are written inside modules, as plain text, so that `nix/check` can hand them to
# shellcheck and nft without building anything: the first real tools that would see them otherwise run in a build.
#
# Modules are called with stand-ins for `lib` and `pkgs` that are real where text depends on them (joining strings) and
# name store paths after what they would hold.
{ profilesDir }:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    elem
    filter
    fromJSON
    head
    isAttrs
    isString
    listToAttrs
    map
    match
    readDir
    stringLength
    substring
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
    # A script keeps its text, to be found again by `scriptsIn`.
    getExe = program: if program ? text then toJSON { inherit (program) name text; } else "/program";
    literalExpression = identity;
    makeBinPath = _: "/programs";
    mkDefault = identity;
    mkForce = identity;
    mkIf = condition: content: if condition then content else { };
    mkMerge = contents: { inherit contents; };
    mkOption = identity;
    optional = condition: value: if condition then [ value ] else [ ];
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

  text = name: value: if value == null then [ ] else [ { inherit name value; } ];
  at =
    path: set:
    builtins.foldl' (value: key: if isAttrs value then value.${key} or null else null) set path;

  profiles = map (file: substring 0 (stringLength file - 4) file) (
    filter (file: match ".*\\.nix" file != null) (attrNames (readDir profilesDir))
  );
  everyModule = [
    (import ../modules/identity)
    (import ../modes/mutable.nix)
    (import ../modes/semi-mutable.nix)
    (import ../modules/identity/machine-id.nix)
  ]
  ++ map (name: (import (profilesDir + "/${name}.nix")).module) (
    filter (name: elem name profiles) [
      "docker"
      "home-manager"
      "samba-mount"
    ]
  );

  # Programs that a module itself writes into the system's packages.
  commandsIn =
    packages:
    concatMap (package: text "${package.name or ""}-command" (package.text or null)) (
      filter isAttrs (if packages == null then [ ] else packages)
    );

  # Scripts of services: `script`, or an ExecStart that our getExe wrote.
  scriptsIn =
    services:
    concatMap (
      name:
      let
        service = services.${name};
        start = at [ "serviceConfig" "ExecStart" ] service;
        written = if isString start then match "([{].*[}])( .*)?" start else null;
      in
      text name (service.script or null)
      ++ (if written == null then [ ] else text name (fromJSON (head written)).text)
    ) (attrNames (if services == null then { } else services));

  concerns = filter (file: match ".*\\.nix" file != null && file != "default.nix") (
    attrNames (readDir ../modules/identity)
  );
  platform =
    mode:
    concatStringsSep "\n" (
      map (
        file:
        concatStringsSep "" (
          map (at [
            "vm"
            "identity"
            "platform"
          ]) (configs mode (import (../modules/identity + "/${file}")))
        )
      ) concerns
    );

  inputRules =
    concatMap
      (
        name:
        concatMap (content: text name (at [ "vm" "firewall" "extraInputRules" ] content)) (
          configs "immutable" (import (profilesDir + "/${name}.nix")).module
        )
      )
      (
        filter (name: elem name profiles) [
          "docker"
          "podman"
        ]
      );

  egress = at [ "networking" "nftables" "tables" "snowglobe-egress" ] (
    head (configs "immutable" (import ../modules/egress.nix))
  );
in
{
  # { <name> = shell text; … }
  scripts = listToAttrs (
    [
      {
        name = "platform-read-only";
        value = platform "immutable";
      }
      {
        name = "platform-mutable";
        value = platform "mutable";
      }
    ]
    ++ concatMap (
      module:
      concatMap (
        content:
        scriptsIn (at [ "systemd" "services" ] content)
        ++ scriptsIn (at [ "boot" "initrd" "systemd" "services" ] content)
        ++ commandsIn (at [ "environment" "systemPackages" ] content)
        ++ text "extra-init" (at [ "environment" "extraInit" ] content)
      ) (configs "immutable" module)
    ) everyModule
  );

  # { <name> = rules that nft must accept; … }
  rules = {
    egress = ''
      table ${egress.family} snowglobe-egress {
      ${egress.content}
      }
    '';
    input = ''
      table inet snowglobe {
        chain input {
          type filter hook input priority filter; policy drop;
          ${concatStringsSep "\n" (map (rule: rule.value) inputRules)}
        }
      }
    '';
  };
}
