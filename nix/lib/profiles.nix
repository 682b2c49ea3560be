# Profiles without nixpkgs: which there are, their metadata, and whether a set of them fits together.
#
# `dir` is the folder of the profile files. The portal asks for `metas` to draw its form, lib/image.nix for `resolve`
# and `modules` to build; both see the same rules. Needs only `builtins`, so that it evaluates within milliseconds and
# without any network.
{ dir }:
let
  inherit (builtins)
    all
    attrNames
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    hasAttr
    head
    isAttrs
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    mapAttrs
    match
    readDir
    sort
    stringLength
    substring
    tail
    ;

  modes = [
    "immutable"
    "semi-mutable"
    "mutable"
  ];
  sizes = [
    "small"
    "medium"
    "large"
  ];

  quote = names: concatStringsSep ", " (map (name: "'${name}'") names);
  unique = list: foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ] list;
  canonicalList = list: sort (a: b: a < b) (unique list);

  isStrings = value: isList value && all isString value;
  isPort = value: isInt value && value >= 1 && value <= 65535;
  isPorts = value: isList value && all isPort value;
  isLine = value: isString value && value != "" && match "[^\n]*" value != null;

  # What `meta` must have: a test and the words for its failure, per field.
  fields = {
    title = {
      ok = value: isLine value && stringLength value <= 40;
      want = "one line of at most 40 characters";
    };
    summary = {
      ok = value: isLine value && stringLength value <= 120;
      want = "one line of at most 120 characters";
    };
    brings = {
      ok = isStrings;
      want = "a list of strings";
    };
    needs = {
      ok = isStrings;
      want = "a list of profile names";
    };
    conflicts = {
      ok = isStrings;
      want = "a list of profile names";
    };
    ports = {
      ok =
        value:
        isAttrs value
        &&
          attrNames value == [
            "tcp"
            "udp"
          ]
        && isPorts value.tcp
        && isPorts value.udp;
      want = "{ tcp = [ … ]; udp = [ … ]; } with ports from 1 to 65535";
    };
    modes = {
      ok = value: isStrings value && value != [ ] && all (mode: elem mode modes) value;
      want = "a list of at least one of ${quote modes}";
    };
    size = {
      ok = value: elem value sizes;
      want = "one of ${quote sizes}";
    };
  };

  # A name is a file name, an attribute and part of an image's key: the same rule as for machine names.
  isName =
    name: match "[a-z][a-z0-9-]*" name != null && stringLength name <= 63 && match ".*-" name == null;

  fileName = entry: substring 0 (stringLength entry - 4) entry;
  entries = readDir dir;
  isProfileFile = entry: entries.${entry} != "directory" && match ".*\\.nix" entry != null;
  found = map fileName (filter isProfileFile (attrNames entries));

  loaded = listToAttrs (
    map (name: {
      inherit name;
      value = import (dir + "/${name}.nix");
    }) (filter isName found)
  );

  # Why a file is not a profile; [ ] when it is one.
  faultsOf =
    profile:
    if !(isAttrs profile && profile ? meta && profile ? module) then
      [ "it must be a set with `meta` and `module`" ]
    else if !(isAttrs profile.meta) then
      [ "`meta` must be a set" ]
    else
      concatMap (
        field:
        if !(hasAttr field profile.meta) then
          [ "`meta.${field}` is missing: ${fields.${field}.want}" ]
        else if !(fields.${field}.ok profile.meta.${field}) then
          [ "`meta.${field}` must be ${fields.${field}.want}" ]
        else
          [ ]
      ) (attrNames fields)
      ++ map (field: "`meta.${field}` is not known") (
        filter (field: !(hasAttr field fields)) (attrNames profile.meta)
      )
      ++ (
        if isFunction profile.module || isAttrs profile.module then
          [ ]
        else
          [ "`module` must be a NixOS module" ]
      );

  wrong = mapAttrs (_: faultsOf) loaded;
  badNames = filter (name: !(isName name)) found;
  select =
    keep:
    listToAttrs (
      map (name: {
        inherit name;
        value = loaded.${name};
      }) (filter keep (attrNames loaded))
    );
  valid = select (name: wrong.${name} == [ ]);

  # Needs and conflicts of one profile within a set, as sentences.
  clashes =
    set: name:
    let
      inherit (valid.${name}) meta;
      absent = filter (other: !(elem other set)) meta.needs;
      hostile = filter (other: elem other set) meta.conflicts;
    in
    map (other: "profile '${name}' needs '${other}': add it, or leave '${name}' out") absent
    ++ map (other: "profiles '${name}' and '${other}' exclude each other: leave one out") hostile;

  unfit =
    mode: name:
    if elem mode valid.${name}.meta.modes then
      [ ]
    else
      [ "profile '${name}' is not for ${mode} machines, only for: ${quote valid.${name}.meta.modes}" ];
in
rec {
  inherit modes sizes;

  # { <name> = meta; … } of every valid profile.
  metas = mapAttrs (_: profile: profile.meta) valid;

  # { <name> = [ "why" … ]; … } of the files that are not valid profiles, so that one bad file hides no other.
  faults =
    listToAttrs (
      map (name: {
        inherit name;
        value = wrong.${name};
      }) (filter (name: wrong.${name} != [ ]) (attrNames loaded))
    )
    // listToAttrs (
      map (name: {
        inherit name;
        value = [
          "a profile's name has lower-case letters, digits and inner hyphens, begins with a letter and has at most 63 characters"
        ];
      }) badNames
    );

  # The one form of a set: with core, sorted, each name once. Two requests for the same image have the same form.
  canonical = names: canonicalList ([ "core" ] ++ names);

  # A set with everything that its profiles need, and what those need in turn.
  withNeeds =
    names:
    let
      set = canonical names;
      grown = canonical (
        set ++ concatMap (name: valid.${name}.meta.needs or [ ]) (filter (name: hasAttr name valid) set)
      );
    in
    if grown == set then set else withNeeds grown;

  # problems { profiles, mode }: why this set cannot be built, one sentence each; [ ] if it can.
  problems =
    { profiles, mode }:
    let
      set = canonical profiles;
      unknown = filter (name: !(hasAttr name valid)) set;
      describe =
        name:
        if hasAttr name faults then
          "profile '${name}' cannot be used: ${head faults.${name}}"
        else
          "there is no profile '${name}'; there are: ${quote (attrNames valid)}";
    in
    if !(elem mode modes) then
      [ "there is no mode '${mode}'; there are: ${quote modes}" ]
    else if unknown != [ ] then
      map describe unknown
    else
      concatMap (clashes set) set ++ concatMap (unfit mode) set;

  # resolve { profiles, mode }: the canonical set, or an error that names every problem.
  resolve =
    request@{ profiles, ... }:
    let
      found' = problems request;
      more = if length found' > 1 then " (and: ${concatStringsSep "; " (tail found')})" else "";
    in
    if found' == [ ] then canonical profiles else throw "snowglobe: ${head found'}${more}";

  # The NixOS modules of a resolved set.
  modules = set: map (name: valid.${name}.module) set;
}
