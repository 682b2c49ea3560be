//! From the settings' texts to types, with everything that is wrong told at once.

use super::settings::{RENAMED, SECRET, Settings, unknown, variable};
use crate::origin::{Origin, Origins};
use clap::ArgMatches;
use clap::parser::ValueSource;
use hypervisors::libvirt::AccelerationSetting;
use ipnet::IpNet;
use model::account::Secret;
use model::host::HostName;
use model::machine::BridgeName;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One host to manage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSetting {
    /// Its name in the portal.
    pub name: HostName,
    /// Where libvirt answers.
    pub uri: String,
    /// Bridges that machines may be put on; none stands for those that the host offers.
    pub bridges: Vec<BridgeName>,
}

/// The settings, read and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// State directory.
    pub state: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What people type, where it is not the address listened on.
    pub public_url: Option<Origin>,
    /// Proxies whose word about the client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Files for browsers.
    pub site: PathBuf,
    /// A flake other than the embedded one.
    pub image_flake: Option<PathBuf>,
    /// Lines for nix.conf; usually none.
    pub nix_config: String,
    /// Hosts.
    pub hosts: Vec<HostSetting>,
    /// How machines run.
    pub acceleration: AccelerationSetting,
    /// Images built at a time.
    pub build_slots: usize,
    /// Jobs run at a time.
    pub job_slots: usize,
    /// Open jobs that one user may have.
    pub jobs_per_user: u32,
    /// Open builds that one user may have.
    pub builds_per_user: u32,
    /// How long a job waits for a host.
    pub host_patience: Duration,
    /// Time between two samples.
    pub sample_every: Duration,
    /// Filter of the log.
    pub log: String,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Bearer token of `/metrics`.
    pub metrics_token: Option<Secret>,
    /// What is said about variables of the environment that are no settings.
    pub unknown: Vec<String>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{env}: {what} {fix}")]
pub struct Mistake {
    /// Its environment variable.
    pub env: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// What is wrong so far.
#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn add(&mut self, setting: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push(Mistake { env: variable(setting), what: what.into(), fix: fix.into() });
    }

    /// The value by this parser; `None` is noted as a mistake.
    fn parse<T>(
        &mut self,
        setting: &str,
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        let value = parse(text.trim());
        if value.is_none() {
            let fix = "Correct it, or leave it out for the default.";
            self.add(setting, format!("“{text}” is not {expected}."), fix);
        }
        value
    }

    fn count(&mut self, setting: &str, text: &str, max: usize) -> Option<usize> {
        let fits = |t: &str| t.parse().ok().filter(|n| (1..=max).contains(n));
        self.parse(setting, text, fits, &format!("a number from 1 to {max}"))
    }

    fn list<T>(
        &mut self,
        setting: &str,
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
            match parse(item) {
                Some(value) => found.push(value),
                None => {
                    self.add(setting, format!("“{item}” is not {expected}."), "Separate several by commas.")
                }
            }
        }
        found
    }

    fn public_url(&mut self, text: Option<&str>, listen: Option<SocketAddr>) -> Option<Origin> {
        let Some(text) = text else {
            if let Some(listen) = listen.filter(|listen| listen.ip().is_unspecified()) {
                let what = format!(
                    "{listen} means every address, so browsers' requests cannot be told from foreign ones."
                );
                self.add("public_url", what, "Set it to what people type, such as https://vms.example.org.");
            }
            return None;
        };
        let fix = "Write scheme and host only, such as https://vms.example.org.";
        text.trim().parse().map_err(|why: String| self.add("public_url", why, fix)).ok()
    }

    fn hosts(&mut self, hosts: &str, bridges: &str) -> Vec<HostSetting> {
        let expected = "name=uri with a name of letters, digits and “-”, such as local=qemu:///system";
        let mut hosts = self.list("hosts", hosts, host, expected);
        let repeated =
            hosts.iter().enumerate().find(|(i, h)| hosts.iter().take(*i).any(|other| other.name == h.name));
        if let Some((_, host)) = repeated {
            let what = format!("Two hosts are called “{}”.", host.name);
            self.add("hosts", what, "Give each its own name.");
        }
        for (name, bridge) in self.list("bridges", bridges, bridge, "host=bridge, such as local=br0") {
            match hosts.iter_mut().find(|host| host.name == name) {
                Some(host) => host.bridges.push(bridge),
                None => {
                    let fix = format!("Name one of {}.", variable("hosts"));
                    self.add("bridges", format!("There is no host “{name}”."), fix);
                }
            }
        }
        hosts
    }

    /// What no type says.
    fn look_at(&mut self, settings: &Settings) {
        if let Err(why) = settings.log.parse::<tracing_subscriber::EnvFilter>() {
            let what = format!("“{}” is not a filter: {why}.", settings.log);
            self.add("log", what, "Try info, or info,engine=debug.");
        }
        if settings.metrics_token.as_ref().is_some_and(|token| token.trim().len() < 16) {
            self.add(SECRET, "It has fewer than 16 characters and can be guessed.", "Make a longer one.");
        }
        if settings.image_flake.as_ref().is_some_and(|dir| !dir.join("flake.nix").is_file()) {
            let what = "There is no flake.nix in that directory.";
            self.add("image_flake", what, "Name the directory of a flake.");
        }
    }
}

