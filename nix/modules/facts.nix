# What the portal reads through the guest agent: which image this is, and that it has come up.
{ config, pkgs, ... }:
let
  cfg = config.vm;
in
{
  environment.etc."snowglobe-image" = {
    text = ''
      profiles=${builtins.concatStringsSep "," cfg.profiles}
      mode=${cfg.mode}
      revision=${cfg.image.revision}
      date=${cfg.image.date}
    '';
    mode = "0444";
  };

  # The health check of an upgrade waits for this file before it discards the previous boot disk.
  systemd.services.snowglobe-boot-complete = {
    description = "Tell the portal that the machine is up";
    wantedBy = [ "multi-user.target" ];
    after = [
      "multi-user.target"
      "snowglobe-identity.service"
      "sshd.service"
      "qemu-guest-agent.service"
    ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = [
        "${pkgs.coreutils}/bin/mkdir -p /run/snowglobe"
        "${pkgs.coreutils}/bin/touch /run/snowglobe/boot-complete"
      ];
    };
  };
}
