# Clients for clusters elsewhere; no node runs in this machine.
{
  meta = {
    title = "Kubernetes clients";
    summary = "kubectl, Helm and friends for working with clusters elsewhere.";
    brings = [
      "kubectl"
      "helm"
      "k9s"
      "kustomize"
      "kubectx"
      "talosctl"
      "cmctl"
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
      environment.systemPackages = with pkgs; [
        cmctl
        k9s
        kubectl
        kubectx
        kubernetes-helm
        kustomize
        talosctl
      ];
    };
}