impl Config {
    /// Reads the settings; `matches` is the command line that they come from.
    ///
    /// # Errors
    /// Every setting that cannot be used.
    pub fn new(settings: Settings, matches: &ArgMatches) -> Result<Self, Vec<Mistake>> {
        let mut wrong = Mistakes::default();
        if matches.value_source(SECRET) == Some(ValueSource::CommandLine) {
            let what = "It is given as a flag, which every user of this computer can read.";
            wrong.add(SECRET, what, "Set the variable instead.");
        }
        let (before, now) = RENAMED;
        if std::env::var_os(before).is_some_and(|value| !value.is_empty()) {
            let what = format!("{before} is set, which is called {} now.", variable(now));
            wrong.add(now, what, "Rename it; its value is the same.");
        }
        let config = Self::read(settings, wrong)?;
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        Ok(Self { unknown: unknown(names), ..config })
    }

    fn read(settings: Settings, mut wrong: Mistakes) -> Result<Self, Vec<Mistake>> {
        wrong.look_at(&settings);
        let address = "an address with a port, such as 127.0.0.1:3000";
        let listen = wrong.parse("listen", &settings.listen, |t| t.parse().ok(), address);
        let public_url = wrong.public_url(settings.public_url.as_deref(), listen);
        let proxies = settings.trusted_proxies.unwrap_or_default();
        let expected = "an address or a network such as 10.0.0.0/8";
        let trusted_proxies = wrong.list("trusted_proxies", &proxies, network, expected);
        let hosts = wrong.hosts(&settings.hosts, settings.bridges.as_deref().unwrap_or_default());
        let acceleration = wrong.parse("accel", &settings.accel, |t| t.parse().ok(), "auto, kvm or tcg");
        let build_slots = wrong.count("build_slots", &settings.build_slots, 64);
        let job_slots = wrong.count("job_slots", &settings.job_slots, 256);
        let jobs_per_user = wrong.count("jobs_per_user", &settings.jobs_per_user, 10_000);
        let builds_per_user = wrong.count("builds_per_user", &settings.builds_per_user, 10_000);
        let patience = wrong.count("host_patience_minutes", &settings.host_patience_minutes, 24 * 60);
        let sample_seconds = wrong.count("sample_seconds", &settings.sample_seconds, 3600);
        let log_format = wrong.parse("log_format", &settings.log_format, log_format, "text or json");
        let config = || {
            Some(Config {
                state: settings.state,
                listen: listen?,
                public_url,
                trusted_proxies,
                site: settings.site,
                image_flake: settings.image_flake,
                nix_config: settings.nix_config.unwrap_or_default(),
                hosts,
                acceleration: acceleration?,
                build_slots: build_slots?,
                job_slots: job_slots?,
                jobs_per_user: u32::try_from(jobs_per_user?).ok()?,
                builds_per_user: u32::try_from(builds_per_user?).ok()?,
                host_patience: Duration::from_secs(patience? as u64 * 60),
                sample_every: Duration::from_secs(sample_seconds? as u64),
                log: settings.log,
                log_format: log_format?,
                metrics_token: settings.metrics_token.map(|token| Secret::new(token.trim().to_owned())),
                unknown: Vec::new(),
            })
        };
        match config() {
            Some(config) if wrong.0.is_empty() => Ok(config),
            _ => Err(wrong.0),
        }
    }

    /// The origins under which browsers may speak to a server that listens here.
    pub fn origins(&self, listening: SocketAddr) -> Origins {
        match &self.public_url {
            Some(public) => Origins::new(public.clone(), listening),
            None => Origins::of_listener(listening),
        }
    }

    /// What works and is still unwise, in sentences for the log.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = self.unknown.clone();
        let origins = self.origins(self.listen);
        let public = origins.public();
        if !public.is_secure() && !public.is_loopback() {
            found.push(format!(
                "{public} is not encrypted: passwords and sessions can be read on the way. Put a reverse proxy with TLS before it and set SNOWGLOBE_PUBLIC_URL to its https address."
            ));
        }
        if public.is_secure() && self.trusted_proxies.is_empty() {
            found.push("The public address is https and no proxy is trusted: the audit log will show the proxy's address for everybody. Set SNOWGLOBE_TRUSTED_PROXIES.".to_owned());
        }
        found
    }
}

fn host(text: &str) -> Option<HostSetting> {
    // A bare URI has “=” only in its query, after a colon.
    let (name, uri) = match text.split_once('=') {
        Some((name, uri)) if !name.contains(':') => (name.trim(), uri.trim()),
        _ => ("local", text),
    };
    let (scheme, _) = uri.split_once(':')?;
    // libvirt has no such driver, and this version no other kind of host.
    if scheme.is_empty() || scheme == "proxmox" {
        return None;
    }
    Some(HostSetting { name: name.parse().ok()?, uri: uri.to_owned(), bridges: Vec::new() })
}

fn bridge(text: &str) -> Option<(HostName, BridgeName)> {
    let (host, bridge) = text.split_once('=')?;
    Some((host.trim().parse().ok()?, bridge.trim().parse().ok()?))
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn log_format(text: &str) -> Option<LogFormat> {
    Some(match text {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::builder::Resettable;
    use clap::{Args as _, Command, FromArgMatches as _};

    fn read(values: &[(&str, &str)]) -> Result<Config, Vec<Mistake>> {
        // Whatever the environment of the test says.
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
}
