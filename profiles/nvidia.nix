# NVIDIA's driver with its open kernel modules (Turing and newer), offered to containers through CDI. The graphics card
# itself must be passed through by the host.
{
  meta = {
    title = "NVIDIA";
    summary = "NVIDIA driver and container toolkit, for a card that the host passes through.";
    brings = [
      "NVIDIA driver (open kernel modules)"
      "nvidia-container-toolkit"
      "nvidia-smi"
    ];
    needs = [ "docker" ];
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
    { lib, ... }:
    {
      # The driver is proprietary; only its parts are allowed.
      vm.allowUnfree = [
        "nvidia-x11"
        "nvidia-settings"
        "nvidia-persistenced"
      ];

      hardware = {
        graphics.enable = true;
        nvidia = {
          open = true;
          nvidiaSettings = false;
        };
        nvidia-container-toolkit.enable = true;
      };

      # Without a card the generator fails. nixpkgs makes container engines require it; here Docker only wants it, and
      # starts anyway.
      systemd.services.nvidia-container-toolkit-cdi-generator = {
        requiredBy = lib.mkForce [ ];
        wantedBy = [ "docker.service" ];
        before = [ "docker.service" ];
      };

      # This is what loads the driver, with or without a display server.
      services.xserver.videoDrivers = [ "nvidia" ];
    };
}
