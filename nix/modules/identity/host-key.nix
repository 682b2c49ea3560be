# SSH host key: one, ed25519, in the identity, so that it survives upgrades. The scripts make it at first boot.
{
  services.openssh.hostKeys = [
    {
      path = "/var/identity/ssh_host_ed25519_key";
      type = "ed25519";
    }
  ];

  vm.identity.platform = ''
    HOST_KEY=/var/identity/ssh_host_ed25519_key
    host_key_changed() { systemctl --no-block try-restart sshd.service; }
  '';
}
