# The portal: the server with its pages, and the browser half (wasm, CSS, terminal) beside it in share/snowglobe/site.
#
# `cargo xtask build` does what it does on a developer's machine; it finds its tools on PATH, and
# SNOWGLOBE_DEV_SHELL keeps it from installing any. No hash is kept here: Cargo.lock and package-lock.json have them all.
{
  lib,
  binaryen,
  brotli,
  cacert,
  libvirt,
  lld,
  makeWrapper,
  nodejs,
  pkg-config,
  runCommand,
  runCommandLocal,
  rustPlatform,
  sqlite,
  stdenv,

  # Run by the server; ssh by libvirt's library, for hosts named by qemu+ssh. The whole of QEMU, because nixpkgs builds its
  # tools alone without FUSE, by which disks are edited.
  e2fsprogs,
  nix,
  openssh,
  qemu,
}:
let
  inherit (lib) fileset;
  root = ../..;
  manifest = lib.importTOML (root + "/Cargo.toml");

  cargoConfig = lib.importTOML (root + "/.cargo/config.toml");

  # The browser's terminal is all that the portal takes from npm. The lock file names packages and hashes but no host:
  # npm asks its configured registry, and Nix checks the result.
  fetch =
    name:
    { version, integrity, ... }:
    runCommand "${baseNameOf name}-${version}.tgz"
      {
        nativeBuildInputs = [
          cacert
          nodejs
        ];
        impureEnvVars = lib.fetchers.proxyImpureEnvVars;
        outputHash = integrity;
      }
      ''
        HOME=$TMPDIR npm pack --silent ${name}@${version}
        mv -- *.tgz $out
      '';
  terminal =
    let
      locked = (lib.importJSON (root + "/end2end/package-lock.json")).packages;
      wanted = lib.filterAttrs (path: module: path != "" && !(module.dev or false)) locked;
    in
    runCommandLocal "snowglobe-terminal" { } (
      lib.concatStrings (
        lib.mapAttrsToList (path: module: ''
          mkdir -p $out/${path}
          tar -xzf ${fetch (lib.removePrefix "node_modules/" path) module} -C $out/${path} --strip-components=1
        '') wanted
      )
    );
in
rustPlatform.buildRustPackage {
  pname = "snowglobe";
  inherit (manifest.workspace.package) version;

  # Only what the build reads: an edit of a page does not rebuild because a test or a text changed, and no stray file of
  # a checkout gets into the store.
  src = fileset.toSource {
    inherit root;
    fileset = fileset.unions [
      (root + "/Cargo.toml")
      (root + "/Cargo.lock")
      (root + "/.cargo")
      (root + "/app")
      (root + "/end2end/.npmrc")
      (root + "/end2end/package.json")
      (root + "/end2end/package-lock.json")
      (root + "/frontend")
      (root + "/migrations")
      (root + "/nix")
      (root + "/profiles")
      (root + "/server")
      (root + "/style")
      (root + "/xtask")
    ];
  };

  cargoLock.lockFile = root + "/Cargo.lock";
  # xtask runs cargo itself, for two platforms; the wrapper that notes dependencies knows one.
  auditable = false;

  nativeBuildInputs = [
    binaryen
    brotli
    lld
    makeWrapper
    nodejs
    pkg-config
  ];
  buildInputs = [
    libvirt
    sqlite
  ];

  env = {
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER = "lld";
    # nixpkgs' own flags for the platform would otherwise replace those of .cargo/config.toml.
    "CARGO_TARGET_${stdenv.hostPlatform.rust.cargoEnvVarTarget}_RUSTFLAGS" =
      toString cargoConfig.build.rustflags;
    SNOWGLOBE_DEV_SHELL = "1";
  };

  buildPhase = ''
    runHook preBuild
    # Where xtask keeps npm packages, named by what determines them (xtask/src/node.rs): they already exist.
    export XDG_CACHE_HOME=$NIX_BUILD_TOP/cache
    key=$(cd end2end && cat package.json package-lock.json .npmrc | sha256sum | cut -c1-16)
    mkdir -p "$XDG_CACHE_HOME/snowglobe"
    ln -s ${terminal} "$XDG_CACHE_HOME/snowglobe/node-$key"
    cargo xtask build
    runHook postBuild
  '';

  # Its tests need libvirt, QEMU and a browser: `cargo xtask test`, and ../tests/portal.nix.
  doCheck = false;

  installPhase = ''
    runHook preInstall
    install -Dm755 target/release/snowglobe $out/bin/snowglobe
    mkdir -p $out/share/snowglobe
    cp -r target/site $out/share/snowglobe/site
    wrapProgram $out/bin/snowglobe \
      --prefix PATH : ${
        lib.makeBinPath [
          e2fsprogs
          nix
          openssh
          qemu
        ]
      }
    runHook postInstall
  '';

  meta = {
    description = "Self-service web portal for immutable NixOS virtual machines";
    license = lib.licenses.mit;
    mainProgram = "snowglobe";
    platforms = lib.platforms.linux;
  };
}
