# The systemd units and file systems of a machine of each mode with every profile, as plain data for `tests/units`:
#
#   { <mode> = { system = [ unit … ]; initrd = [ unit … ]; fileSystems = { <mount point> = { … }; … }; }; … }
#
# A unit is what a NixOS module says about it, without its commands, plus its name. Small stubs of the systemd and
# nixpkgs units that ours are ordered against are beside them: only what their sources say about order and requirements.
{ profilesDir }:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    intersectAttrs
    isAttrs
    listToAttrs
    map
    ;

  registry = import ../lib/profiles.nix { dir = profilesDir; };
  inherit (import ../lib/stand-ins.nix) collect;

  at =
    path: set:
    builtins.foldl' (value: key: if isAttrs value then value.${key} or { } else { }) set path;

  set =
    names:
    listToAttrs (
      map (name: {
        inherit name;
        value = null;
      }) names
    );
  kept = set [
    "after"
    "before"
    "conflicts"
    "enable"
    "mountConfig"
    "options"
    "overrideStrategy"
    "pathConfig"
    "requiredBy"
    "requires"
    "serviceConfig"
    "type"
    "unitConfig"
    "wantedBy"
    "wants"
    "what"
    "where"
  ];
  commands = [
    "ExecStart"
    "ExecStartPost"
    "ExecStartPre"
    "ExecStop"
    "ExecStopPost"
  ];

  unit =
    name: definition:
    intersectAttrs kept definition
    // {
      inherit name;
      serviceConfig = removeAttrs (definition.serviceConfig or { }) commands;
    };
  named =
    suffix: definitions:
    map (name: unit "${name}.${suffix}" definitions.${name}) (attrNames definitions);

  # Those below `systemd` or `boot.initrd.systemd` of a configuration. A mount is named after where it is mounted.
  unitsIn =
    systemd:
    named "service" (systemd.services or { })
    ++ named "path" (systemd.paths or { })
    ++ map (unit "") (systemd.mounts or [ ]);

  early.unitConfig.DefaultDependencies = false;

  # Of systemd, in the running system as in the initrd.
  common = {
    "basic.target" = {
      requires = [ "sysinit.target" ];
      after = [ "sysinit.target" ];
    };
    "local-fs.target" = early // {
      after = [ "local-fs-pre.target" ];
    };
    "local-fs-pre.target" = { };
    "shutdown.target" = early;
    "sysinit.target" = {
      wants = [ "local-fs.target" ];
      after = [ "local-fs.target" ];
    };
    "systemd-fsck@.service" = {
      unitConfig = {
        DefaultDependencies = false;
        BindsTo = "%i.device";
      };
      after = [
        "%i.device"
        "local-fs-pre.target"
      ];
      before = [ "shutdown.target" ];
    };
    "systemd-growfs@.service" = early // {
      after = [ "%i.mount" ];
      before = [ "shutdown.target" ];
    };
    "systemd-tmpfiles-setup-dev.service" = early // {
      wantedBy = [ "sysinit.target" ];
      wants = [ "local-fs-pre.target" ];
      before = [
        "local-fs-pre.target"
        "sysinit.target"
      ];
    };
    "umount.target" = early;
  };

  stubs = {
    system = common // {
      # Of systemd.
      "multi-user.target" = {
        requires = [ "basic.target" ];
        after = [ "basic.target" ];
      };
      "network.target" = { };
      "network-pre.target" = { };
      "systemd-networkd.service" = early // {
        wantedBy = [ "multi-user.target" ];
        after = [ "network-pre.target" ];
        before = [
          "network.target"
          "multi-user.target"
        ];
      };
      "systemd-remount-fs.service" = early // {
        wants = [ "local-fs-pre.target" ];
        before = [
          "local-fs-pre.target"
          "local-fs.target"
        ];
      };
      "systemd-tmpfiles-setup.service" = early // {
        wantedBy = [ "sysinit.target" ];
        after = [ "local-fs.target" ];
        before = [ "sysinit.target" ];
      };
      "systemd-user-sessions.service" = {
        wantedBy = [ "multi-user.target" ];
        after = [
          "network.target"
          "home.mount"
        ];
      };

      # Of nixpkgs.
      "docker.service" = {
        wantedBy = [ "multi-user.target" ];
        after = [ "network.target" ];
      };
      "nftables.service" = early // {
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-pre.target" ];
        after = [ "sysinit.target" ];
        before = [ "network-pre.target" ];
      };
      "nix-daemon.service" = {
        wantedBy = [ "multi-user.target" ];
        unitConfig.RequiresMountsFor = "/nix/store";
      };
      "qemu-guest-agent.service" = {
        wantedBy = [ "multi-user.target" ];
      };
      "sshd.service" = {
        wantedBy = [ "multi-user.target" ];
        wants = [ "sshd-keygen.service" ];
        after = [
          "network.target"
          "sshd-keygen.service"
        ];
      };
      "sshd-keygen.service" = { };
      "userborn.service" = early // {
        wantedBy = [ "sysinit.target" ];
        after = [ "systemd-remount-fs.service" ];
        before = [
          "systemd-tmpfiles-setup-dev.service"
          "sysinit.target"
          "shutdown.target"
        ];
        serviceConfig.StateDirectory = "userborn";
      };
    };

    initrd = common // {
      # Of systemd.
      "initrd-fs.target" = early;
      "initrd-root-device.target" = early;
      "initrd-root-fs.target" = early;
      "initrd.target" = {
        requires = [ "basic.target" ];
        wants = [
          "initrd-fs.target"
          "initrd-root-device.target"
          "initrd-root-fs.target"
        ];
        after = [
          "basic.target"
          "initrd-fs.target"
          "initrd-root-device.target"
          "initrd-root-fs.target"
        ];
      };

      # Of nixpkgs: the overlay on /etc, and the activation of a system without nixos-init.
      "sysroot-etc.mount" = early // {
        what = "overlay";
        where = "/sysroot/etc";
        type = "overlay";
        requiredBy = [ "initrd-fs.target" ];
        before = [ "initrd-fs.target" ];
      };
      "initrd-nixos-activation.service" = {
        requiredBy = [ "initrd.target" ];
        after = [ "initrd-fs.target" ];
      };
    };
  };

  machine =
    mode:
    let
      configurations = concatMap (collect mode) (
        [
          ../modules
          (../modes + "/${mode}.nix")
        ]
        ++ registry.modules (attrNames registry.metas)
      );
      units =
        stubs: path:
        attrValues (builtins.mapAttrs unit stubs)
        ++ concatMap (content: unitsIn (at path content)) configurations;
    in
    {
      system = units stubs.system [ "systemd" ];
      initrd = units stubs.initrd [
        "boot"
        "initrd"
        "systemd"
      ];
      fileSystems = builtins.foldl' (
        all: content: all // (content.fileSystems or { })
      ) { } configurations;
    };
in
listToAttrs (
  map (mode: {
    name = mode;
    value = machine mode;
  }) registry.modes
)
