# Extra certificate authorities. The usual places of the bundle are links into /run, where the scripts join nixpkgs'
# bundle with the identity's certificates.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.security) pki;
  # What NixOS itself would put into these places.
  trusted = pkgs.cacert.override {
    blacklist = pki.caCertificateBlacklist;
    extraCertificateFiles = pki.certificateFiles;
    extraCertificateStrings = pki.certificates;
  };
  bundle = "/run/snowglobe/ca-bundle.crt";
in
{
  environment.etc =
    lib.genAttrs
      [
        "ssl/certs/ca-bundle.crt"
        "ssl/certs/ca-certificates.crt"
        "pki/tls/certs/ca-bundle.crt"
      ]
      (_: {
        source = lib.mkForce bundle;
      });

  vm.identity.platform = ''
    CA_BASE=${trusted}/etc/ssl/certs/ca-bundle.crt
    CA_BUNDLE=${bundle}
  '';
}
