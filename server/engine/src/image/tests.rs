//! With the real `nix`, on a flake that needs neither nixpkgs nor a network: its builders are `/bin/sh`.

use super::*;
use host_tools::exec::Program;
use model::forecast::BuildWork;
use model::image::SizeClass;
use model::machine::Mode;
use ports::image_builder::{BuildError, BuildEvent, Built, ImageBuilder, ImageKey};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

/// As in a container: one user, no sandbox, no caches.
const CONFIG: &str = "build-users-group =\nsandbox = false\nsubstituters =";

/// `@salt@` makes every test build anew; the profile `bad` fails, `slow` writes to a pipe that it is alive and then waits.
const FLAKE: &str = r#"{
  outputs = { self }: {
    lib.profiles = {
      core = { title = "Core"; summary = "The base."; };
      bad = { title = "Bad"; summary = "Fails."; needs = [ "core" ]; size = "large"; modes = [ "mutable" ]; };
      odd = { title = 7; };
      "Not A Name" = { title = "x"; summary = "y"; };
    };
    lib.mkImage = { system, profiles, mode }: derivation {
      inherit system profiles;
      name = "image-${mode}";
      salt = "@salt@";
      builder = "/bin/sh";
      args = [ "-c" ''
        PATH=/usr/bin:/bin
        echo "building $profiles"
        case " $profiles " in
          *" bad "*) echo "cannot find -lfoo" >&2; exit 3 ;;
          *" slow "*) exec 3>@pipe@; echo alive >&3; sleep 600 & wait ;;
          *" empty "*) mkdir $out; exit 0 ;;
        esac
        mkdir $out && printf 'an image' >$out/nixos.qcow2
        case " $profiles " in
          *" listed "*) printf '%s\n' $part sha256:0 1234 "" 1 $part |
            awk -f $manifest -v kernel=6.12.3 -v systemd=258 >$out/closure.json ;;
        esac
      '' ];
      # What an image consists of: nothing that it may refer to.
      part = if !builtins.elem "listed" profiles then null else derivation {
        inherit system;
        name = "bash-5.2p37";
        builder = "/bin/sh";
        args = [ "-c" "echo part @salt@ >$out" ];
      };
      manifest = ./closure.awk;
      allowedReferences = [ ];
    };
  };
}
"#;

struct World {
    dir: tempfile::TempDir,
    builder: NixBuilder,
}

impl World {
    fn new() -> Self {
        // A name that a URL or a shell would stumble over.
        let dir = tempfile::Builder::new().prefix("odd $name ?#'%20 ").tempdir().unwrap();
        let flake = dir.path().join("flake");
        fs::create_dir(&flake).unwrap();
        let text = FLAKE.replace("@salt@", &uuid::Uuid::new_v4().to_string());
        let text =
            text.replace("@pipe@", &format!("\"{}\"", dir.path().join("pipe").display()).replace('$', "\\$"));
        fs::write(flake.join("flake.nix"), text).unwrap();
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../nix/modules/closure.awk");
        fs::copy(manifest, flake.join("closure.awk")).unwrap();
        let builder = NixBuilder::new(BuilderSettings {
            state: dir.path().join("state"),
            flake: FlakeSource::Path(flake),
            extra_nix_config: CONFIG.to_owned(),
        });
        Self { dir, builder }
    }

    async fn key(&self, profiles: &str) -> ImageKey {
        let source = self.builder.source().await.unwrap();
        ImageKey { profiles: profiles.parse().unwrap(), mode: Mode::Immutable, source }
    }

    async fn build(&self, profiles: &str) -> (Result<Built, BuildError>, Vec<BuildEvent>) {
        let (key, events) = (self.key(profiles).await, Mutex::new(Vec::new()));
        let sink = |event| events.lock().unwrap().push(event);
        let built = self.builder.build(&key, &sink, &CancellationToken::new()).await;
        (built, events.into_inner().unwrap())
    }
}

fn lines(events: &[BuildEvent]) -> Vec<&str> {
    fn text(event: &BuildEvent) -> Option<&str> {
        match event {
            BuildEvent::Line { text, .. } => Some(text),
            BuildEvent::Progress(_) => None,
        }
    }
    events.iter().filter_map(text).collect()
}

