# Reads NixOS modules without nixpkgs: which options they declare and which they set. For `nix/check`, which compares the
# first with their descriptions and the second with the table in README.md, where each option is listed with the nixpkgs
# file that declares it.
#
# Modules are called with a stand-in for nixpkgs' `lib` that keeps properties (mkIf, mkForce, …) as plain marks. Values are
# lazy, and the survey looks at names only, so the packages and settings that they would read are never asked for.
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    elemAt
    filter
    genList

    isAttrs
    isFunction

    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    ;

  mark = content: {
    _survey = "property";
    contents = [ content ];
  };
  keep = _: mark;
  type = {
    _survey = "type";
  };
  ofType = _: type;

  lib = {
    mkOption = declaration: declaration // { _survey = "option"; };
    mkEnableOption = what: {
      _survey = "option";
      description = "Whether to enable ${what}.";
    };
    mkDefault = mark;
    mkForce = mark;
    mkIf = keep;
    mkOverride = keep;
    mkMerge = contents: {
      _survey = "property";
      inherit contents;
    };
    types = {
      attrsOf = ofType;
      bool = type;
      enum = ofType;
      int = type;
      ints.between = _: ofType;
      lines = type;
      listOf = ofType;
      nullOr = ofType;
      oneOf = ofType;
      package = type;
      path = type;
      port = type;
      str = type;
      strMatching = ofType;
    };
    genAttrs =
      names: value:
      listToAttrs (
        map (name: {
          inherit name;
          value = value name;
        }) names
      );
    inherit mapAttrs;
    literalExpression = text: text;
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    optionalAttrs = condition: set: if condition then set else { };
  };

  unread = what: throw "the survey does not evaluate ${what}";

  arguments = {
    inherit lib;
    config = unread "config";
    options = unread "options";
    # Part of a name in read-only.nix.
    pkgs.stdenv.hostPlatform.libDir = "lib64";
    modulesPath = "nixpkgs:/";
  };

  isMarked = kind: value: isAttrs value && (value._survey or null) == kind;

  # The plain values behind any number of properties.
  plain = value: if isMarked "property" value then concatMap plain value.contents else [ value ];

  # A module and all that it imports, nixpkgs' own left out, each as { options, config, stray }. Beside `options` or `config`
  # NixOS refuses settings that are not below `config`: they are stray.
  flatten =
    module:
    let
      body = if isPath module then import module else module;
      called = if isFunction body then body arguments else body;
      split = called ? config || called ? options;
      rest = removeAttrs called [ "imports" ];
    in
    if isString module then
      [ ]
    else if isPath module && !isAttrs called then
      unread (toString module)
    else
      [
        {
          options = if split then called.options or { } else { };
          config = if split then called.config or { } else rest;
          stray =
            if split then
              attrNames (
                removeAttrs rest [
                  "config"
                  "options"
                ]
              )
            else
              [ ];
        }
      ]
      ++ concatMap flatten (called.imports or [ ]);

  declaredBelow =
    path: value:
    if isMarked "option" value then
      [
        {
          name = concatStringsSep "." path;
          described = isString (value.description or null) && value.description != "";
          typed = value ? type || !(value ? default);
        }
      ]
    else
      concatMap (name: declaredBelow (path ++ [ name ]) value.${name}) (attrNames value);

  # `<name>` in a row of the table matches any name.
  fits = name: part: part == name || part == "<name>";
  begins =
    row: path:
    length row >= length path
    && filter (i: !(fits (elemAt path i) (elemAt row i))) (genList (i: i) (length path)) == [ ];

  # The paths that a configuration sets, followed as deep as the rows of the table go.
  setBelow =
    rows: path: value:
    let
      below = filter (row: begins row path) rows;
      here = filter (row: length row == length path) below;
      deeper = filter (row: length row > length path) below;
      descend = concatMap (
        content:
        if isAttrs content then
          concatMap (name: setBelow rows (path ++ [ name ]) content.${name}) (attrNames content)
        else
          [ ]
      ) (plain value);
      found = row: [
        {
          name = concatStringsSep "." path;
          row = concatStringsSep "." row;
        }
      ];
    in
    if here != [ ] && deeper == [ ] then
      found (elemAt here 0)
    else if here != [ ] then
      found (elemAt here 0) ++ descend
    else if deeper != [ ] || path == [ ] then
      descend
    else
      [
        {
          name = concatStringsSep "." path;
          row = null;
        }
      ];
in
{
  # survey { modules, rows }: rows are option paths as lists.
  survey =
    { modules, rows }:
    let
      flat = concatMap flatten modules;
    in
    {
      stray = concatMap (module: module.stray) flat;
      declared = concatMap (module: declaredBelow [ ] module.options) flat;
      set = concatMap (module: concatMap (setBelow rows [ ]) (plain module.config)) flat;
    };
}
