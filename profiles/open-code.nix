# The opencode agent from the image, with private networks blocked as in the claude profile.
{
  meta = {
    title = "opencode";
    summary = "The opencode agent, kept out of private networks, with compressed swap in memory.";
    brings = [
      "opencode"
      "egress block for private networks"
      "zram swap"
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
    { lib, pkgs, ... }:
    {
      environment.systemPackages = [ pkgs.opencode ];

      # Upgrades come with the image.
      environment.sessionVariables.OPENCODE_DISABLE_AUTOUPDATE = "1";

      vm.egress.blockPrivateNetworks = true;
      vm.zram.enable = lib.mkDefault true;
      vm.zram.memoryPercent = lib.mkDefault 50;
    };
}
