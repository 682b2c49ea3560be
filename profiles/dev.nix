# A workbench for people who log in and stay: editor, terminal multiplexer, network and image tools, manual pages.
{
  meta = {
    title = "Development tools";
    summary = "Editor, terminal and network tools for daily work, with compressed swap in memory.";
    brings = [
      "neovim"
      "tmux"
      "fd"
      "tree"
      "make"
      "sshfs"
      "ImageMagick"
      "QEMU and libguestfs"
      "zram swap"
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
    { lib, pkgs, ... }:
    {
      environment.systemPackages = with pkgs; [
        _7zz
        apacheHttpd
        asciinema
        bashInteractive
        binwalk
        entr
        fd
        gettext
        gnumake
        imagemagick
        inotify-tools
        ipcalc
        libguestfs-with-appliance
        moreutils
        neovim
        openssl
        pkg-config
        qemu
        sshfs
        tmux
        tree
        w3m
        xdg-utils
        zip
      ];

      vm.buildLibraries = [ pkgs.udev ];
      vm.zram.enable = lib.mkDefault true;
      vm.zram.memoryPercent = lib.mkDefault 50;

      documentation.enable = true;
      documentation.man.enable = true;
    };
}
