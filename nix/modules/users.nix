# The two users of a machine: admin, who may become root without a password, and user, who may not.
#
# Their ids are fixed, and Userborn keeps the ids that it has assigned to services in its password files: an image with
# other profiles therefore never changes who owns what on /var.
let
  idRange = start: [
    {
      startUid = start;
      count = 65536;
    }
  ];
  groupRange = start: [
    {
      startGid = start;
      count = 65536;
    }
  ];
in
{ lib, ... }:
{
  services.userborn.enable = true;

  users = {
    # Passwords come from the machine's identity after Userborn has run. With immutable users it would bind its files
    # read-only and overwrite root's hash each time.
    mutableUsers = true;

    users = {
      admin = {
        isNormalUser = true;
        uid = 1000;
        description = "Administrator";
        extraGroups = [ "wheel" ];
        subUidRanges = idRange 100000;
        subGidRanges = groupRange 100000;
      };
      user = {
        isNormalUser = true;
        uid = 1001;
        description = "User";
        subUidRanges = idRange 200000;
        subGidRanges = groupRange 200000;
      };
    };
  };

  # For releases whose Userborn does not write these itself. Real files: newuidmap does not follow links.
  environment.etc = {
    subuid = lib.mkDefault {
      text = "admin:100000:65536\nuser:200000:65536\n";
      mode = "0644";
    };
    subgid = lib.mkDefault {
      text = "admin:100000:65536\nuser:200000:65536\n";
      mode = "0644";
    };
  };

  security.sudo = {
    enable = true;
    wheelNeedsPassword = false;
    execWheelOnly = true;
  };
}
