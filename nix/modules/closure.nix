# What the system is made of, for the portal to compare two images: closure.json beside the image file, which itself holds no
# references, so that the closure may be collected.
{ config, pkgs, ... }:
let
  closure = pkgs.closureInfo { rootPaths = [ config.system.build.toplevel ]; };
in
{
  system.build.snowglobeClosure =
    pkgs.runCommand "snowglobe-closure.json"
      {
        kernel = config.boot.kernelPackages.kernel.version;
        systemd = config.systemd.package.version;
        # A build of its own, so that the image does not have the closure among its inputs for this; and one that fails
        # should Nix find a reference nevertheless.
        allowedReferences = [ ];
      }
      ''
        awk -f ${./closure.awk} -v kernel="$kernel" -v systemd="$systemd" ${closure}/registration >$out
      '';
}
