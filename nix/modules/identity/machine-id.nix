# Machine id and host name: both must be there when PID 1 of the system starts, or it takes every boot for the first one and
# names its journal after a random id. So the initrd applies these two concerns as soon as /var and /etc are mounted below
# /sysroot.
{
  config,
  pkgs,
  ...
}:
{
  boot.initrd.systemd = {
    extraBin.cmp = "${pkgs.diffutils}/bin/cmp";
    storePaths = [ config.vm.identity.scripts ];

    services.snowglobe-identity-early = {
      description = "Apply the machine's name and id";
      wantedBy = [ "initrd.target" ];
      after = [ "initrd-fs.target" ];
      before = [
        "initrd.target"
        "initrd-nixos-activation.service"
        "shutdown.target"
      ];
      conflicts = [ "shutdown.target" ];
      unitConfig.DefaultDependencies = false;
      serviceConfig.Type = "oneshot";
      script = ''
        identity=/sysroot/var/identity
        id=/run/snowglobe/machine-id
        target=/sysroot/etc/machine-id

        # The defaults of the scripts are right here, so the platform file may be empty. Nothing else runs them yet: no lock.
        IDENTITY=$identity SNOWGLOBE_PLATFORM=/dev/null SNOWGLOBE_LOCKED=yes \
          "$BASH" ${config.vm.identity.scripts}/libexec/snowglobe-identity hostname machine-id || true

        # A machine without a given id keeps the one from its first boot.
        if [ -s $id ] && ! [ -e $identity/machine-id ] && ! [ -s $target ]; then
          mkdir -p $identity
          if cp $id $identity/machine-id.new; then
            mv $identity/machine-id.new $identity/machine-id
          fi
        fi

        if [ -s $id ] && [ -e $identity/machine-id ]; then
          [ -e $target ] || : >$target
          mount --bind $id $target
        fi
      '';
    };
  };

  vm.identity.platform = ''
    MACHINE_ID_FILE=/run/snowglobe/machine-id
  '';
}
