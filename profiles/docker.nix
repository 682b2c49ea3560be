# Docker twice: the system daemon for members of its group, a rootless one for all other users. Membership of the group
# amounts to root, so `user`, who has no sudo, is not in it by default.
{
  meta = {
    title = "Docker";
    summary = "Docker for admin, and a rootless Docker of their own for users without sudo.";
    brings = [
      "docker"
      "docker compose"
      "rootless docker"
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
    size = "medium";
  };

  module =
    {
      config,
      lib,
      pkgs,
      ...
    }:
    let
      bridge = "172.17.0.1";

      base = {
        virtualisation.docker = {
          enable = true;
          autoPrune.enable = true;
          rootless.enable = true;
          daemon.settings.bip = "${bridge}/16";
        };

        users.groups.docker.members = config.vm.docker.groupMembers;
        environment.systemPackages = [ pkgs.docker-compose ];

        # Users who cannot write to the system's socket use their own daemon.
        environment.extraInit = ''
          if [ -z "$DOCKER_HOST" ] && [ -n "$XDG_RUNTIME_DIR" ] && ! [ -w /run/docker.sock ]; then
            export DOCKER_HOST="unix://$XDG_RUNTIME_DIR/docker.sock"
          fi
        '';
      };

      # Containers would ask the network's name servers themselves, which is what the block forbids: they ask the
      # machine's resolver instead.
      useHostResolver = {
        virtualisation.docker.daemon.settings.dns = [ bridge ];
        environment.etc."systemd/resolved.conf.d/20-docker.conf".text = ''
          [Resolve]
          DNSStubListenerExtra=${bridge}
        '';
        vm.firewall.extraInputRules = ''
          iifname { "docker0", "br-*" } ip daddr ${bridge} meta l4proto { tcp, udp } th dport 53 accept
        '';
      };
    in
    {
      options.vm.docker.groupMembers = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ "admin" ];
        example = [
          "admin"
          "user"
        ];
        description = ''
          Users who may talk to the system's Docker daemon. Each of them can become root through it; users who are not
          listed get a rootless daemon instead.
        '';
      };

      config = lib.mkMerge [
        base
        (lib.mkIf config.vm.egress.blockPrivateNetworks useHostResolver)
      ];
    };
}
