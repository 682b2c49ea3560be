# Rust from nixpkgs instead of rustup: a toolchain under /home would point at store paths that the next upgrade removes.
{
  meta = {
    title = "Rust";
    summary = "The Rust toolchain with clippy, rustfmt and rust-analyzer, as part of the image.";
    brings = [
      "cargo"
      "rustc"
      "clippy"
      "rustfmt"
      "rust-analyzer"
      "gcc"
      "sqlite"
    ];
    needs = [ ];
    conflicts = [ ];
    ports = {
      tcp = [ ];
      udp = [ ];
    };
    modes = [
      "immutable"
      "semi-mutable"
      "mutable"
    ];
    size = "large";
  };

  module =
    { pkgs, ... }:
    {
      environment.systemPackages = with pkgs; [
        cargo
        clippy
        gcc
        pkg-config
        rust-analyzer
        rustc
        rustfmt
        sqlite
      ];

      vm.buildLibraries = with pkgs; [
        openssl
        sqlite
      ];

      environment.sessionVariables.RUST_SRC_PATH = "${pkgs.rustPlatform.rustLibSrc}";
    };
}
