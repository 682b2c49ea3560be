//! How `nix` is called: its environment, its errors, and the quoting of texts for Nix and for a shell.

use host_tools::exec::{ExecError, Program};
use ports::image_builder::BuildError;

/// What Nix reads of its environment: where its store and its settings are, how to reach caches and private sources.
const INHERITED: &[&str] = &[
    "NIX_REMOTE",
    "NIX_CONF_DIR",
    "NIX_USER_CONF_FILES",
    "NIX_STORE_DIR",
    "NIX_STATE_DIR",
    "NIX_SSL_CERT_FILE",
    "NIX_SSHOPTS",
    "SSL_CERT_FILE",
    "SSH_AUTH_SOCK",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// The settings that every call gets.
#[derive(Clone, Debug)]
pub(super) struct Nix {
    /// Lines as in nix.conf(5), after the user's own, whose caches and keys they leave alone.
    config: String,
}

impl Nix {
    /// Nix with the user's `NIX_CONFIG`, what we need, and these lines of nix.conf.
    pub(super) fn new(extra_config: &str) -> Self {
        let users = std::env::var("NIX_CONFIG").unwrap_or_default();
        Self {
            config: format!("{users}\nextra-experimental-features = nix-command flakes\n{extra_config}\n"),
        }
    }

    /// One of Nix's programs, ready for its arguments.
    pub(super) fn program(&self, name: &'static str) -> Program {
        Program::new(name).inherit(INHERITED).env("NIX_CONFIG", &self.config)
    }
}

/// An error of a call that has no better explanation.
pub(super) fn failed(what: &str, source: ExecError) -> BuildError {
    match source {
        ExecError::Missing { .. } => BuildError::NoNix {
            why: "The program “nix” is not on the PATH of the portal".to_owned(),
            fix: "Install Nix (package nix-bin on Debian and Ubuntu, nix on Fedora and Arch), and start the portal again."
                .to_owned(),
        },
        ExecError::Start { ref source, .. } => BuildError::NoNix {
            why: source.to_string(),
            fix: "Check the program’s permissions.".to_owned(),
        },
        ExecError::Cancelled { .. } => BuildError::Cancelled,
        source => other(what, source),
    }
}

/// An error with its cause.
pub(super) fn other(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> BuildError {
    BuildError::Other { what: what.to_owned(), source: Some(Box::new(source)) }
}

/// An error that explains itself.
pub(super) fn refused(what: impl Into<String>) -> BuildError {
    BuildError::Other { what: what.into(), source: None }
}

/// A text as a Nix string literal, quotes included. Nix strings know `\`, `"` and `${` as special.
pub(super) fn nix_string(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        if matches!(c, '\\' | '"' | '$') {
            literal.push('\\');
        }
        literal.push(c);
    }
    literal + "\""
}

/// A text as one word of a POSIX shell. Within single quotes nothing is special but the single quote.
pub(super) fn shell_word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ODD: [&str; 8] = [
        "",
        "plain-1.2",
        "a b",
        "it's",
        "\"; rm -rf /; \"",
        "${builtins.abort \"x\"}",
        "$(id) `id` \\ \n",
        "\\${x} $${y} '' ''${z}",
    ];

    #[tokio::test]
    async fn a_shell_reads_back_what_was_quoted() {
        for text in ODD {
            let script = format!("printf %s {}", shell_word(text));
            let out = Program::new("sh").args(["-c", &script]).run().await.unwrap();
            assert_eq!(out.stdout.text(), text);
        }
    }

    #[tokio::test]
    async fn real_nix_reads_back_what_was_quoted() {
        let nix = Nix::new("build-users-group =\nsubstituters =");
        let list = ODD.map(nix_string).join(" ");
        let eval = nix.program("nix").args(["eval", "--json", "--expr"]).arg(format!("[ {list} ]"));
        let out = eval.run().await.unwrap();
        assert_eq!(serde_json::from_slice::<Vec<String>>(&out.stdout.bytes).unwrap(), ODD);
    }

    proptest! {
        #[test]
        fn quoted_texts_have_no_way_out(text in any::<String>()) {
            let literal = nix_string(&text);
            let inner = &literal[1..literal.len() - 1];
            let mut escaped = false;
            for c in inner.chars() {
                prop_assert!(escaped || !matches!(c, '"' | '$'));
                escaped = !escaped && c == '\\';
            }
            prop_assert!(!escaped);
        }
    }
}
