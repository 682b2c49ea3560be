//! Every setting: its flag, its environment variable, its one default and its meaning, as clap's derive reads them from the code.
//!
//! Values that can be wrong are taken as text here and read by [`super::Config`], so that all mistakes are reported at
//! once.

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// The settings as the command line or the environment gives them; a flag wins, an empty variable counts as none.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// Directory with the database, disks, logs and flake.
    #[arg(long, env = "SNOWGLOBE_STATE", value_name = "DIR", default_value_os_t = default_state(), global = true)]
    pub state: PathBuf,
    /// Address and port to listen on.
    #[arg(
        long,
        env = "SNOWGLOBE_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:3000",
        global = true
    )]
    pub listen: String,
    /// The origin that browsers see, where it is not http:// and the address listened on; state changes and sockets from any
    /// other are refused.
    #[arg(long, env = "SNOWGLOBE_PUBLIC_URL", value_name = "URL", global = true)]
    pub public_url: Option<String>,
    /// Addresses or networks of reverse proxies, separated by commas, whose X-Forwarded-For is believed.
    #[arg(long, env = "SNOWGLOBE_TRUSTED_PROXIES", value_name = "NETWORKS", global = true)]
    pub trusted_proxies: Option<String>,
    /// Directory with the files for browsers: wasm, scripts, styles.
    #[arg(long, env = "SNOWGLOBE_SITE", value_name = "DIR", default_value_os_t = default_site(), global = true)]
    pub site: PathBuf,
    /// Directory of a flake that images are built from, instead of the one inside the program.
    #[arg(long, env = "SNOWGLOBE_IMAGE_FLAKE", value_name = "DIR", global = true)]
    pub image_flake: Option<PathBuf>,
    /// Lines of nix.conf, added for the portal's own builds.
    #[arg(long, env = "SNOWGLOBE_NIX_CONFIG", value_name = "LINES", global = true)]
    pub nix_config: Option<String>,
    /// Hosts to manage, name=uri, separated by commas; the URI is libvirt's.
    #[arg(
        long,
        env = "SNOWGLOBE_HOSTS",
        value_name = "HOSTS",
        default_value = "local=qemu:///system",
        global = true
    )]
    pub hosts: String,
    /// Bridges that machines may be put on, host=bridge, separated by commas; a host without any here offers its own but for those
    /// of container runtimes.
    #[arg(long, env = "SNOWGLOBE_BRIDGES", value_name = "BRIDGES", global = true)]
    pub bridges: Option<String>,
    /// How machines run: kvm, tcg (emulation), or auto, which tries whether KVM works.
    #[arg(long, env = "SNOWGLOBE_ACCEL", value_name = "KIND", default_value = "auto", global = true)]
    pub accel: String,
    /// How many images are built at the same time.
    #[arg(long, env = "SNOWGLOBE_BUILD_SLOTS", value_name = "NUMBER", default_value = "1", global = true)]
    pub build_slots: String,
    /// How many jobs run at the same time.
    #[arg(long, env = "SNOWGLOBE_JOB_SLOTS", value_name = "NUMBER", default_value = "8", global = true)]
    pub job_slots: String,
    /// How many open jobs one user may have.
    #[arg(long, env = "SNOWGLOBE_JOBS_PER_USER", value_name = "NUMBER", default_value = "50", global = true)]
    pub jobs_per_user: String,
    /// How many of them may be builds.
    #[arg(
        long,
        env = "SNOWGLOBE_BUILDS_PER_USER",
        value_name = "NUMBER",
        default_value = "20",
        global = true
    )]
    pub builds_per_user: String,
    /// Minutes that a job waits for a host that cannot be reached.
    #[arg(
        long,
        env = "SNOWGLOBE_HOST_PATIENCE_MINUTES",
        value_name = "MINUTES",
        default_value = "15",
        global = true
    )]
    pub host_patience_minutes: String,
    /// Minutes until an upgraded machine must have booted; then it goes back to the former system.
    #[arg(long, env = "SNOWGLOBE_BOOT_MINUTES", value_name = "MINUTES", default_value = "5", global = true)]
    pub boot_minutes: String,
    /// How many systems of a machine are kept, with the one that it boots; at least two.
    #[arg(long, env = "SNOWGLOBE_GENERATIONS", value_name = "NUMBER", default_value = "3", global = true)]
    pub generations: String,
    /// Seconds between two samples of machines' figures.
    #[arg(
        long,
        env = "SNOWGLOBE_SAMPLE_SECONDS",
        value_name = "SECONDS",
        default_value = "5",
        global = true
    )]
    pub sample_seconds: String,
    /// What is logged, as a filter of tracing-subscriber.
    #[arg(long, env = "SNOWGLOBE_LOG", value_name = "FILTER", default_value = "info", global = true)]
    pub log: String,
    /// How log lines look on standard error: text or json.
    #[arg(long, env = "SNOWGLOBE_LOG_FORMAT", value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: String,
    /// Bearer token for /metrics; without one, only this computer may read it.
    // Hidden, because as a flag it is refused: every user of a computer can read the arguments of its programs.
    #[arg(long, env = "SNOWGLOBE_METRICS_TOKEN", value_name = "TOKEN", hide = true, global = true)]
    pub metrics_token: Option<String>,
}

/// A variable of an earlier version, and the one that replaces it. Ignored, it would leave the portal with other hosts.
pub(super) const RENAMED: (&str, &str) = ("SNOWGLOBE_LIBVIRT_URI", "hosts");

/// A setting that is only a secret, which is refused as a flag.
pub(super) const TOKEN: &str = "metrics_token";

