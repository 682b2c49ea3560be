# The image's derivations and the choice of profiles, called by flake.nix.
#
# Four steps, each a derivation, so that changing a profile rebuilds only what holds it:
#   initrd (by mode) → esp (by mode) ┐
#   rootfs (by mode and profiles) ───┴→ image
{ revision, date }:
let
  inherit (builtins)
    attrNames
    concatStringsSep
    elem
    filter
    listToAttrs
    match
    pathExists
    readDir
    sort
    substring
    ;

  modes = [
    "immutable"
    "semi-mutable"
    "mutable"
  ];

  # What core is when no profile files were given.
  bareCore = {
    title = "Core";
    summary = "The base of every machine";
    brings = [ ];
    needs = [ ];
    conflicts = [ ];
    ports = {
      tcp = [ ];
      udp = [ ];
    };
    inherit modes;
    size = "small";
  };

  # profiles/<name>.nix is { meta, module }; only `meta` is looked at, so nixpkgs is not needed.
  allProfiles =
    let
      files = if pathExists ./profiles then attrNames (readDir ./profiles) else [ ];
      names = filter (name: name != null) (
        map (
          file:
          let
            stem = match "([a-z][a-z0-9-]*)\\.nix" file;
          in
          if stem == null then null else builtins.head stem
        ) files
      );
      entry = name: {
        inherit name;
        value = (import (./profiles + "/${name}.nix")).meta;
      };
    in
    {
      core = bareCore;
    }
    // listToAttrs (map entry names);

  unique = list: attrNames (listToAttrs (map (name: { inherit name; value = null; }) list));

  # The canonical set: core and the given ones, sorted, each once; or an error that says what to change.
  resolve =
    { profiles, mode }:
    known:
    let
      set = unique ([ "core" ] ++ profiles);
      unknown = filter (name: !(known ? ${name})) set;
      badMode = filter (name: !(elem mode known.${name}.modes)) set;
      missing = builtins.concatMap (
        name: map (need: "${name} needs ${need}") (filter (need: !(elem need set)) known.${name}.needs)
      ) set;
      clashes = builtins.concatMap (
        name: map (other: "${name} conflicts with ${other}") (filter (other: elem other set) known.${name}.conflicts)
      ) set;
    in
    if !(elem mode modes) then
      throw "unknown mode '${mode}': choose one of ${concatStringsSep ", " modes}"
    else if unknown != [ ] then
      throw "unknown profile: ${concatStringsSep ", " unknown}; there are: ${concatStringsSep ", " (attrNames known)}"
    else if badMode != [ ] then
      throw "not possible in mode ${mode}: ${concatStringsSep ", " badMode}; choose another mode or leave them out"
    else if missing != [ ] then
      throw "${concatStringsSep "; " missing}: add what is needed"
    else if clashes != [ ] then
      throw "${concatStringsSep "; " clashes}: leave one of them out"
    else
      set;

  payload = builtins.path {
    path = ./payload;
    name = "tiny-image-payload";
  };
  source =
    name: path:
    builtins.path {
      inherit path;
      name = "tiny-image-${name}";
    };
  steps = source "steps" ./steps;

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
        # qemu-img comes from here; everything else from the payload.
        PATH = "/usr/bin:/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin";
      }
      // variables
    );

  isoDate =
    let
      at = from: to: substring from to date;
    in
    "${at 0 4}-${at 4 2}-${at 6 2}T${at 8 2}:${at 10 2}:${at 12 2}Z";
in
{
  inherit resolve;
  profiles = allProfiles;

  mkImage =
    {
      profiles,
      mode,
      system ? "x86_64-linux",
      flakeRevision ? revision,
      date ? isoDate,
    }:
    let
      known = allProfiles;
      set = resolve { inherit profiles mode; } known;
      facts = {
        inherit mode date;
        revision = flakeRevision;
        profiles = concatStringsSep "," set;
      };
      initrd = step "initrd" {
        inherit mode;
        init = source "init" ./guest/init;
      };
      esp = step "esp" { inherit mode initrd; };
      rootfs = step "rootfs" (
        facts
        // {
          guest = source "guest" ./guest;
          identity = source "identity" ./identity;
          titles = concatStringsSep "\n" (map (name: "${name}: ${known.${name}.summary}") set);
        }
      );
    in
    if system != "x86_64-linux" then
      throw "the tiny image is made for x86_64-linux only, not for ${system}"
    else
      step "image" (facts // { inherit esp rootfs; });
}
