//! Every setting of the server: one table with its flag, its environment variable, its default and its meaning.
//!
//! [`SETTINGS`] makes the command line ([`arguments`]), the listing of `snowglobe check-config` ([`listing`]) and the
//! documentation; [`Config::read`] turns the values into types. A flag wins over the environment, an empty value
//! counts as none. Everything that is wrong is told at once, each with what, why and how to mend it.

mod read;

pub use read::{Config, LibvirtHost, LogFormat, Mistake};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};

/// One setting. Its flag is `--` and the name; secrets have none, because every user of a computer can read argv.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name, and flag.
    pub name: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// What its value looks like, in one word.
    pub value: &'static str,
    /// Default as the documentation tells it; empty if there is none.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// Never shown, and not accepted as a flag.
    pub secret: bool,
}

const fn setting([name, env, value]: [&'static str; 3], default: &'static str, doc: &'static str) -> Setting {
    Setting { name, env, value, default, doc, secret: false }
}

/// All settings, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    setting(
        ["state", "SNOWGLOBE_STATE", "DIR"],
        "/var/lib/snowglobe for root, else $XDG_STATE_HOME/snowglobe",
        "Directory with the database, disks, logs and flake.",
    ),
    setting(
        ["listen", "SNOWGLOBE_LISTEN", "ADDRESS:PORT"],
        "127.0.0.1:3000",
        "Address and port to listen on.",
    ),
    setting(
        ["public-url", "SNOWGLOBE_PUBLIC_URL", "URL"],
        "http:// and the address listened on",
        "The origin that browsers see; state changes and sockets from any other are refused.",
    ),
    setting(
        ["trusted-proxies", "SNOWGLOBE_TRUSTED_PROXIES", "NETWORKS"],
        "",
        "Addresses or networks of reverse proxies, separated by commas, whose X-Forwarded-For is believed.",
    ),
    setting(
        ["site", "SNOWGLOBE_SITE", "DIR"],
        "../site or ../share/snowglobe/site, seen from the program",
        "Directory with the files for browsers: wasm, scripts, styles.",
    ),
    setting(
        ["image-flake", "SNOWGLOBE_IMAGE_FLAKE", "DIR"],
        "the flake inside the program",
        "Directory of another flake that images are built from.",
    ),
    setting(
        ["nix-config", "SNOWGLOBE_NIX_CONFIG", "LINES"],
        "",
        "Lines of nix.conf, added for the portal's own builds.",
    ),
    setting(
        ["libvirt-uri", "SNOWGLOBE_LIBVIRT_URI", "HOSTS"],
        "local=qemu:///system",
        "libvirt hosts, name=uri, separated by commas.",
    ),
    setting(
        ["accel", "SNOWGLOBE_ACCEL", "KIND"],
        "auto",
        "How machines run: kvm, tcg (emulation), or auto, which tries whether KVM works.",
    ),
    setting(
        ["build-slots", "SNOWGLOBE_BUILD_SLOTS", "NUMBER"],
        "1",
        "How many images are built at the same time.",
    ),
    setting(["job-slots", "SNOWGLOBE_JOB_SLOTS", "NUMBER"], "8", "How many jobs run at the same time."),
    setting(
        ["sample-seconds", "SNOWGLOBE_SAMPLE_SECONDS", "SECONDS"],
        "5",
        "Seconds between two samples of machines' figures.",
    ),
    setting(
        ["log", "SNOWGLOBE_LOG", "FILTER"],
        "info",
        "What is logged, as tracing-subscriber's EnvFilter has it.",
    ),
    setting(
        ["log-format", "SNOWGLOBE_LOG_FORMAT", "FORMAT"],
        "text",
        "How log lines look on standard error: text or json.",
    ),
    Setting {
        secret: true,
        ..setting(
            ["metrics-token", "SNOWGLOBE_METRICS_TOKEN", "TOKEN"],
            "",
            "Bearer token for /metrics; without one, only this computer may read it.",
        )
    },
];

/// The settings as flags of the command line, for every subcommand. Secrets come by the environment only.
pub fn arguments() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().filter(|s| !s.secret).map(|s| {
        let default = if s.default.is_empty() { String::new() } else { format!(" [default: {}]", s.default) };
        Arg::new(s.name)
            .long(s.name)
            .env(s.env)
            .hide_env_values(true)
            .global(true)
            .value_name(s.value)
            .help_heading("Settings")
            .help(format!("{}{default}", s.doc))
    })
}

/// A setting's text from the command line or the environment.
fn given(matches: &ArgMatches, name: &str) -> Option<String> {
    let setting = SETTINGS.iter().find(|s| s.name == name)?;
    if setting.secret { std::env::var(setting.env).ok() } else { matches.get_one::<String>(name).cloned() }
}

/// Two lines for each setting: variable, value or default; what it does and where the value comes from.
pub fn listing(matches: &ArgMatches) -> String {
    let mut lines = String::new();
    for s in SETTINGS {
        let value = given(matches, s.name).filter(|v| !v.trim().is_empty());
        let (shown, source) = match value {
            None => (default_now(s), "default"),
            Some(_) if s.secret => ("(set, not shown)".to_owned(), "environment"),
            Some(v) => (v, origin_of(matches, s.name)),
        };
        lines.push_str(&format!("{:<27} {shown}\n{:<27} {} [{source}]\n", s.env, "", s.doc));
    }
    lines
}

/// What a setting's default is here and now, where it depends on that.
fn default_now(setting: &Setting) -> String {
    match setting.name {
        "state" => read::default_state().display().to_string(),
        "site" => read::default_site().display().to_string(),
        _ if setting.default.is_empty() => "(none)".to_owned(),
        _ => setting.default.to_owned(),
    }
}

fn origin_of(matches: &ArgMatches, name: &str) -> &'static str {
    match matches.value_source(name) {
        Some(ValueSource::CommandLine) => "flag",
        Some(ValueSource::EnvVariable) => "environment",
        _ => "default",
    }
}

/// What is said about variables that look like settings and are none: a name that is wrong by a letter would otherwise
/// do nothing and say nothing.
fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let is_unknown =
        |name: &String| name.starts_with("SNOWGLOBE_") && SETTINGS.iter().all(|s| s.env != name.as_str());
    let sentence = |name: String| {
        let alike = SETTINGS.iter().map(|s| (strsim::jaro(s.env, &name), s.env));
        let nearest = alike.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(likeness, _)| *likeness > 0.9);
        let meant = nearest.map(|(_, env)| format!(" Did you mean {env}?")).unwrap_or_default();
        format!("{name} is set and is no setting of this version, so it does nothing.{meant}")
    };
    let mut sentences: Vec<String> = names.filter(is_unknown).map(sentence).collect();
    sentences.sort();
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variables_are_unique_and_belong_together() {
        for s in SETTINGS {
            assert_eq!(s.env, format!("SNOWGLOBE_{}", s.name.replace('-', "_").to_uppercase()));
            assert_eq!(SETTINGS.iter().filter(|o| o.name == s.name).count(), 1);
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