/// Settings that are never shown: nix.conf contains access tokens, and URLs with passwords.
pub(super) const SECRETS: [&str; 2] = [TOKEN, "nix_config"];

/// A text without the passwords of the URLs in it, for people's eyes.
pub(super) fn without_passwords(text: &str) -> String {
    let parts = text.split("://").map(|part| {
        // Farther than a URL's authority goes: a password may contain invalid characters.
        let end = part.find(char::is_whitespace).unwrap_or(part.len());
        let (url, rest) = part.split_at(end);
        match url.rsplit_once('@').and_then(|(login, host)| Some((login.split_once(':')?.0, host))) {
            Some((user, host)) => format!("{user}:…@{host}{rest}"),
            None => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("://")
}

/// Every setting in the order in which they are shown.
pub fn all() -> Vec<Arg> {
    Settings::augment_args(Command::new("snowglobe")).get_arguments().cloned().collect()
}

/// The environment variable of a setting, by the name of its field.
pub fn variable(id: &str) -> String {
    format!("SNOWGLOBE_{}", id.to_uppercase())
}

/// Makes a command line with these settings treat an empty variable as unset, as compose files and units write it, and
/// keep the values out of its help.
pub fn with_environment(command: Command) -> Command {
    command.mut_args(|arg| {
        let empty = |name| std::env::var(name).is_ok_and(|value| value.trim().is_empty());
        let arg = arg.hide_env_values(true);
        if arg.get_env().is_some_and(empty) { arg.env(Resettable::Reset) } else { arg }
    })
}

/// Two lines for each setting: variable and value; what it does and where the value comes from.
pub fn listing(matches: &ArgMatches) -> String {
    let mut lines = String::new();
    for setting in all() {
        let id = setting.get_id().as_str();
        let raw = matches.get_raw(id).and_then(|mut values| values.next());
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            _ => "default",
        };
        let value = match raw {
            None => "(none)".to_owned(),
            Some(_) if SECRETS.contains(&id) => "(set, not shown)".to_owned(),
            Some(value) => without_passwords(&value.to_string_lossy()),
        };
        let help = setting.get_help().map(ToString::to_string).unwrap_or_default();
        lines.push_str(&format!("{:<27} {value}\n{:<27} {help}. [{source}]\n", variable(id), ""));
    }
    lines
}

/// Warnings about variables that look like settings but are not: a misspelt name would otherwise be silently ignored.
pub(super) fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let known: Vec<String> = all().iter().map(|setting| variable(setting.get_id().as_str())).collect();
    let sentence = |name: String| {
        let alike = known.iter().map(|env| (strsim::jaro(env, &name), env));
        let nearest = alike.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(likeness, _)| *likeness > 0.9);
        let meant = nearest.map(|(_, env)| format!(" Did you mean {env}?")).unwrap_or_default();
        format!("{name} is set but is not a setting of this version, so it is ignored.{meant}")
    };
    let is_unknown = |name: &String| name.starts_with("SNOWGLOBE_") && !known.contains(name);
    let mut sentences: Vec<String> = names.filter(is_unknown).map(sentence).collect();
    sentences.sort();
    sentences
}

/// Root, who runs system services, gets the system's directory; everyone else theirs by the XDG base directory rules.
fn default_state() -> PathBuf {
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
fn default_site() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let beside = |relative: &str| program.parent().map(|dir| dir.join(relative)).unwrap_or_default();
    let installed = beside("../share/snowglobe/site");
    if installed.is_dir() { installed } else { beside("../site") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_called_as_its_field_and_its_flag() {
        for setting in all() {
            let id = setting.get_id().as_str();
            assert_eq!(setting.get_env().unwrap(), variable(id).as_str());
            assert_eq!(setting.get_long().unwrap(), id.replace('_', "-"));
            assert!(setting.is_global_set(), "--{id} may stand after the subcommand");
            assert!(setting.get_help().is_some());
        }
    }

    #[test]
    fn the_password_in_a_url_is_not_shown() {
        for (value, shown) in [
            (
                "a=qemu+tcp://ada:hunter2@h/system, b=qemu:///system",
                "a=qemu+tcp://ada:…@h/system, b=qemu:///system",
            ),
            ("https://ada:hun@t/er2@h", "https://ada:…@h"),
            ("ada:hunter2@h", "ada:…@h"),
            ("x://:hunter2@h,y://b:hunter2@h:1?c", "x://:…@h,y://b:…@h:1?c"),
            ("qemu+ssh://root@h/system?keyfile=/k", "qemu+ssh://root@h/system?keyfile=/k"),
            ("https://[::1]:3000", "https://[::1]:3000"),
            ("127.0.0.1:3000", "127.0.0.1:3000"),
        ] {
            assert_eq!(without_passwords(value), shown);
        }
    }

    #[test]
    fn a_variable_that_is_no_setting_is_told_with_what_was_meant() {
        let told = |name: &str| unknown(["PATH", "SNOWGLOBE_STATE", name].map(str::to_owned).into_iter());
        assert!(told("HOME").is_empty());
        let [slip] = <[String; 1]>::try_from(told("SNOWGLOBE_LITSEN")).unwrap();
        assert!(
            slip.starts_with("SNOWGLOBE_LITSEN") && slip.ends_with("Did you mean SNOWGLOBE_LISTEN?"),
            "{slip}"
        );
        let [foreign] = <[String; 1]>::try_from(told("SNOWGLOBE_QZX")).unwrap();
        assert!(!foreign.contains("Did you mean"), "{foreign}");
    }
}
