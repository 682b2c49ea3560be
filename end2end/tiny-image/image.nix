# The derivations of one image, called by flake.nix with a set of profiles that fits together.
#
# Four steps, so that each change builds again only what holds it:
#   initrd (by mode) → esp (by mode) ┐
#   rootfs (by mode and profiles) ───┴→ image
{
  profiles,
  mode,
  revision,
  date,
  metas,
}:
let
  inherit (builtins) concatStringsSep;

  # Each part by itself: a step that does not use the flake's other files must not change with them.
  part =
    name: path:
    builtins.path {
      inherit path;
      name = "tiny-image-${name}";
    };
  payload = part "payload" ./payload;
  steps = part "steps" ./steps;

  step =
    name: variables:
    derivation (
      {
        name = "tiny-image-${name}";
        system = "x86_64-linux";
        builder = "${payload}/bin/busybox";
        args = [
          "sh"
          "${steps}/${name}.sh"
        ];
        inherit payload steps;
        # For qemu-img; everything else comes from the payload.
        PATH = "/usr/bin:/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin";
      }
      // variables
    );

  describe =
    name: "${name}: ${metas.${name}.summary} (${concatStringsSep ", " metas.${name}.brings})";

  facts = {
    inherit mode revision date;
    profiles = concatStringsSep "," profiles;
  };

  initrd = step "initrd" {
    inherit mode;
    init = part "init" ./initrd/init;
  };

  esp = step "esp" { inherit mode initrd; };

  rootfs = step "rootfs" (
    facts
    // {
      guest = part "guest" ./guest;
      identity = part "identity" ./identity;
      descriptions = concatStringsSep "\n" (map describe profiles);
    }
  );
in
step "image" {
  inherit mode esp rootfs;
  inherit (facts) profiles;
}
