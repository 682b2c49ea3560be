# Python by uv. Interpreters that uv downloads find a loader and libraries at fixed paths (nix-ld), so environments
# under /home keep working when an upgrade replaces the store; those made from the image's own Python would not.
{
  meta = {
    title = "Python";
    summary = "Python with uv, a C compiler and the libraries that wheels are usually built against.";
    brings = [
      "python3"
      "uv"
      "gcc"
      "make"
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
    size = "medium";
  };

  module =
    { pkgs, ... }:
    {
      environment.systemPackages = with pkgs; [
        gcc
        gnumake
        pkg-config
        python3
        sqlite
        uv
      ];

      vm.buildLibraries = with pkgs; [
        libffi
        openssl
        sqlite
        zlib
      ];

      programs.nix-ld.enable = true;
      environment.sessionVariables.UV_PYTHON_PREFERENCE = "only-managed";
    };
}
