//! From the settings' texts to types, with all mistakes reported at once.

use super::settings::{RENAMED, Settings, TOKEN, unknown, variable, without_passwords};
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
    /// libvirt's URI.
    pub uri: String,
    /// Bridges that machines may be put on; none means those that the host offers.
    pub bridges: Vec<BridgeName>,
}

/// The settings, read and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// State directory.
    pub state: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What people type, if not the address listened on.
    pub public_url: Option<Origin>,
    /// Proxies trusted for the client's address.
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
    /// How long an upgraded machine may take to boot.
    pub boot_limit: Duration,
    /// Systems of a machine that are kept.
    pub generations: usize,
    /// Time between two samples.
    pub sample_every: Duration,
    /// Filter of the log.
    pub log: String,
    /// Format of the log.
    pub log_format: LogFormat,
    /// Bearer token of `/metrics`.
    pub metrics_token: Option<Secret>,
    /// Warnings about environment variables that are not settings.
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

/// The mistakes so far.
#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn add(&mut self, setting: &str, what: impl Into<String>, fix: impl Into<String>) {
        // Many sentences repeat the value.
        let what = without_passwords(&what.into());
        self.0.push(Mistake { env: variable(setting), what, fix: fix.into() });
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
                    "{listen} means every address, so browsers' requests cannot be distinguished from foreign ones."
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
            let what = format!("Two hosts are named “{}”.", host.name);
            self.add("hosts", what, "Give each its own name.");
        }
        for host in hosts.iter().filter(|host| without_passwords(&host.uri) != host.uri) {
            let what = format!("The URI of “{}” has a password, which the hosts page would show.", host.name);
            self.add("hosts", what, "Put it into libvirt's auth.conf.");
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

    /// What no type checks.
    fn look_at(&mut self, settings: &Settings) {
        if let Err(why) = settings.log.parse::<tracing_subscriber::EnvFilter>() {
            let what = format!("“{}” is not a filter: {why}.", settings.log);
            self.add("log", what, "Try info, or info,engine=debug.");
        }
        if settings.metrics_token.as_ref().is_some_and(|token| token.trim().len() < 16) {
            self.add(TOKEN, "It has fewer than 16 characters and can be guessed.", "Make a longer one.");
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
        if matches.value_source(TOKEN) == Some(ValueSource::CommandLine) {
            let what = "It is given as a flag, which every user of this computer can read.";
            wrong.add(TOKEN, what, "Set the variable instead.");
        }
        let (before, now) = RENAMED;
        if std::env::var_os(before).is_some_and(|value| !value.is_empty()) {
            let what = format!("{before} is set, which is now called {}.", variable(now));
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
        let boot_minutes = wrong.count("boot_minutes", &settings.boot_minutes, 24 * 60);
        let two = |t: &str| t.parse().ok().filter(|n| (2..=100).contains(n));
        let generations = wrong.parse("generations", &settings.generations, two, "a number from 2 to 100");
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
                boot_limit: Duration::from_secs(boot_minutes? as u64 * 60),
                generations: generations?,
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

    /// What works but is unwise, as sentences for the log.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = self.unknown.clone();
        let origins = self.origins(self.listen);
        let public = origins.public();
        if !public.is_secure() && !public.is_loopback() {
            found.push(format!(
                "{public} is not encrypted: passwords and sessions can be read on the way. Put a reverse proxy with TLS in front of it and set SNOWGLOBE_PUBLIC_URL to its https address."
            ));
        }
        if public.is_secure() && self.trusted_proxies.is_empty() {
            found.push("The public address is https and no proxy is trusted: the audit log will show the proxy's address for everyone. Set SNOWGLOBE_TRUSTED_PROXIES.".to_owned());
        }
        for all in self.trusted_proxies.iter().filter(|net| net.prefix_len() == 0) {
            found.push(format!(
                "SNOWGLOBE_TRUSTED_PROXIES has {all}: every client can choose its own address, so nobody who guesses passwords is slowed down, and the audit log shows what they like. Name the proxies' own addresses."
            ));
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
mod tests;
