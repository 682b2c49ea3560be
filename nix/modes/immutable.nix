# Nothing changes but /var. There is no Nix inside, since it could not write to its store.
{
  imports = [ ./read-only.nix ];

  vm.mode = "immutable";
  nix.enable = false;
}
