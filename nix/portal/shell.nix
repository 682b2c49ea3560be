# Everything that `cargo xtask` and nix/check need on NixOS. SNOWGLOBE_DEV_SHELL keeps xtask from installing
# anything. Two things come from the system instead: libvirtd (`virtualisation.libvirtd.enable`), and fusermount3,
# which has privileges (`programs.fuse.enable`).
{
  mkShell,

  # To build.
  binaryen,
  brotli,
  cargo,
  libvirt,
  lld,
  nodejs,
  pkg-config,
  rustc,
  sqlite,

  # To run.
  dnsmasq,
  e2fsprogs,
  git,
  iproute2,
  iptables,
  nix,
  qemu,

  # To test.
  busybox,
  cargo-nextest,
  chromium,
  clippy,
  deadnix,
  dosfstools,
  gptfdisk,
  mtools,
  mypy,
  nftables,
  openssh,
  openssl,
  python3,
  python3Packages,
  rustfmt,
  shellcheck,
  systemd,
  util-linux,
  writeShellScriptBin,

  # To edit.
  nixfmt,
  rust-analyzer,
}:
mkShell {
  packages = [
    binaryen
    brotli
    cargo
    cargo-nextest
    chromium
    clippy
    deadnix
    dnsmasq
    dosfstools
    e2fsprogs
    git
    gptfdisk
    iproute2
    iptables
    libvirt
    lld
    mtools
    mypy
    nftables
    nix
    nixfmt
    nodejs
    openssh
    openssl
    pkg-config
    python3
    python3Packages.pyflakes
    qemu
    rust-analyzer
    rustc
    rustfmt
    shellcheck
    sqlite
    systemd
    util-linux
    # Only the one program: its links would shadow the real ones.
    (writeShellScriptBin "busybox" ''exec ${busybox}/bin/busybox "$@"'')
  ];

  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER = "lld";
  SNOWGLOBE_DEV_SHELL = "1";
}
