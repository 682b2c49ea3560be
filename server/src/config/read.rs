//! From the settings' texts to types, with everything that is wrong told at once.

use super::{SETTINGS, given, unknown};
use crate::origin::{Origin, Origins};
use clap::ArgMatches;
use hypervisors::libvirt::AccelerationSetting;
use ipnet::IpNet;
use model::account::Secret;
use model::host::HostName;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
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

/// One libvirt host to manage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibvirtHost {
    /// Its name in the portal.
    pub name: HostName,
    /// Where libvirt answers.
    pub uri: String,
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
    pub libvirt: Vec<LibvirtHost>,
    /// How machines run.
    pub acceleration: AccelerationSetting,
    /// Images built at a time.
    pub build_slots: usize,
    /// Jobs run at a time.
    pub job_slots: usize,
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
    pub env: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub fix: String,
}

/// Reads values and collects what is wrong with them.
struct Reader<'a> {
    value: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        (self.value)(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
    }

    fn mistake(&mut self, name: &str, what: impl Into<String>, fix: impl Into<String>) {
        let env = SETTINGS.iter().find(|s| s.name == name).map_or("", |s| s.env);
        self.mistakes.push(Mistake { env, what: what.into(), fix: fix.into() });
    }

    /// The value by this parser, or the default where there is none or it is wrong.
    fn parse<T>(&mut self, name: &str, default: T, parse: impl Fn(&str) -> Option<T>, expected: &str) -> T {
        let Some(text) = self.text(name) else { return default };
        parse(&text).unwrap_or_else(|| {
            self.mistake(
                name,
                format!("“{text}” is not {expected}."),
                "Correct it, or leave it out for the default.",
            );
            default
        })
    }

    fn count(&mut self, name: &str, default: usize, max: usize) -> usize {
        let fits = |t: &str| t.parse().ok().filter(|n| (1..=max).contains(n));
        self.parse(name, default, fits, &format!("a number from 1 to {max}"))
    }

    fn list<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Vec<T> {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        let mut found = Vec::new();
        for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
            match parse(item) {
                Some(value) => found.push(value),
                None => {
                    self.mistake(name, format!("“{item}” is not {expected}."), "Separate several by commas.")
                }
            }
        }
        found
    }

    fn public_url(&mut self, listen: SocketAddr) -> Option<Origin> {
        let Some(text) = self.text("public-url") else {
            if listen.ip().is_unspecified() {
                self.mistake(
                    "public-url",
                    format!("{listen} means every address, so browsers' requests cannot be told from foreign ones."),
                    "Set it to what people type, such as https://vms.example.org.",
                );
            }
            return None;
        };
        let fix = "Write scheme and host only, such as https://vms.example.org.";
        text.parse().map_err(|why: String| self.mistake("public-url", why, fix)).ok()
    }

    fn hosts(&mut self) -> Vec<LibvirtHost> {
        let expected = "name=uri with a name of letters, digits and “-”, such as local=qemu:///system";
        let hosts = self.list("libvirt-uri", "local=qemu:///system", libvirt_host, expected);
        let repeated =
            hosts.iter().enumerate().find(|(i, h)| hosts.iter().take(*i).any(|other| other.name == h.name));
        if let Some(name) = repeated.map(|(_, h)| h.name.clone()) {
            self.mistake("libvirt-uri", format!("Two hosts are called “{name}”."), "Give each its own name.");
        }
        hosts
    }
}

