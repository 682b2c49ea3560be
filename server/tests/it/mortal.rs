//! The real program over real libvirt, QEMU and Nix, which is killed and started again over the same state.

use crate::http::{Reply, form, try_send};
use crate::program::{Serving, Starting, begin, snowglobe};
use crate::world::PASSWORD;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::time::timeout;

/// A guest that is emulated on a busy computer takes half a minute to boot.
pub const LIMIT: Duration = Duration::from_secs(150);

/// What the environment gives; absent outside `cargo xtask test`.
pub struct Ground {
    /// Where images are built from.
    pub flake: String,
    /// How libvirt is reached.
    pub uri: String,
}

pub fn ground() -> Option<Ground> {
    let env = |name| std::env::var(name).ok();
    let found = env("SNOWGLOBE_TEST_IMAGE_FLAKE").zip(env("SNOWGLOBE_TEST_LIBVIRT"));
    // A test that passes without testing anything would hide that.
    assert!(
        found.is_some() || env("SNOWGLOBE_TEST_SKIP_REAL").is_some(),
        "not configured: run `cargo xtask test`, set SNOWGLOBE_TEST_IMAGE_FLAKE and SNOWGLOBE_TEST_LIBVIRT, or leave the \
         real tests out with SNOWGLOBE_TEST_SKIP_REAL=1"
    );
    found.map(|(flake, uri)| Ground { flake, uri })
}

/// A portal that can be killed and started again over the same state.
pub struct Mortal<'a> {
    pub ground: &'a Ground,
    pub state: &'a Path,
    pub site: &'a Path,
    /// Where its log goes, if anywhere.
    pub log: Option<PathBuf>,
    pub serving: Option<Serving>,
    pub cookie: String,
}

impl<'a> Mortal<'a> {
    pub fn new(ground: &'a Ground, state: &'a Path, site: &'a Path) -> Self {
        Self { ground, state, site, log: None, serving: None, cookie: String::new() }
    }

    pub fn address(&self) -> &str {
        &self.serving.as_ref().expect("it runs").address
    }

    /// Starts it without waiting for anything.
    pub fn begin(&self) -> Starting {
        let mut command = snowglobe(self.state, self.site);
        command.env("SNOWGLOBE_IMAGE_FLAKE", &self.ground.flake);
        command.env("SNOWGLOBE_HOSTS", format!("local={}", self.ground.uri));
        let append = |path| OpenOptions::new().create(true).append(true).open(path).expect("the log opens");
        begin(&mut command, self.log.as_ref().map_or_else(Stdio::null, |path| append(path).into()))
    }

    pub async fn start(&mut self) {
        let mut starting = self.begin();
        let (address, setup) = timeout(LIMIT, starting.listening()).await.expect("it starts");
        self.serving = Some(Serving { child: starting.child, address, setup });
    }

    pub async fn kill(&mut self) {
        let mut serving = self.serving.take().expect("it runs");
        serving.child.kill().await.expect("it can be killed");
    }

    /// Makes the first administrator and stays logged in.
    pub async fn set_up(&mut self) {
        let link = self.serving.as_ref().and_then(|s| s.setup.clone()).expect("a setup link");
        let path = link.split_once("/setup").map(|(_, query)| format!("/setup{query}")).expect("its path");
        let token = path.split_once('=').map(|(_, t)| t.to_owned()).expect("its token");
        let fields = [
            ("intent", "setup"),
            ("token", &token),
            ("name", "ada"),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ];
        self.cookie = self.ask("POST", &path, &fields).await.cookie().expect("a session");
    }

    pub async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
        let answer = ask(self.address(), &self.cookie, method, path, fields);
        timeout(LIMIT, answer).await.expect("an answer").expect("the whole of it")
    }

    pub async fn sql(&self) -> SqliteConnection {
        sql(self.state).await
    }
}

/// Asks the portal at this address as a page of its own does.
///
/// # Errors
/// When the connection breaks.
pub async fn ask(
    address: &str,
    cookie: &str,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
) -> io::Result<Reply> {
    let origin = format!("http://{address}");
    let kind = "application/x-www-form-urlencoded";
    let headers = [("host", address), ("origin", &origin), ("content-type", kind), ("cookie", cookie)];
    try_send(address, method, path, &headers, form(fields).as_bytes()).await
}

/// The database of the portal of this state directory.
pub async fn sql(state: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(state.join("snowglobe.db"));
    SqliteConnection::connect_with(&options).await.expect("the portal's database")
}
