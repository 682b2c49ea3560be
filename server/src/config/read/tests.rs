//! Settings as people write them.

use super::*;
use clap::builder::Resettable;
use clap::{Args as _, Command, FromArgMatches as _};

fn read(values: &[(&str, &str)]) -> Result<Config, Vec<Mistake>> {
    // Regardless of the test's environment.
    let command = Settings::augment_args(Command::new("snowglobe"));
    let command = command.mut_args(|arg| arg.env(Resettable::Reset));
    let flags = values.iter().map(|(name, value)| format!("--{name}={value}"));
    let matches = command.try_get_matches_from(std::iter::once("snowglobe".to_owned()).chain(flags));
    Config::read(Settings::from_arg_matches(&matches.unwrap()).unwrap(), Mistakes::default())
}

#[test]
fn nothing_set_gives_a_server_for_this_computer_only() {
    let config = read(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.origins(config.listen).public().to_string(), "http://127.0.0.1:3000");
    assert_eq!(config.hosts.first().unwrap().uri, "qemu:///system");
    assert!(config.warnings().is_empty() && config.metrics_token.is_none());
}

#[test]
fn every_mistake_is_told_at_once_with_what_and_how_to_fix_it() {
    let mistakes = read(&[
        ("listen", "everywhere"),
        ("public-url", "vms.example.org"),
        ("trusted-proxies", "10.0.0.0/8, nginx"),
        ("hosts", "a=qemu:///system,a=qemu:///session"),
        ("bridges", "a=br0,elsewhere=br0"),
        ("accel", "fast"),
        ("build-slots", "0"),
        ("log", "=,="),
        ("metrics-token", "short"),
        ("image-flake", "/nowhere"),
    ])
    .unwrap_err();
    let named: Vec<&str> = mistakes.iter().map(|m| m.env.as_str()).collect();
    for env in [
        "LISTEN",
        "PUBLIC_URL",
        "TRUSTED_PROXIES",
        "HOSTS",
        "BRIDGES",
        "ACCEL",
        "BUILD_SLOTS",
        "LOG",
        "METRICS_TOKEN",
        "IMAGE_FLAKE",
    ] {
        assert!(named.contains(&format!("SNOWGLOBE_{env}").as_str()), "{env} in {named:?}");
    }
    assert!(mistakes.iter().all(|m| !m.what.is_empty() && !m.fix.is_empty()));
    assert!(!mistakes.iter().any(|m| m.to_string().contains("short")), "a secret is not repeated");
}

#[test]
fn listening_on_every_address_demands_a_public_url() {
    assert!(read(&[("listen", "0.0.0.0:3000")]).is_err());
    let config = read(&[("listen", "0.0.0.0:3000"), ("public-url", "http://vms.example.org")]).unwrap();
    assert_eq!(config.warnings().len(), 1, "passwords in the clear are worth a warning");
}

#[test]
fn hosts_have_names_and_a_bare_uri_is_the_local_one() {
    let of = |text: &str| read(&[("hosts", text)]).unwrap().hosts;
    assert_eq!(of("qemu+ssh://root@h/system?keyfile=/k").first().unwrap().name.as_str(), "local");
    let two = of("a=qemu:///system, b=qemu+tcp://h/system");
    assert_eq!(two.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let secret =
        read(&[("hosts", "a=qemu+tcp://ada:hunter2@h/system"), ("public-url", "https://ada:hunter2@h")]);
    let said: String = secret.unwrap_err().iter().map(ToString::to_string).collect();
    assert!(said.contains("auth.conf") && said.contains("PUBLIC_URL") && !said.contains("hunter2"), "{said}");
    for bad in ["A=qemu:///system", "../x=qemu:///system", "a=", "nonsense", "pve=proxmox://root@pve"] {
        assert!(read(&[("hosts", bad)]).is_err(), "{bad}");
    }
}

#[test]
fn bridges_belong_to_a_host_and_none_leaves_it_to_the_host() {
    let hosts = "a=qemu:///system,b=qemu:///session";
    let of = |text: &str| read(&[("hosts", hosts), ("bridges", text)]);
    let names = |host: &HostSetting| host.bridges.iter().map(ToString::to_string).collect::<Vec<_>>();
    let config = of("a=br0, a=br-lan").unwrap();
    assert_eq!(config.hosts.iter().map(names).collect::<Vec<_>>(), [vec!["br0", "br-lan"], vec![]]);
    for bad in ["br0", "a=", "a=../x", "c=br0"] {
        assert!(of(bad).is_err(), "{bad}");
    }
}

#[test]
fn to_trust_everybody_is_worth_a_warning() {
    let warnings = |proxies: &str| {
        let url = ("public-url", "https://vms.example.org");
        read(&[url, ("trusted-proxies", proxies)]).unwrap().warnings()
    };
    assert!(warnings("10.0.0.0/8, 127.0.0.1, fd00::/8").is_empty());
    for everybody in ["0.0.0.0/0", "::/0", "127.0.0.1, 192.0.2.1/0"] {
        let warned = warnings(everybody);
        assert!(
            warned.len() == 1 && warned[0].contains("every client can choose its own address"),
            "{warned:?}"
        );
    }
}
