# Shares of other machines, mounted on first use. They are listed in the machine's identity, so that the
# image holds neither names nor passwords:
#   /var/identity/samba_client_shares   one per line: MOUNT_POINT //SERVER/SHARE [OPTION,…]
#   /var/identity/samba_credentials     username=…, password=…, domain=… as in mount.cifs(8), mode 0600
{
  meta = {
    title = "Samba client";
    summary = "Mounts SMB shares of other machines on first use.";
    brings = [
      "cifs-utils"
      "automounts from the machine's identity"
    ];
    needs = [ ];
    conflicts = [ ];
    ports = {
      tcp = [ ];
      udp = [ ];
    };
    modes = [
      "immutable"
      "semi-mutable"
      "mutable"
    ];
    size = "small";
  };

  module =
    {
      config,
      lib,
      pkgs,
      ...
    }:
    let
      mountShares = pkgs.writeShellApplication {
        name = "snowglobe-samba-mounts";
        runtimeInputs = [
          config.systemd.package
          pkgs.coreutils
        ];
        text = ''
          shares=/var/identity/samba_client_shares
          credentials=/var/identity/samba_credentials
          units=/run/systemd/system
          list=/run/snowglobe/samba-units

          # Units of the previous run first: a line that was removed is a share that is no longer wanted.
          if [ -s "$list" ]; then
            while IFS= read -r unit; do
              systemctl stop "$unit.automount" "$unit.mount" || true
              rm -f "$units/$unit.automount" "$units/$unit.mount"
            done <"$list"
          fi
          mkdir -p "$units" "''${list%/*}"
          : >"$list"

          if [ -r "$shares" ]; then
            while read -r point share options || [ -n "$point" ]; do
              case $point in "" | "#"*) continue ;; esac
              # A share may hide nothing of the system.
              case $point in
                *..* | *[!A-Za-z0-9/._-]*) point= ;;
                /var/mnt/?* | /home/?* | /tmp/?*) ;;
                *) point= ;;
              esac
              case $share in
                //?*/?*) case $share in *[!A-Za-z0-9/._\$-]*) share= ;; esac ;;
                *) share= ;;
              esac
              case $options in *[!A-Za-z0-9=,._:/@-]*) share= ;; esac
              if [ -z "$point" ] || [ -z "$share" ]; then
                echo "a line of $shares is skipped: it must be MOUNT_POINT //SERVER/SHARE [OPTION,…], the mount point below /var/mnt, /home or /tmp" >&2
                continue
              fi
              unit=$(systemd-escape --path "$point")
              printf '[Unit]\nDescription=%s at %s\n[Mount]\nWhat=%s\nWhere=%s\nType=cifs\nOptions=credentials=%s,_netdev,nosuid,nodev%s\n' \
                "$share" "$point" "$share" "$point" "$credentials" "''${options:+,$options}" >"$units/$unit.mount"
              printf '[Automount]\nWhere=%s\nTimeoutIdleSec=10min\n' "$point" >"$units/$unit.automount"
              echo "$unit" >>"$list"
            done <"$shares"
          fi

          systemctl daemon-reload
          while IFS= read -r unit; do
            systemctl start "$unit.automount" || echo "$unit.automount did not start" >&2
          done <"$list"
        '';
      };
    in
    {
      environment.systemPackages = [ pkgs.cifs-utils ];
      boot.supportedFilesystems.cifs = true;

      systemd.services.snowglobe-samba-mounts = {
        description = "Automounts for the Samba shares of this machine's identity";
        wantedBy = [ "multi-user.target" ];
        unitConfig = {
          RequiresMountsFor = "/var/identity";
          StartLimitIntervalSec = 0;
        };
        serviceConfig = {
          Type = "oneshot";
          ExecStart = lib.getExe mountShares;
        };
      };
      systemd.paths.snowglobe-samba-mounts = {
        description = "Watch the list of Samba shares";
        wantedBy = [ "multi-user.target" ];
        pathConfig.PathChanged = [
          "/var/identity/samba_client_shares"
          "/var/identity/samba_credentials"
        ];
      };
    };
}
