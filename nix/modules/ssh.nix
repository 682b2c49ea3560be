# SSH with keys only, for admin and user. Which keys and which host key: the identity (identity/keys.nix, host-key.nix).
{
  services.openssh = {
    enable = true;
    # Ports are opened by the identity alone, see identity/ports.nix.
    openFirewall = false;
    settings = {
      PermitRootLogin = "no";
      PasswordAuthentication = false;
      KbdInteractiveAuthentication = false;
    };
  };
}
