# A comfortable shell for `user`, described with Home Manager. Where the machine can run Nix, Home Manager activates it
# in its own way. A read-only image has no Nix database to activate with: there the same files are linked into the home
# at boot, and links of an older image are removed.
{
  meta = {
    title = "Home Manager";
    summary = "A shell environment for user: prompt, completion, fuzzy finder, git, tmux, direnv.";
    brings = [
      "bash with starship"
      "fzf"
      "zoxide"
      "eza"
      "bat"
      "direnv"
      "git with delta"
      "tmux"
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
    {
      config,
      lib,
      pkgs,
      ...
    }:
    let
      readOnly = config.vm.mode != "mutable";
      home = config.users.users.user.home;
      files = config.home-manager.users.user.home-files;

      linkHome = pkgs.writeShellApplication {
        name = "snowglobe-link-home";
        runtimeInputs = with pkgs; [
          coreutils
          findutils
        ];
        text = ''
          # The links are noted, so that an upgrade can remove those that it no longer has without searching the whole home.
          # A file that the user put in place of a link stays.
          notes="$HOME/.local/state/snowglobe/home-links"
          mkdir -p "''${notes%/*}"
          if [ -e "$notes" ]; then
            while IFS= read -r file; do
              case $(readlink "$HOME/$file" || true) in
                /nix/store/*-home-manager-files/*) rm -f "$HOME/$file" ;;
              esac
            done <"$notes"
          fi

          cd "$1"
          find . \( -type f -o -type l \) -printf '%P\n' | while IFS= read -r file; do
            target="$HOME/$file"
            if [ -e "$target" ] && ! [ -L "$target" ]; then
              echo "kept as it is, the user's own file: $target" >&2
              continue
            fi
            mkdir -p "''${target%/*}"
            ln -sfn "$1/$file" "$target"
            printf '%s\n' "$file"
          done >"$notes.new"
          mv "$notes.new" "$notes"
        '';
      };
    in
    {
      home-manager = {
        useGlobalPkgs = true;
        useUserPackages = true;
        backupFileExtension = "before-home-manager";

        users.user = {
          home.stateVersion = config.system.stateVersion;
          programs = {
            bash.enable = true;
            bat.enable = true;
            direnv.enable = true;
            eza.enable = true;
            fzf.enable = true;
            git.enable = true;
            starship.enable = true;
            tmux.enable = true;
            zoxide.enable = true;
            delta = {
              enable = true;
              enableGitIntegration = true;
            };
          };
        };
      };

      systemd.services = lib.mkIf readOnly {
        home-manager-user.enable = false;
        snowglobe-link-home = {
          description = "Link the Home Manager files into ${home}";
          wantedBy = [ "multi-user.target" ];
          before = [ "systemd-user-sessions.service" ];
          unitConfig.RequiresMountsFor = home;
          environment.HOME = home;
          serviceConfig = {
            Type = "oneshot";
            User = "user";
            ExecStart = "${lib.getExe linkHome} ${files}";
          };
        };
      };
    };
}
