# Root's password. Userborn keeps the password files, on /var where /etc is read-only; the scripts change root's line in
# place of the real file. Both leave the other's lines alone.
{ config, ... }:
{
  vm.identity.platform = ''
    PASSWD_FILE=/etc/passwd
    SHADOW_FILE=${config.services.userborn.passwordFilesLocation}/shadow
  '';
}
