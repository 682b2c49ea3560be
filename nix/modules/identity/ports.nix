# Open ports. The scripts write the whole table `inet snowglobe` and replace it in one transaction; NixOS' own firewall,
# whose rules are fixed at build time, is off. Tables that are fixed (egress.nix) stay with networking.nftables, which
# checks them when the image is built.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.vm.firewall;
in
{
  options.vm.firewall.extraInputRules = lib.mkOption {
    type = lib.types.lines;
    default = "";
    example = ''
      iifname "wg0" tcp dport 9100 accept
    '';
    description = ''
      Further nftables rules of the input chain, after the rules from the machine's port lists. For what an image needs by
      itself, such as name resolution for containers; ports for the outside belong into the machine's identity.
    '';
  };

  config = {
    networking = {
      firewall.enable = false;
      nftables.enable = true;
    };

    vm.identity.platform = ''
      FIREWALL_FILE=/run/snowglobe/firewall.nft
      FIREWALL_EXTRA=${pkgs.writeText "snowglobe-input.nft" cfg.extraInputRules}
      load_firewall() {
          nft -f "$1" && return
          nft list table inet snowglobe >/dev/null 2>&1 || nft -f ${./closed.nft}
          return 1
      }
    '';
  };
}
