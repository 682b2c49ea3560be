# Pure tests: of the rules about profile sets, of every profile's metadata, of what the modules declare and set. Evaluated by
# `nix/check`, which prints one line per test. No nixpkgs, no network.
#
# `profilesDir` and `readme` are given, because the portal's copy of this directory has them elsewhere or not at all.
{ profilesDir, readme }:
let
  inherit (builtins)
    all
    attrNames
    attrValues
    concatMap
    concatStringsSep
    deepSeq
    elem
    filter
    fromJSON
    isString
    length
    match
    pathExists
    readFile
    split
    toJSON
    tryEval
    ;

  registry = import ./profiles.nix { dir = profilesDir; };
  inherit (registry) metas problems resolve;

  # A test passes when `got` is `want`.
  same = name: want: got: {
    inherit name;
    ok = got == want;
    note = if got == want then "" else "want ${toJSON want}, got ${toJSON got}";
  };
  # … or when there is nothing to complain about.
  clean = name: complaints: same name [ ] complaints;
  refuses = name: value: same name false (tryEval (deepSeq value value)).success;

  names = attrNames metas;
  immutable = profiles: {
    inherit profiles;
    mode = "immutable";
  };

  # Profiles made up for the rules, so that these tests do not change with the real ones.
  made = import ./profiles.nix { dir = ./fixtures; };

  expectedNames = [
    "claude"
    "core"
    "dev"
    "docker"
    "home-manager"
    "kubernetes"
    "nvidia"
    "open-code"
    "pipewire"
    "podman"
    "python"
    "rust"
    "samba-mount"
  ];

  profileTests = [
    (same "the profiles that Snowglobe promises are there" expectedNames (
      filter (name: elem name expectedNames) names
    ))
    (clean "every profile file is valid" (
      map (name: "${name}: ${concatStringsSep "; " registry.faults.${name}}") (attrNames registry.faults)
    ))
    (clean "every profile that another one names exists" (
      concatMap (
        name:
        map (other: "${name} names ${other}") (
          filter (other: !(elem other names)) (metas.${name}.needs ++ metas.${name}.conflicts)
        )
      ) names
    ))
    (clean "every profile can be built in each of its modes, with what it needs" (
      concatMap (
        name:
        concatMap (
          mode:
          problems {
            profiles = registry.withNeeds [ name ];
            inherit mode;
          }
        ) metas.${name}.modes
      ) names
    ))
    (same "a set's form: core first of all present, sorted, once each" [ "core" "docker" "python" ] (
      registry.canonical [
        "python"
        "docker"
        "python"
        "core"
      ]
    ))
    (same "an empty set is core" [ "core" ] (resolve (immutable [ ])))
    (same "order does not matter"
      (resolve (immutable [
        "docker"
        "claude"
      ]))
      (
        resolve (immutable [
          "claude"
          "docker"
        ])
      )
    )
    (same "nvidia alone is refused, and the refusal says why" 1 (
      length (problems (immutable [ "nvidia" ]))
    ))
    (same "with what it needs nvidia is accepted" [ "core" "docker" "nvidia" ] (
      resolve (immutable (registry.withNeeds [ "nvidia" ]))
    ))
    (refuses "an unknown profile is an error" (resolve (immutable [ "nonesuch" ])))
    (refuses "a path is not a profile" (resolve (immutable [ "../flake" ])))
    (refuses "an unknown mode is an error" (resolve {
      profiles = [ ];
      mode = "frozen";
    }))
  ];

  ruleTests = [
    (same "valid files are profiles" [ "core" "lone" "one-mode" "wants-lone" ] (attrNames made.metas))
    (same "each invalid file is reported, and hides no other" [
      "Upper"
      "bad-ports"
      "no-module"
      "trailing-"
      "unknown-field"
    ] (attrNames made.faults))
    (same "needs are added through" [ "core" "lone" "wants-lone" ] (made.withNeeds [ "wants-lone" ]))
    (same "a missing need is named" [
      "profile 'wants-lone' needs 'lone': add it, or leave 'wants-lone' out"
    ] (made.problems (immutable [ "wants-lone" ])))
    (same "a conflict is named"
      [
        "profiles 'one-mode' and 'lone' exclude each other: leave one out"
      ]
      (
        made.problems {
          profiles = [
            "one-mode"
            "lone"
          ];
          mode = "mutable";
        }
      )
    )
    (same "a mode that a profile does not have is named" [
      "profile 'one-mode' is not for immutable machines, only for: 'mutable'"
    ] (made.problems (immutable [ "one-mode" ])))
    (same "a profile that is wrong says so instead of being unknown" true (
      match "profile 'bad-ports' cannot be used: .*" (
        concatStringsSep "" (made.problems (immutable [ "bad-ports" ]))
      ) != null
    ))
  ];

  # ---- modules ---------------------------------------------------------------------------------------------------------

  # What a semi-mutable machine uses as nixpkgs, when its own has this revision.
  registryOf =
    revision:
    (import ../modes/semi-mutable.nix {
      config.system.nixos = {
        inherit revision;
        release = "26.05";
      };
      lib = { };
      pkgs = { };
    }).nix.registry.nixpkgs.to;
  generator =
    ((import (profilesDir + "/nvidia.nix")).module { lib.mkForce = forced: { inherit forced; }; })
    .systemd.services.nvidia-container-toolkit-cdi-generator;

  moduleTests = [
    (same "packages are installed from the revision that the image was made from" {
      type = "github";
      owner = "NixOS";
      repo = "nixpkgs";
      rev = "0123";
    } (registryOf "0123"))
    (same "or from the release, where that is not known" "nixos-26.05" (registryOf null).ref)
    (same "Docker starts without an NVIDIA card" {
      requiredBy.forced = [ ];
      wantedBy = [ "docker.service" ];
    } { inherit (generator) requiredBy wantedBy; })
  ];

  # ---- the flake ------------------------------------------------------------------------------------------------------

  flake = import ../flake.nix;
  lock = fromJSON (readFile ../flake.lock);
  ours = import ../mutable/flake.nix;

  # github:owner/repo/ref, as flake.lock splits it.
  original =
    url:
    let
      parts = filter isString (split "[:/]" url);
      part = builtins.elemAt parts;
    in
    {
      type = part 0;
      owner = part 1;
      repo = part 2;
      ref = part 3;
    };

  flakeTests = [
    (same "a mutable machine has the same inputs, so the lock file fits it too" flake.inputs
      ours.inputs
    )
    (same "the lock file knows exactly these inputs" (attrNames flake.inputs) (
      attrNames lock.nodes.root.inputs
    ))
    (same "the lock file pins what the flake asks for" (map (input: original input.url) (
      attrValues flake.inputs
    )) (map (name: lock.nodes.${name}.original) (attrNames flake.inputs)))
    (clean "every pin is complete" (
      filter (
        name:
        let
          locked = lock.nodes.${name}.locked or { };
        in
        match "[0-9a-f]{40}" (locked.rev or "") == null
        || match "sha256-[A-Za-z0-9+/]{43}=" (locked.narHash or "") == null
      ) (attrNames flake.inputs)
    ))
    (clean "each mode has its modules" (
      filter (mode: !(pathExists (../modes + "/${mode}.nix"))) registry.modes
    ))
  ];

  # ---- options ---------------------------------------------------------------------------------------------------------

  lines = filter isString (split "\n" (readFile readme));
  rows = filter (line: match "\\| `.*" line != null) lines;
  # The option, the file that declares it, how that was confirmed.
  cells = match "\\| `([^`]+)` \\| `([^`]+)` \\| (tree|file) \\|";
  table = map (row: builtins.elemAt (cells row) 0) (filter (row: cells row != null) rows);
  path = name: filter isString (split "\\." name);

  # The platform for which lib/image.nix sets nixpkgs.hostPlatform is not part of a module file.
  modules = [
    ../modules
    (import ../portal/module.nix { })
    { config.nixpkgs.hostPlatform = null; }
  ]
  ++ map (mode: ../modes + "/${mode}.nix") registry.modes
  ++ registry.modules names;

  inherit
    ((import ./survey.nix).survey {
      inherit modules;
      rows = map path table;
    })
    declared
    set
    stray
    ;

  isOurs = name: match "(vm|services\\.snowglobe)\\..*" name != null;
  declaredNames = map (option: option.name) declared;
  # `vm.image` holds several options; setting one below a declared one is fine too.
  known =
    name:
    builtins.any (
      option: option == name || match "${option}\\..*" name != null || match "${name}\\..*" option != null
    ) declaredNames;

  optionTests = [
    (clean "no module has settings beside `options` or `config`" stray)
    (clean "every option of ours has a description and a type" (
      map (option: option.name) (filter (option: !(option.described && option.typed)) declared)
    ))
    (clean "every option of ours that is set is declared" (
      filter (name: isOurs name && !(known name)) (map (option: option.name) set)
    ))
    (clean "every option of NixOS that is set stands in the table of README.md" (
      map (option: option.name) (
        filter (option: option.row == null && !(isOurs option.name) && option.name != "vm") set
      )
    ))
    (clean "every row of that table is used" (
      filter (row: !(builtins.any (option: option.row == row) set)) table
    ))
    (clean "every row of that table is complete" (filter (row: cells row == null) rows))
    (same "no row stands twice" (length table) (length (registry.canonical table) - 1))
  ];
in
assert all (test: isString test.name) profileTests;
profileTests ++ ruleTests ++ moduleTests ++ flakeTests ++ optionTests
