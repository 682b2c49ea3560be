# What every machine is made of, whatever its mode. A mode from ../modes and the chosen profiles come on top.
{
  imports = [
    ./options.nix
    ./base.nix
    ./users.nix
    ./boot.nix
    ./network.nix
    ./ssh.nix
    ./egress.nix
    ./journald.nix
    ./zram.nix
    ./facts.nix
    ./closure.nix
    ./identity
  ];
}
