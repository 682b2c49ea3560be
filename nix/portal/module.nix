# services.snowglobe: the portal as a systemd service.
#
# It runs as its own user, reaches libvirt through the group libvirtd and libvirt on other hosts through SSH, builds
# images through the Nix daemon, and keeps all its data below one state directory. It speaks plain HTTP on a local
# address; TLS is a reverse proxy's job.
flake:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.snowglobe;

  setting = types.oneOf [
    types.bool
    types.int
    types.str
    types.path
  ];
  render = value: if lib.isBool value then lib.boolToString value else toString value;

  # An IPv6 address has brackets around it where a port follows.
  host = if lib.hasInfix ":" cfg.address then "[${cfg.address}]" else cfg.address;
in
{
  options.services.snowglobe = {
    enable = lib.mkEnableOption "Snowglobe, a web portal for virtual machines on libvirt";

    package = mkOption {
      type = types.package;
      default = flake.packages.${pkgs.stdenv.hostPlatform.system}.portal;
      defaultText = lib.literalExpression "snowglobe.packages.\${system}.portal";
      description = "The package to run.";
    };

    address = mkOption {
      type = types.str;
      default = "127.0.0.1";
      example = "::1";
      description = "Address to listen on. The portal speaks plain HTTP: keep it local, behind a reverse proxy.";
    };

    port = mkOption {
      type = types.port;
      default = 3000;
      description = "TCP port to listen on.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to open the port in the firewall. Passwords would then cross the network in the clear.";
    };

    publicUrl = mkOption {
      type = types.nullOr (types.strMatching "https?://[^/]+");
      default = null;
      example = "https://machines.example.org";
      description = ''
        Origin under which browsers reach the portal. Needed behind a reverse proxy: requests and sockets from any other
        origin are refused, and cookies are marked for TLS when it begins with https.
      '';
    };

    trustedProxies = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "127.0.0.1" ];
      description = ''
        Addresses or networks of reverse proxies. Only from these are X-Forwarded-* headers believed; from any other
        address they are ignored, because they decide which address is written into the audit log.
      '';
    };

    stateDir = mkOption {
      type = types.path;
      default = "/var/lib/snowglobe";
      description = ''
        Where the database, disks, backups and logs are. Below /var/lib systemd creates it; elsewhere it must exist, belong to
        user and group `snowglobe`, and let libvirt's QEMU user pass.
      '';
    };

    settings = mkOption {
      type = types.attrsOf setting;
      default = { };
      example = {
        SNOWGLOBE_BUILD_SLOTS = 2;
        SNOWGLOBE_LOG_FORMAT = "json";
      };
      description = ''
        Further settings, by their environment names. `snowglobe check-config` lists them all. They end up in the world-readable
        Nix store: secrets belong in {option}`services.snowglobe.environmentFile`.
      '';
    };

    environmentFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/keys/snowglobe.env";
      description = "File with further settings as NAME=value lines, read by systemd; for secrets.";
    };

    auditKeyFile = mkOption {
      type = types.nullOr (types.strMatching "/.+");
      default = null;
      example = "/run/keys/snowglobe-audit";
      description = ''
        File with the key that the audit log's entries are chained with, at least 32 bytes. systemd reads it and gives it to the
        portal as a credential, so the portal's user needs no access to it. Without one the portal creates its own key in its
        state directory, where anyone who takes over the directory has it too.
      '';
    };

    libvirt = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether this computer is a hypervisor itself: enables libvirtd and lets the portal use it. Which hosts there are
        altogether is SNOWGLOBE_HOSTS in {option}`services.snowglobe.settings`; by default this computer alone.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    users = {
      users.snowglobe = {
        isSystemUser = true;
        group = "snowglobe";
        home = cfg.stateDir;
        extraGroups = lib.optionals cfg.libvirt [
          "libvirtd"
          "kvm"
        ];
      };
      groups.snowglobe = { };
    };

    virtualisation.libvirtd.enable = lib.mkIf cfg.libvirt true;

    # Disks are edited through FUSE.
    programs.fuse.enable = true;

    # Images are built through the daemon, as by any other user: being trusted by it would amount to root.
    nix.settings.experimental-features = [
      "nix-command"
      "flakes"
    ];

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [ cfg.port ];

    systemd.services.snowglobe = {
      description = "Snowglobe, the portal for virtual machines";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [
        "network-online.target"
        "nix-daemon.socket"
      ]
      ++ lib.optional cfg.libvirt "libvirtd.service";

      # fusermount3 is the one with privileges, not the one in the store.
      path = [ "/run/wrappers" ];

      environment = lib.mapAttrs (_: render) (
        {
          SNOWGLOBE_STATE = cfg.stateDir;
          SNOWGLOBE_LISTEN = "${host}:${toString cfg.port}";
          HOME = cfg.stateDir;
          NIX_REMOTE = "daemon";
        }
        // lib.optionalAttrs (cfg.publicUrl != null) { SNOWGLOBE_PUBLIC_URL = cfg.publicUrl; }
        // lib.optionalAttrs (cfg.trustedProxies != [ ]) {
          SNOWGLOBE_TRUSTED_PROXIES = lib.concatStringsSep "," cfg.trustedProxies;
        }
        // cfg.settings
      );

      serviceConfig = {
        ExecStartPre = "${lib.getExe cfg.package} check-config";
        ExecStart = "${lib.getExe cfg.package} serve";
        Restart = "on-failure";
        # Jobs are finished or undone after a restart; a stop lets the running steps finish.
        TimeoutStopSec = "90s";
        EnvironmentFile = lib.mkIf (cfg.environmentFile != null) cfg.environmentFile;
        LoadCredential = lib.mkIf (cfg.auditKeyFile != null) "audit-key:${cfg.auditKeyFile}";

        User = "snowglobe";
        Group = "snowglobe";
        StateDirectory = lib.mkIf (lib.hasPrefix "/var/lib/" cfg.stateDir) (
          lib.removePrefix "/var/lib/" cfg.stateDir
        );
        # QEMU's user must be able to reach the disks inside, which are themselves closed to others.
        StateDirectoryMode = "0711";
        WorkingDirectory = cfg.stateDir;
        UMask = "0027";

        # It also needs: the sockets of libvirt and of the Nix daemon, the network for SSH, and FUSE for editing disks.
        # FUSE is the reason for what is missing here: fusermount3 is set-uid, so neither NoNewPrivileges nor any filter that
        # implies it can be had, and what that program needs must stay in the bounding set. The portal itself holds no
        # capability.
        ReadWritePaths = [ cfg.stateDir ];
        CapabilityBoundingSet = [
          "CAP_DAC_READ_SEARCH"
          "CAP_SETGID"
          "CAP_SETUID"
          "CAP_SYS_ADMIN"
        ];
        DevicePolicy = "closed";
        DeviceAllow = [
          "/dev/fuse rw"
          "/dev/kvm rw"
        ];
        PrivateTmp = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RemoveIPC = true;
      };
    };
  };
}
