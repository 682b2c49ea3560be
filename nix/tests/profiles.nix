# Each profile's main program runs in an image of that profile. Without a row below a profile has no test, and that is an
# evaluation error.
{
  lib,
  harness,
  metas,
  withNeeds,
  ...
}:
let
  asUser = command: "su -l user -c '${command}'";

  # Commands that must succeed, per profile; nvidia needs a card and is only built.
  programs = {
    core = [
      "git --version"
      "jq --version"
      "rg --version"
    ];
    docker = [
      "systemctl is-active docker.service || systemctl start docker.service"
      "docker info"
      # Without sudo there is no way to the system's daemon.
      "! su -l user -c 'docker -H unix:///run/docker.sock info'"
    ];
    podman = [
      "podman info"
      (asUser "podman info")
    ];
    python = [
      (asUser "uv --version")
      "python3 -c 'import ssl, sqlite3'"
      "gcc --version"
    ];
    rust = [ (asUser "cargo new --quiet --vcs none hello && cd hello && cargo run --quiet --offline") ];
    dev = [
      "nvim --version"
      "tmux -V"
      # With the privileges that sshfs mounts with.
      "test -u /run/wrappers/bin/fusermount3"
      "swapon --show=NAME --noheadings | grep -q zram"
    ];
    home-manager = [
      "test -L /home/user/.bashrc"
      (asUser "starship --version")
    ];
    claude = [
      (asUser "claude --version")
      "nft list table inet snowglobe-egress | grep -q 'hook forward'"
      "swapon --show=NAME --noheadings | grep -q zram"
    ];
    open-code = [
      (asUser "opencode --version")
      "nft list table inet snowglobe-egress | grep -q 'hook output'"
      "swapon --show=NAME --noheadings | grep -q zram"
    ];
    pipewire = [ "pipewire --version" ];
    kubernetes = [
      "kubectl version --client"
      "helm version"
    ];
    samba-mount = [ "mount.cifs -V" ];
    nvidia = null;
  };

  profileTest =
    name: commands:
    harness.test {
      name = "snowglobe-profile-${name}";
      nodes.machine = harness.node {
        mode = "immutable";
        profiles = withNeeds [ name ];
      };
      testScript =
        { nodes, ... }:
        harness.identity
        + ''
          boot_disk("${nodes.machine.system.build.snowglobeImage}")
          data_disk(IDENTITY, size="8G")
          machine.start()
          wait_up(machine)
        ''
        + lib.concatMapStrings (command: ''
          machine.succeed(${builtins.toJSON command})
        '') commands
        + ''
          assert machine.succeed("systemctl --failed --no-legend --plain") == ""
        '';
    };
in
lib.mapAttrs' (name: _: {
  name = "profile-${name}";
  value = profileTest name programs.${name};
}) (lib.filterAttrs (name: _: programs.${name} != null) metas)