#[tokio::test]
async fn real_nix_builds_an_image_once_and_keeps_it_by_its_root() {
    let world = World::new();
    let (built, events) = world.build("web").await;
    let built = built.unwrap();
    assert_eq!(fs::read_to_string(built.store_path.join("nixos.qcow2")).unwrap(), "an image");
    assert_eq!(built.size, 8);
    assert!(built.closure_size.is_some_and(|size| size >= 8));
    assert!(lines(&events).contains(&"building core web"), "{events:?}");
    assert!(events.iter().any(|e| matches!(e, BuildEvent::Progress(p) if (p.built, p.to_build) == (1, 1))));

    let began = Instant::now();
    let (again, events) = world.build("web").await;
    println!("a build that is there already: {} ms", began.elapsed().as_millis());
    assert_eq!(again.unwrap(), built);
    assert!(!lines(&events).contains(&"building core web"));

    let builder = &world.builder;
    assert!(builder.is_valid(&built.store_path).await.unwrap());
    assert!(!builder.is_valid(Path::new("/nix/store/00000000000000000000000000000000-none")).await.unwrap());
    assert!(builder.is_valid(Path::new("/tmp")).await.is_err(), "not in the store at all");
    builder.add_root("web-1", &built.store_path).await.unwrap();
    builder.add_root("web-1", &built.store_path).await.unwrap();
    assert_eq!(builder.roots().await.unwrap(), ["web-1"]);
    assert_eq!(builder.root("web-1").await.unwrap().as_ref(), Some(&built.store_path));
    let ask = Program::new("nix-store").args(["--query", "--roots"]).arg(&built.store_path);
    let roots = ask.env("NIX_CONFIG", CONFIG).run().await.unwrap().stdout.text();
    assert!(roots.contains("gcroots/web-1"), "{roots}");
    builder.remove_root("web-1").await.unwrap();
    builder.remove_root("web-1").await.unwrap();
    assert_eq!(builder.roots().await.unwrap(), Vec::<String>::new());
    assert_eq!(builder.root("web-1").await.unwrap(), None);
    for bad in ["", "..", "a/b", ".x", "a b"] {
        assert!(builder.add_root(bad, &built.store_path).await.is_err(), "{bad}");
    }
}

/// Written by the script of the NixOS images. Nix itself would fail the build if it kept a reference to what it lists.
#[tokio::test]
async fn real_nix_lists_what_an_image_is_made_of_and_keeps_no_reference_to_it() {
    let world = World::new();
    let built = world.build("listed").await.0.unwrap();
    let closure = world.builder.closure(&built.store_path).await.unwrap().unwrap();
    assert_eq!((closure.kernel.as_deref(), closure.systemd.as_deref()), (Some("6.12.3"), Some("258")));
    let part = &closure.packages[0];
    assert_eq!((part.name.as_str(), part.version.as_str(), part.size), ("bash", "5.2p37", 1234));
    let path = format!("/nix/store/{}-bash-5.2p37", part.hash.as_ref().unwrap());
    assert!(world.builder.is_valid(Path::new(&path)).await.unwrap(), "{path}");
    let ask = Program::new("nix-store").args(["--query", "--references"]).arg(&built.store_path);
    assert_eq!(ask.env("NIX_CONFIG", CONFIG).run().await.unwrap().stdout.text(), "");
    let without = world.build("web").await.0.unwrap();
    assert_eq!(world.builder.closure(&without.store_path).await.unwrap(), None);
}

#[tokio::test]
async fn real_nix_tells_what_a_build_would_do() {
    let world = World::new();
    let (key, never) = (world.key("listed").await, CancellationToken::new());
    let work = world.builder.forecast(&key, &never).await.unwrap();
    assert_eq!((work.to_build, work.to_fetch), (2, 0), "the image and what is in it");
    world.build("listed").await.0.unwrap();
    assert_eq!(world.builder.forecast(&key, &never).await.unwrap(), BuildWork::default());
    never.cancel();
    assert!(matches!(world.builder.forecast(&key, &never).await, Err(BuildError::Cancelled)));
    fs::write(world.dir.path().join("flake/flake.nix"), "{ outputs = _: throw \"not today\"; }").unwrap();
    let broken = world.builder.forecast(&world.key("web").await, &CancellationToken::new()).await;
    let Err(BuildError::Evaluation { why }) = broken else { panic!("it was evaluated") };
    assert!(why.contains("not today"), "{why}");
}

/// Nix knows a root by its path: moved with the state directory, it keeps nothing until it is made again.
#[tokio::test]
async fn real_nix_keeps_an_image_in_a_moved_state_directory_once_its_root_is_made_again() {
    let world = World::new();
    let built = world.build("web").await.0.unwrap();
    world.builder.add_root("web-1", &built.store_path).await.unwrap();
    let moved = world.dir.path().join("moved");
    fs::rename(world.dir.path().join("state"), &moved).unwrap();
    let builder = NixBuilder::new(BuilderSettings {
        state: moved.clone(),
        flake: FlakeSource::Path(world.dir.path().join("flake")),
        extra_nix_config: CONFIG.to_owned(),
    });
    assert_eq!(builder.root("web-1").await.unwrap().as_ref(), Some(&built.store_path));
    let is_known = async || {
        let ask = Program::new("nix-store").args(["--query", "--roots"]).arg(&built.store_path);
        let roots = ask.env("NIX_CONFIG", CONFIG).run().await.unwrap().stdout.text();
        roots.contains("moved/gcroots/web-1")
    };
    assert!(!is_known().await);
    builder.add_root("web-1", &built.store_path).await.unwrap();
    assert!(is_known().await);
    builder.remove_root("web-1").await.unwrap();
}

