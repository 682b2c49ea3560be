# Claude Code from the image, with private networks blocked: a program that acts on text from strangers must not reach the
# private networks around its machine, whether it runs directly or in a container.
{
  meta = {
    title = "Claude Code";
    summary = "The Claude Code agent, kept out of private networks, with compressed swap in memory.";
    brings = [
      "claude"
      "nodejs"
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
      vm.allowUnfree = [ "claude-code" ];
      environment.systemPackages = with pkgs; [
        claude-code
        nodejs
      ];

      # Upgrades come with the image; a copy that updated itself under /home would shadow it.
      environment.sessionVariables.DISABLE_AUTOUPDATER = "1";

      vm.egress.blockPrivateNetworks = true;
      vm.zram.enable = lib.mkDefault true;
      vm.zram.memoryPercent = lib.mkDefault 50;
    };
}
