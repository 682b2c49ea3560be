# /etc/hosts: a link into /run, where the scripts put the machine's own names and the extra lines of the identity.
{ lib, ... }:
{
  environment.etc.hosts.source = lib.mkForce "/run/snowglobe/hosts";

  vm.identity.platform = ''
    HOSTS_FILE=/run/snowglobe/hosts
  '';
}
