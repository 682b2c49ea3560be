# Compressed swap in memory.
{ config, lib, ... }:
let
  cfg = config.vm.zram;
in
{
  options.vm.zram = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to give the machine compressed swap in memory.";
    };

    memoryPercent = lib.mkOption {
      type = lib.types.ints.between 1 200;
      default = 100;
      description = ''
        Size of the swap device in per cent of the machine's memory, before compression. At a ratio of 3:1 a full device
        of 50 % occupies a sixth of the memory.
      '';
    };

    algorithm = lib.mkOption {
      type = lib.types.str;
      default = "zstd";
      example = "lz4";
      description = "Compression algorithm, one of those in /sys/block/zram0/comp_algorithm.";
    };
  };

  config = lib.mkIf cfg.enable {
    zramSwap = {
      enable = true;
      inherit (cfg) memoryPercent algorithm;
    };
    # Compressed memory is faster than any disk: swap early, and one page at a time.
    boot.kernel.sysctl = {
      "vm.swappiness" = 100;
      "vm.page-cluster" = 0;
    };
  };
}
