# systemd-networkd and -resolved. Every Ethernet device uses DHCP unless the identity gives it an address; devices that
# programs make (veth, bridges, WireGuard) are left alone, or containers lose their network.
{
  networking = {
    useNetworkd = true;
    # One network for every device below, instead of what NixOS would generate.
    useDHCP = false;
    # Names come from the identity.
    hostName = "";
  };

  systemd.network = {
    enable = true;
    wait-online.anyInterface = true;
    networks."50-ethernet" = {
      matchConfig = {
        Type = "ether";
        Kind = "!*";
      };
      networkConfig = {
        DHCP = "yes";
        IPv6AcceptRA = true;
      };
      dhcpV4Config = {
        # The hypervisor identifies the machine by its MAC, and so does the lease.
        ClientIdentifier = "mac";
        UseHostname = false;
      };
      dhcpV6Config.UseHostname = false;
      linkConfig.RequiredForOnline = "routable";
    };
  };

  services.resolved.enable = true;
  # A drop-in, because the options for resolved's settings have moved between releases.
  environment.etc."systemd/resolved.conf.d/10-snowglobe.conf".text = ''
    [Resolve]
    LLMNR=no
    MulticastDNS=no
  '';
}
