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

      # Containers on Podman's bridges ask the resolver that listens on the bridge's own address.
      vm.firewall.extraInputRules = ''
        iifname "podman*" udp dport 53 accept
        iifname "podman*" tcp dport 53 accept
      '';
    };
}