#[tokio::test]
async fn real_nix_failures_are_told_apart() {
    let world = World::new();
    let Err(BuildError::Failed(failure)) = world.build("bad").await.0 else { panic!("it built") };
    assert_eq!(failure.derivation, "image-immutable");
    assert_eq!(failure.last_lines, ["building bad core", "cannot find -lfoo"]);
    let error = world.build("empty").await.0.unwrap_err();
    assert!(error.to_string().contains("no file nixos.qcow2"), "{error}");

    let stale = ImageKey { source: "0".repeat(64), ..world.key("web").await };
    let error = world.builder.build(&stale, &|_| (), &CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("have changed"), "{error}");

    let flake = world.dir.path().join("flake/flake.nix");
    fs::write(&flake, "{ outputs = { self }: { lib.mkImage = _: throw \"no such \\\"thing\\\"\"; }; }")
        .unwrap();
    let Err(BuildError::Evaluation { why }) = world.build("web").await.0 else { panic!("it built") };
    assert!(why.contains("no such \"thing\""), "{why}");
    fs::write(&flake, "{ outputs = ").unwrap();
    let Err(BuildError::Evaluation { why }) = world.build("web").await.0 else { panic!("it built") };
    assert!(why.contains("syntax error"), "{why}");
    assert!(matches!(world.builder.profiles().await, Err(BuildError::Evaluation { .. })));
}

/// The builder's shell and its child hold the pipe; its end comes only when both are gone.
#[tokio::test]
async fn real_nix_stops_its_builders_when_a_build_is_cancelled() {
    let world = World::new();
    let pipe = world.dir.path().join("pipe");
    Program::new("mkfifo").arg(&pipe).run().await.unwrap();
    let cancel = CancellationToken::new();
    let key = world.key("slow").await;
    let build = world.builder.build(&key, &|_| (), &cancel);
    let watch = async {
        let mut pipe = tokio::fs::File::open(&pipe).await.unwrap();
        let mut alive = [0_u8; 6];
        pipe.read_exact(&mut alive).await.unwrap();
        cancel.cancel();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(60), pipe.read_to_end(&mut rest)).await.unwrap().unwrap();
        alive
    };
    let (built, alive) = tokio::join!(build, watch);
    assert!(matches!(built, Err(BuildError::Cancelled)));
    assert_eq!(&alive, b"alive\n");
}

#[tokio::test]
async fn real_nix_reads_profiles_and_leaves_out_broken_ones() {
    let world = World::new();
    let profiles = world.builder.profiles().await.unwrap();
    let names: Vec<_> = profiles.keys().map(|n| n.as_str()).collect();
    assert_eq!(names, ["bad", "core"]);
    let bad = &profiles[&"bad".parse().unwrap()];
    assert_eq!(
        (bad.title.as_str(), bad.size, bad.modes.as_slice()),
        ("Bad", SizeClass::Large, &[Mode::Mutable][..])
    );
}

#[tokio::test]
async fn real_nix_is_asked_each_time_even_when_no_file_of_the_source_has_changed() {
    let state = tempfile::tempdir().unwrap();
    let builder = NixBuilder::new(BuilderSettings {
        state: state.path().to_owned(),
        flake: FlakeSource::Embedded,
        extra_nix_config: CONFIG.to_owned(),
    });
    let source = builder.source().await.unwrap();
    builder.profiles().await.unwrap();
    let written = fs::read_dir(state.path().join("flake")).unwrap().next().unwrap().unwrap().path();
    fs::write(written.join("flake.nix"), "{ outputs = _: throw \"broken since\"; }").unwrap();
    assert_eq!(builder.source().await.unwrap(), source);
    let error = builder.profiles().await.unwrap_err();
    assert!(error.to_string().contains("broken since"), "{error}");
}

#[tokio::test]
async fn real_nix_reads_the_embedded_profiles_without_a_network() {
    let state = tempfile::tempdir().unwrap();
    let settings = BuilderSettings {
        state: state.path().to_owned(),
        flake: FlakeSource::Embedded,
        extra_nix_config: CONFIG.to_owned(),
    };
    let builder = NixBuilder::new(settings);
    let began = Instant::now();
    let profiles = builder.profiles().await.unwrap();
    println!("{} embedded profiles: {} ms", profiles.len(), began.elapsed().as_millis());
    assert!(profiles.contains_key(&"core".parse().unwrap()));
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../profiles")).unwrap();
    let files = files.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "nix")).count();
    assert_eq!(profiles.len(), files, "every profile in the repository is readable");
}

/// The command shown to people is run as shown.
#[tokio::test]
async fn real_nix_reproduces_a_build_by_the_command_shown() {
    let world = World::new();
    let built = world.build("web").await.0.unwrap();
    let command = world.builder.reproduce(&world.key("web").await);
    let run = Program::new("sh").args(["-c", &command]).env("NIX_CONFIG", CONFIG);
    run.run().await.unwrap();
    let wrapper =
        fs::read_dir(world.dir.path().join("state/images")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_link(wrapper.join("result")).unwrap(), PathBuf::from(&built.store_path));
}
