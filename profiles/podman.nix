# Podman without a daemon: rootless for both users through their subordinate ids, no alias for docker, so that it can
# live beside the docker profile.
{
  meta = {
    title = "Podman";
    summary = "Rootless containers without a daemon, with compose, distrobox, buildah and skopeo.";
    brings = [
      "podman"
      "podman-compose"
      "distrobox"
      "buildah"
      "skopeo"
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
    { pkgs, ... }:
    {
      virtualisation.podman = {
        enable = true;
        autoPrune.enable = true;
        defaultNetwork.settings.dns_enabled = true;
      };

      environment.systemPackages = with pkgs; [
        buildah
        distrobox
        podman-compose
        skopeo
      ];

      # Containers ask aardvark-dns, which listens on the address of their bridge and itself asks the machine's resolver over
      # loopback. So names resolve under the egress block, too, without an exception.
      vm.firewall.extraInputRules = ''
        iifname "podman*" meta l4proto { tcp, udp } th dport 53 accept
      '';
    };
}
