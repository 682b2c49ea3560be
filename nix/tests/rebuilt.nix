# What the owner of the machine in mutable.nix writes into /etc/nixos/configuration.nix. The driver's access must
# survive.
{ modulesPath, ... }:
{
  imports = [ "${modulesPath}/testing/test-instrumentation.nix" ];
  environment.etc.rebuilt.text = "yes";
}
