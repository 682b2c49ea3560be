# The plain settings of a small server: language, clock, what is left out to keep images small.
{ lib, ... }:
{
  system.stateVersion = "26.05";

  time.timeZone = lib.mkDefault "UTC";
  i18n.defaultLocale = lib.mkDefault "en_US.UTF-8";

  # Nothing is configured in these machines, so NixOS' own manual is left out; the dev profile brings manual pages back.
  documentation.enable = lib.mkDefault false;
  documentation.nixos.enable = false;

  # The image is defined by its pinned inputs; a channel would be a second, unpinned nixpkgs.
  nix.channel.enable = false;

  # nixpkgs has these for desktops and interactive installations.
  environment.defaultPackages = [ ];
  xdg.autostart.enable = false;
  xdg.icons.enable = false;
  xdg.mime.enable = false;
  xdg.sounds.enable = false;
}
