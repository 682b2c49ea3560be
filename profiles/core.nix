# What every machine has: everyday tools of a server. The rest of the base system (users, SSH,
# firewall, identity) is not a profile, see nix/modules.
{
  meta = {
    title = "Core";
    summary = "The base of every machine: SSH with keys only, sudo for admin, and everyday tools.";
    brings = [
      "vim"
      "curl"
      "git"
      "htop"
      "jq"
      "ripgrep"
      "WireGuard tools"
    ];
    needs = [ ];
    conflicts = [ ];
    ports = {
      tcp = [ 22 ];
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
    { pkgs, ... }:
    {
      environment.systemPackages = with pkgs; [
        curl
        dig
        duf
        file
        git
        htop
        jq
        just
        lsof
        netcat
        parted
        pciutils
        ripgrep
        unzip
        vim
        wget
        wireguard-tools

        # Terminals that ncurses' own database does not know.
        alacritty.terminfo
        foot.terminfo
        ghostty.terminfo
        kitty.terminfo
      ];
    };
}
