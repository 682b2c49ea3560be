# SSH with keys only, for admin and user. Which keys and which host key: the identity (identity/keys.nix, host-key.nix).
{
  services.openssh = {
    enable = true;
    # Only the identity opens ports, see identity/ports.nix.
    openFirewall = false;
    settings = {
      PermitRootLogin = "no";
      PasswordAuthentication = false;
      KbdInteractiveAuthentication = false;
    };
  };
}
