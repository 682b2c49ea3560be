# Nothing changes but /var. There is no Nix inside: nothing in the machine could use it.
{
  imports = [ ./read-only.nix ];

  vm.mode = "immutable";
  nix.enable = false;
}
