# This machine's own settings, on top of its profiles.
{ pkgs, ... }:
{
  environment.systemPackages = with pkgs; [
    # Packages for all users.
  ];
}
