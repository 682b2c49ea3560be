# Keeps a machine that runs untrusted programs out of the private networks around it.
#
# The chain is hooked into forwarding as well as into output: what a container on a bridge sends is forwarded, what a
# rootless one sends leaves as its user's own traffic. Only root can change the rules, and neither `user` nor members of
# a rootless daemon are root. Answers to connections from outside pass, or nobody could log in.
{ config, lib, ... }:
let
  cfg = config.vm.egress;
  split = wanted: lib.filter (cidr: lib.hasInfix ":" cidr == wanted) cfg.allowedCIDRs;
  accept =
    family: cidrs:
    lib.optionalString (cidrs != [ ]) "${family} daddr { ${lib.concatStringsSep ", " cidrs} } accept";
in
{
  options.vm.egress = {
    blockPrivateNetworks = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether to drop what the machine and its containers send to private networks (RFC 1918, RFC 6598, link-local and
        unique local IPv6). Left open: answers, the machine's own addresses, DHCP, and DNS to the servers that
        systemd-resolved uses, asked by systemd-resolved only.
      '';
    };

    allowedCIDRs = lib.mkOption {
      type = lib.types.listOf (lib.types.strMatching "[0-9A-Fa-f.:]+(/[0-9]{1,3})?");
      default = [ ];
      example = [ "192.168.10.5/32" ];
      description = "Private addresses that stay reachable although private networks are blocked.";
    };
  };

  config = lib.mkIf cfg.blockPrivateNetworks {
    networking.nftables.tables.snowglobe-egress = {
      family = "inet";
      content = ''
        chain private {
          ct state established,related accept
          ${accept "ip" (split false)}
          ${accept "ip6" (split true)}
          ip daddr { 10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16 } counter reject with icmpx admin-prohibited
          ip6 daddr { fc00::/7, fe80::/10 } meta l4proto { tcp, udp } counter reject with icmpx admin-prohibited
        }
        chain output {
          type filter hook output priority filter; policy accept;
          oifname "lo" accept
          fib daddr type local accept
          udp sport 68 udp dport 67 accept
          udp sport 546 udp dport 547 accept
          meta skuid ${toString config.ids.uids.systemd-resolve} udp dport 53 accept
          meta skuid ${toString config.ids.uids.systemd-resolve} tcp dport { 53, 853 } accept
          # Bridges of this machine's own containers are reached through them, whatever their addresses.
          oifname { "docker0", "br-*", "podman*" } accept
          jump private
        }
        chain forward {
          type filter hook forward priority filter - 5; policy accept;
          oifname { "docker0", "br-*", "podman*" } accept
          jump private
        }
      '';
    };
  };
}
