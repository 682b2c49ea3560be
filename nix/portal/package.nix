# The portal: the server with its pages, and the browser half (wasm, CSS, terminal) beside it in share/snowglobe/site.
#
# `cargo xtask build` does what it does on a developer's machine; it finds its tools on PATH and is told by
# SNOWGLOBE_DEV_SHELL to install nothing.
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
  rustPlatform,
  sqlite,
  stdenvNoCC,

  # Run by the server.
  e2fsprogs,
  nix,
  openssh,
  qemu-utils,
  zstd,
}:
let
  inherit (lib) fileset;
  root = ../..;
  manifest = lib.importTOML (root + "/Cargo.toml");

  # The browser's terminal is all that the portal takes from npm. The lock file names no host, so nixpkgs' helpers cannot
  # read it; npm asks the registry that it knows, and the result is fixed by its hash.
  terminal = stdenvNoCC.mkDerivation {
    name = "snowglobe-terminal";
    src = fileset.toSource {
      root = root + "/end2end";
      fileset = fileset.unions [
        (root + "/end2end/.npmrc")
        (root + "/end2end/package.json")
        (root + "/end2end/package-lock.json")
      ];
    };
    nativeBuildInputs = [
      cacert
      nodejs
    ];
    buildPhase = ''
      HOME=$TMPDIR npm ci --omit=dev
    '';
    # npm's own notes beside the packages differ between its versions.
    installPhase = ''
      mkdir -p $out/node_modules
      cp -r node_modules/@xterm $out/node_modules/
    '';
    dontFixup = true;
    outputHashMode = "recursive";
    outputHash = "sha256-kp37dFyOspeSNxbDL0mzKmmfQfL5t+3e5c45V4smdtM=";
  };
in
rustPlatform.buildRustPackage {
  pname = "snowglobe";
  inherit (manifest.workspace.package) version;

  # Only what the build reads: an edit of a page does not rebuild because a test or a text changed, and nothing that lies
  # around in a checkout gets into the store.
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
    SNOWGLOBE_DEV_SHELL = "1";
  };

  buildPhase = ''
    runHook preBuild
    # Where xtask keeps npm packages, named by what decides about them (xtask/src/node.rs): they are there already.
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
          qemu-utils
          zstd
        ]
      }
    runHook postInstall
  '';

  meta = {
    description = "Self-service web portal for immutable NixOS virtual machines on libvirt and Proxmox";
    license = lib.licenses.eupl12;
    mainProgram = "snowglobe";
    platforms = lib.platforms.linux;
  };
}
