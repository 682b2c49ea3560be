# Static address: a file for systemd-networkd that sorts before the DHCP one of network.nix. IPv6 stays automatic.
{
  vm.identity.platform = ''
    address_changed() {
        network=/run/systemd/network/10-snowglobe-identity.network
        if [ $# -gt 0 ]; then
            mkdir -p "''${network%/*}" &&
                {
                    printf '[Match]\nType=ether\nKind=!*\n'
                    printf '[Network]\nDHCP=no\nIPv6AcceptRA=yes\nLinkLocalAddressing=ipv6\nAddress=%s\n' "$1"
                    [ $# -lt 2 ] || printf 'Gateway=%s\n' "$2"
                } >"$network.new" &&
                chmod 0644 "$network.new" &&
                mv -f "$network.new" "$network" || return 1
        else
            rm -f "$network" || return 1
        fi
        # At boot networkd starts later and reads the file by itself.
        ! systemctl --quiet is-active systemd-networkd.service || networkctl reload
    }
  '';
}
