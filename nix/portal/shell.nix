# Everything that `cargo xtask` needs on NixOS. SNOWGLOBE_DEV_SHELL tells it that it is here, and need not install anything.
{
  mkShell,
  binaryen,
  brotli,
  busybox,
  cargo,
  cargo-nextest,
  chromium,
  clippy,
  deadnix,
  dosfstools,
  e2fsprogs,
  git,
  gptfdisk,
  libvirt,
  lld,
  mtools,
  nix,
  nixfmt,
  nodejs,
  openssh,
  pkg-config,
  qemu,
  rust-analyzer,
  rustc,
  rustfmt,
  shellcheck,
  sqlite,
  zstd,
}:
mkShell {
  packages = [
    binaryen
    brotli
    busybox
    cargo
    cargo-nextest
    chromium
    clippy
    deadnix
    dosfstools
    e2fsprogs
    git
    gptfdisk
    libvirt
    lld
    mtools
    nix
    nixfmt
    nodejs
    openssh
    pkg-config
    qemu
    rust-analyzer
    rustc
    rustfmt
    shellcheck
    sqlite
    zstd
  ];

  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER = "lld";
  SNOWGLOBE_DEV_SHELL = "1";
}
