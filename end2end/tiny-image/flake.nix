# The tiny offline image: what `nix/flake.nix` offers, without nixpkgs and without a network.
#
# Its interface is the one of the NixOS flake, so the portal treats both alike:
#   lib.profiles                                  the metadata of profiles/*.nix, by name
#   lib.mkImage { profiles, mode, system ? … }    a derivation with nixos.qcow2 and closure.json in its output
#
# It works only in a directory that `prepare` composed: payload/ (Debian's kernel and programs), identity/,
# profiles/ and registry.nix are put there. The builders run the payload's busybox; only `qemu-img` is taken
# from the machine, which is why Nix must run with `sandbox = false`.
{
  description = "Tiny offline guest image with the contract of Snowglobe's NixOS images";

  outputs =
    { self }:
    let
      registry = import ./registry.nix { dir = ./profiles; };

      # Of the source, not of the build, so that the same source gives the same image.
      origin = {
        revision = self.shortRev or (builtins.substring 7 12 self.narHash);
        date = builtins.substring 0 8 self.lastModifiedDate;
      };

      mkImage =
        {
          profiles,
          mode,
          system ? "x86_64-linux",
          flakeRevision ? origin.revision,
          revision ? flakeRevision,
          date ? origin.date,
        }:
        if system != "x86_64-linux" then
          throw "snowglobe: the tiny image is made for x86_64-linux only, not for ${system}"
        else
          import ./image.nix {
            inherit mode revision date;
            profiles = registry.resolve { inherit profiles mode; };
            inherit (registry) metas;
          };
    in
    {
      lib = {
        inherit mkImage;
        inherit (registry)
          canonical
          modes
          problems
          withNeeds
          ;
        profiles = registry.metas;
        profileFaults = registry.faults;
      };

      # One image per mode, to try by hand: nix build .#mutable
      packages.x86_64-linux = builtins.listToAttrs (
        map (mode: {
          name = mode;
          value = mkImage {
            inherit mode;
            profiles = [ "core" ];
          };
        }) registry.modes
      );
    };
}