impl Config {
    /// Reads all settings; `value` gives a setting's text by its name.
    ///
    /// # Errors
    /// Every setting that cannot be used.
    pub fn read(value: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut read = Reader { value, mistakes: Vec::new() };
        let local = SocketAddr::from(([127, 0, 0, 1], 3000));
        let listen =
            read.parse("listen", local, |t| t.parse().ok(), "an address with a port, such as 127.0.0.1:3000");
        let config = Config {
            state: read.text("state").map_or_else(default_state, PathBuf::from),
            listen,
            public_url: read.public_url(listen),
            trusted_proxies: read.list(
                "trusted-proxies",
                "",
                network,
                "an address or a network such as 10.0.0.0/8",
            ),
            site: read.text("site").map_or_else(default_site, PathBuf::from),
            image_flake: read.text("image-flake").map(PathBuf::from),
            nix_config: read.text("nix-config").unwrap_or_default(),
            libvirt: read.hosts(),
            acceleration: read.parse(
                "accel",
                AccelerationSetting::Auto,
                |t| t.parse().ok(),
                "auto, kvm or tcg",
            ),
            build_slots: read.count("build-slots", 1, 64),
            job_slots: read.count("job-slots", 8, 256),
            sample_every: Duration::from_secs(read.count("sample-seconds", 5, 3600) as u64),
            log: read.text("log").unwrap_or_else(|| "info".to_owned()),
            log_format: read.parse("log-format", LogFormat::Text, log_format, "text or json"),
            metrics_token: read.text("metrics-token").map(Secret::new),
            unknown: Vec::new(),
        };
        if let Err(why) = config.log.parse::<tracing_subscriber::EnvFilter>() {
            read.mistake(
                "log",
                format!("“{}” is not a filter: {why}.", config.log),
                "Try info, or info,engine=debug.",
            );
        }
        if config.metrics_token.as_ref().is_some_and(|t| t.reveal().len() < 16) {
            read.mistake(
                "metrics-token",
                "It has fewer than 16 characters and can be guessed.",
                "Make a longer one.",
            );
        }
        if config.image_flake.as_ref().is_some_and(|dir| !dir.join("flake.nix").is_file()) {
            read.mistake(
                "image-flake",
                "There is no flake.nix in that directory.",
                "Name the directory of a flake.",
            );
        }
        if read.mistakes.is_empty() { Ok(config) } else { Err(read.mistakes) }
    }

    /// Reads the settings from a parsed command line, which knows the environment as well.
    ///
    /// # Errors
    /// Every setting that cannot be used.
    pub fn from_matches(matches: &ArgMatches) -> Result<Self, Vec<Mistake>> {
        let config = Self::read(&|name| given(matches, name))?;
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        Ok(Self { unknown: unknown(names), ..config })
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

fn libvirt_host(text: &str) -> Option<LibvirtHost> {
    // A bare URI has “=” only in its query, after a colon.
    let (name, uri) = match text.split_once('=') {
        Some((name, uri)) if !name.contains(':') => (name.trim(), uri.trim()),
        _ => ("local", text),
    };
    let has_scheme = uri.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty());
    Some(LibvirtHost { name: name.parse().ok()?, uri: has_scheme.then(|| uri.to_owned())? })
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

/// Root, who runs system services, has the system's place; everybody else theirs by the XDG base directory rules.
pub(super) fn default_state() -> PathBuf {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    match (absolute("XDG_STATE_HOME"), absolute("HOME")) {
        _ if is_root => PathBuf::from("/var/lib/snowglobe"),
        (Some(base), _) => base.join("snowglobe"),
        (None, Some(home)) => home.join(".local/state/snowglobe"),
        (None, None) => PathBuf::from("/var/lib/snowglobe"),
    }
}

/// Where an installation puts the files for browsers, else where a checkout does.
pub(super) fn default_site() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let beside = |relative: &str| program.parent().map(|dir| dir.join(relative)).unwrap_or_default();
    let installed = beside("../share/snowglobe/site");
    if installed.is_dir() { installed } else { beside("../site") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Config, Vec<Mistake>> {
        Config::read(&|name| values.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn nothing_set_gives_a_server_for_this_computer_only() {
        let config = read(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(config.origins(config.listen).public().to_string(), "http://127.0.0.1:3000");
        assert_eq!(config.libvirt.first().unwrap().uri, "qemu:///system");
        assert!(config.warnings().is_empty() && config.metrics_token.is_none());
    }

    #[test]
    fn every_mistake_is_told_at_once_with_what_and_how_to_mend_it() {
        let mistakes = read(&[
            ("listen", "everywhere"),
            ("public-url", "vms.example.org"),
            ("trusted-proxies", "10.0.0.0/8, nginx"),
            ("libvirt-uri", "a=qemu:///system,a=qemu:///session"),
            ("accel", "fast"),
            ("build-slots", "0"),
            ("log", "=,="),
            ("metrics-token", "short"),
            ("image-flake", "/nowhere"),
        ])
        .unwrap_err();
        let named: Vec<&str> = mistakes.iter().map(|m| m.env).collect();
        for env in [
            "LISTEN",
            "PUBLIC_URL",
            "TRUSTED_PROXIES",
            "LIBVIRT_URI",
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
        let of = |text: &str| read(&[("libvirt-uri", text)]).unwrap().libvirt;
        assert_eq!(of("qemu+ssh://root@h/system?keyfile=/k").first().unwrap().name.as_str(), "local");
        let two = of("a=qemu:///system, b=qemu+tcp://h/system");
        assert_eq!(two.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        for bad in ["A=qemu:///system", "../x=qemu:///system", "a=", "nonsense"] {
            assert!(read(&[("libvirt-uri", bad)]).is_err(), "{bad}");
        }
    }
}
