# Host name. /etc/hostname is a link into /run, where the initrd has put the name before PID 1 of the system looks for it
# (machine-id.nix); so it is the static name from the first moment, and DHCP cannot replace it.
{
  environment.etc.hostname.source = "/run/snowglobe/hostname";

  vm.identity.platform = ''
    HOSTNAME_FILE=/run/snowglobe/hostname
  '';
}
