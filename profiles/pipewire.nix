# Sound through PipeWire, spoken to as ALSA, PulseAudio or JACK. The host must give the machine a sound card.
{
  meta = {
    title = "PipeWire";
    summary = "Sound by PipeWire for programs that speak ALSA, PulseAudio or JACK.";
    brings = [
      "pipewire"
      "wireplumber"
      "pulsemixer"
      "pamixer"
      "ALSA tools"
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
    { lib, pkgs, ... }:
    {
      services.pipewire = {
        enable = true;
        # 32-bit programs exist on x86 only.
        alsa = {
          enable = true;
          support32Bit = pkgs.stdenv.hostPlatform.isx86_64;
        };
        pulse.enable = true;
        jack.enable = true;
      };
      security.rtkit.enable = true;

      users.groups.audio.members = [
        "admin"
        "user"
      ];

      environment.systemPackages = with pkgs; [
        alsa-utils
        pamixer
        pkg-config
        pulseaudio
        pulsemixer
      ];

      vm.buildLibraries = [ (lib.getDev pkgs.alsa-lib) ];
    };
}
