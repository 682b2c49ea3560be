# The shell scripts and firewall rules that are written inside modules, as plain text, so that `nix/check` can hand them to
# shellcheck and nft without building anything: the first real tools to see them would otherwise run in a build.
#
# Modules are called with the stand-ins of stand-ins.nix.
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
    ;

  inherit (import ./stand-ins.nix) configs;

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
