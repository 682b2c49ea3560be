# For daily work in the machine: editor, terminal multiplexer, network and image tools, manual pages.
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
      "QEMU and libguestfs (x86)"
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
      environment.systemPackages =
        with pkgs;
        [
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
        ]
        # The appliance exists for x86 only.
        ++ lib.optional stdenv.hostPlatform.isx86_64 libguestfs-with-appliance;

      # sshfs mounts through fusermount3, which needs privileges.
      programs.fuse.enable = true;

      vm.buildLibraries = [ pkgs.udev ];
      vm.zram.enable = lib.mkDefault true;
      vm.zram.memoryPercent = lib.mkDefault 50;

      documentation.enable = true;
      documentation.man.enable = true;
    };
}
