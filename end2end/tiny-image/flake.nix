# The tiny offline image: what `nix/flake.nix` offers, without nixpkgs and without a network.
#
# Its interface is the one of the NixOS flake, so the portal treats both alike:
#   lib.profiles                                  the metadata of profiles/*.nix, by name
#   lib.mkImage { profiles, mode, system ? … }    a derivation with nixos.qcow2 in its output
#
# It works only in a directory that `prepare` composed: payload/ (Debian's kernel and programs),
# identity/ and profiles/ are put there. The builders run busybox of the payload; only `qemu-img` is
# taken from the machine, which is why the setting `sandbox` must be false.
{
  description = "Tiny offline guest image with the contract of Snowglobe's NixOS images";

  outputs =
    { self }:
    let
      tiny = import ./lib.nix {
        revision = self.rev or self.narHash or "unknown";
        date = self.lastModifiedDate or "19700101000000";
      };
    in
    {
      lib = { inherit (tiny) profiles mkImage; };
      packages.x86_64-linux = {
        default = self.packages.x86_64-linux.immutable;
        immutable = tiny.mkImage {
          profiles = [ "core" ];
          mode = "immutable";
        };
        semi-mutable = tiny.mkImage {
          profiles = [ "core" ];
          mode = "semi-mutable";
        };
        mutable = tiny.mkImage {
          profiles = [ "core" ];
          mode = "mutable";
        };
      };
    };
}
