# Authorized keys of admin and user. In a machine whose /etc cannot change they are in /run; a mutable machine has them
# in the usual place, and reads its users' own files too.
{ config, lib, ... }:
let
  mutable = config.vm.mode == "mutable";
  directory = if mutable then "/etc/ssh/authorized_keys.d" else "/run/snowglobe/authorized_keys";
in
{
  services.openssh.authorizedKeysFiles = lib.mkForce (
    [ "${directory}/%u" ] ++ lib.optional mutable "%h/.ssh/authorized_keys"
  );

  vm.identity.platform = ''
    KEY_USERS='admin user'
    KEYS_DIR=${directory}
  '';
}
