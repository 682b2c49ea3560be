# The plain settings of a small server: language, clock, what is left out to keep images small.
{ lib, ... }:
{
  system.stateVersion = "26.05";

  time.timeZone = lib.mkDefault "UTC";
  i18n.defaultLocale = lib.mkDefault "en_US.UTF-8";

  # Manuals of NixOS itself are of no use where nothing is configured; the dev profile brings manual pages back.
  documentation.enable = lib.mkDefault false;
  documentation.nixos.enable = false;

  # The image is named by its inputs; a channel beside them would be a second, unpinned truth.
  nix.channel.enable = false;

  # nixpkgs offers these for desktops and for people at a keyboard.
  environment.defaultPackages = [ ];
  xdg.autostart.enable = false;
  xdg.icons.enable = false;
  xdg.mime.enable = false;
  xdg.sounds.enable = false;
}
