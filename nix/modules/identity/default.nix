# A machine's identity is in /var/identity and is applied by the scripts of nix/identity, which know nothing about
# NixOS. This module packages them, runs them, and assembles the platform file, in which each concern beside it says
# where its part goes in this system.
#
# snowglobe-identity.service runs before the network, sshd and any login, again whenever a file changes (the path unit),
# and whenever the portal asks. Nothing requires it: a missing or malformed file costs one concern, never the boot.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.vm.identity;

  # The scripts without their tests, run by bash like everything else in NixOS.
  scripts = pkgs.runCommandLocal "snowglobe-identity-scripts" { } ''
    mkdir -p $out/libexec
    cp -r ${../../identity/common.sh} $out/libexec/common.sh
    cp -r ${../../identity/receive.sh} $out/libexec/receive.sh
    cp -r ${../../identity/concerns} $out/libexec/concerns
    sed '1s|.*|#!${pkgs.runtimeShell}|' ${../../identity/snowglobe-identity} >$out/libexec/snowglobe-identity
    chmod +x $out/libexec/snowglobe-identity
  '';

  command = pkgs.writeShellScriptBin "snowglobe-identity" ''
    export PATH=${
      lib.makeBinPath [
        config.systemd.package
        pkgs.coreutils
        pkgs.diffutils
        pkgs.nftables
        pkgs.openssh
        pkgs.util-linux
      ]
    }
    export SNOWGLOBE_PLATFORM=/etc/snowglobe/platform
    exec ${scripts}/libexec/snowglobe-identity "$@"
  '';
in
{
  imports = [
    ./address.nix
    ./ca.nix
    ./dns.nix
    ./host-key.nix
    ./hostname.nix
    ./hosts.nix
    ./keys.nix
    ./machine-id.nix
    ./password.nix
    ./ports.nix
  ];

  options.vm.identity = {
    platform = lib.mkOption {
      type = lib.types.lines;
      default = "";
      description = ''
        The platform file of the identity scripts: POSIX shell that sets the variables and hooks documented at the head of
        nix/identity/common.sh.
      '';
    };

    scripts = lib.mkOption {
      type = lib.types.package;
      default = scripts;
      readOnly = true;
      description = "The identity scripts, for the initrd and for tests.";
    };
  };

  config = {
    environment.etc."snowglobe/platform".text = ''
      # shellcheck shell=sh disable=SC2034
      # For snowglobe-identity: where things go in this system.
      ${cfg.platform}
    '';
    environment.systemPackages = [ command ];

    systemd = {
      tmpfiles.rules = [ "d /var/identity 0755 root root -" ];

      services.snowglobe-identity = {
        description = "Apply the machine's identity";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-pre.target" ];
        # userborn.service is ordered before sysinit.target, and so before this.
        after = [ "nftables.service" ];
        before = [
          "network-pre.target"
          "sshd-keygen.service"
          "sshd.service"
          "systemd-user-sessions.service"
        ];
        unitConfig = {
          RequiresMountsFor = "/var/identity";
          # The portal may write a dozen files within a second; that is no crash loop.
          StartLimitIntervalSec = 0;
        };
        path = [ command ];
        # systemd drops what the path unit sees while this runs, so it checks again before it ends. Three times, because
        # a file dated in the future would otherwise keep it here forever.
        script = ''
          mkdir -p /run/snowglobe
          for _ in 1 2 3; do
            touch /run/snowglobe/identity.began
            status=0
            snowglobe-identity || status=$?
            [ -n "$(find /var/identity -newer /run/snowglobe/identity.began)" ] || break
          done
          exit "$status"
        '';
        serviceConfig.Type = "oneshot";
      };

      # Without RemainAfterExit above, so that each change starts it anew.
      paths.snowglobe-identity = {
        description = "Watch the machine's identity";
        wantedBy = [ "multi-user.target" ];
        pathConfig.PathChanged = "/var/identity";
      };
    };
  };
}
