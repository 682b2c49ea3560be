//! The program itself: its command line, its start, its end. libvirt's own mock driver stands behind it.

#![expect(clippy::disallowed_methods, reason = "the program under test is started as people start it")]

use crate::http::{form, send};
use crate::world::{PASSWORD, within};
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

pub fn snowglobe(state: &Path, site: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snowglobe"));
    command.env("SNOWGLOBE_STATE", state).env("SNOWGLOBE_SITE", site).env("SNOWGLOBE_LISTEN", "127.0.0.1:0");
    command.env("SNOWGLOBE_HOSTS", "local=test:///default").env_remove("SNOWGLOBE_IMAGE_FLAKE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn output(command: &mut Command) -> (Output, String) {
    let output = within(command.output()).await.unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, said)
}

/// A running `snowglobe serve`, and what it printed when it began.
pub struct Serving {
    pub child: Child,
    pub address: String,
    pub setup: Option<String>,
}

pub async fn serve(command: &mut Command) -> Serving {
    serve_logging(command, Stdio::null()).await
}

/// The same with its log going somewhere.
async fn serve_logging(command: &mut Command, log: Stdio) -> Serving {
    let mut starting = begin(command, log);
    let (address, setup) = starting.listening().await;
    Serving { child: starting.child, address, setup }
}

/// `snowglobe serve` from its first moment on.
pub struct Starting {
    pub child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Starts it and waits for nothing.
pub fn begin(command: &mut Command, log: Stdio) -> Starting {
    let mut child = command.arg("serve").stderr(log).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Starting { child, lines }
}

impl Starting {
    /// Waits until it listens: its address, and the setup link as long as nobody has used it.
    pub async fn listening(&mut self) -> (String, Option<String>) {
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.starts_with("Ctrl-C")) {
            said.push(within(self.lines.next_line()).await.unwrap().expect("it goes on to say that it runs"));
        }
        let address = said[0].strip_prefix("Snowglobe is listening at http://").expect(&said[0]).to_owned();
        (address, said.into_iter().find(|line| line.starts_with("Set up")))
    }
}

impl Serving {
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> u16 {
        let origin = format!("http://{}", self.address);
        let kind = "application/x-www-form-urlencoded";
        let headers = [("host", self.address.as_str()), ("origin", &origin), ("content-type", kind)];
        within(send(&self.address, "POST", path, &headers, form(fields).as_bytes())).await.status
    }

    /// Sends a signal and waits for the end; the exit code.
    pub async fn end(mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
        within(self.child.wait()).await.unwrap().code()
    }
}

pub fn folders() -> (tempfile::TempDir, tempfile::TempDir) {
    let (state, site) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(site.path().join("pkg")).unwrap();
    for file in app::routes::assets::ALL {
        std::fs::write(site.path().join(file.trim_start_matches('/')), "x").unwrap();
    }
    (state, site)
}

#[tokio::test]
async fn it_starts_prints_the_setup_link_and_ends_at_a_signal() {
    let (state, site) = folders();
    let serving = serve(&mut snowglobe(state.path(), site.path())).await;
    let line = serving.setup.clone().expect("a setup link, while there is nobody");
    let link = line.strip_prefix("Set up the first administrator: ").expect(&line);
    let path = link.strip_prefix(&format!("http://{}", serving.address)).expect(link);
    assert_eq!(
        serving.post(path, &[("intent", "setup"), ("name", "ada"), ("password", PASSWORD)]).await,
        303
    );

    let (second, said) = output(snowglobe(state.path(), site.path()).arg("serve")).await;
    assert!(
        !second.status.success() && said.contains("another portal"),
        "one portal per state directory: {said}"
    );
    let (taken, said) =
        output(snowglobe(state.path(), site.path()).args(["--listen", &serving.address, "serve"])).await;
    assert!(
        !taken.status.success() && said.contains("is taken") && said.contains("SNOWGLOBE_LISTEN"),
        "{said}"
    );
    assert_eq!(serving.end("-TERM").await, Some(0));

    let again = serve(&mut snowglobe(state.path(), site.path())).await;
    assert_eq!(again.setup, None, "the link is not printed again");
    assert_eq!(
        again.post("/login", &[("intent", "login"), ("name", "ada"), ("password", PASSWORD)]).await,
        303
    );
    assert_eq!(again.end("-INT").await, Some(0));
}

#[tokio::test]
async fn the_service_manager_may_give_the_key_of_the_audit_log() {
    let (state, site) = folders();
    let given = tempfile::tempdir().unwrap();
    std::fs::write(given.path().join("audit-key"), "0123456789abcdef".repeat(2)).unwrap();
    let mut command = snowglobe(state.path(), site.path());
    let serving = serve(command.env("CREDENTIALS_DIRECTORY", given.path())).await;
    assert_eq!(serving.end("-TERM").await, Some(0));
    assert!(state.path().join("audit.head").exists() && !state.path().join("audit.key").exists());
    let serving = serve(&mut snowglobe(state.path(), site.path())).await;
    assert_eq!(serving.end("-TERM").await, Some(0));
    assert!(state.path().join("audit.key").exists(), "without one, the portal makes its own");
}

#[tokio::test]
async fn the_log_has_each_request_under_the_id_that_the_browser_got_and_no_secret() {
    let (state, site) = folders();
    let file = state.path().join("log.jsonl");
    let mut command = snowglobe(state.path(), site.path());
    command.env("SNOWGLOBE_LOG", "info,server=debug").env("SNOWGLOBE_LOG_FORMAT", "json");
    let serving = serve_logging(&mut command, std::fs::File::create(&file).unwrap().into()).await;
    let link = serving.setup.clone().expect("a setup link");
    let token = link.split_once("token=").expect("a token in it").1.to_owned();
    let host = [("host", serving.address.as_str()), ("cookie", "snowglobe=0123456789abcdef0123456789abcdef")];
    let path = format!("/setup?token={token}");
    let reply = within(send(&serving.address, "GET", &path, &host, b"")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(serving.end("-TERM").await, Some(0));

    let log = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered = lines.iter().find(|line| line["fields"]["message"] == "answered").expect(&log);
    let (fields, span) = (&answered["fields"], &answered["span"]);
    assert_eq!(span["request.id"].as_str(), reply.header("x-request-id"), "{answered}");
    assert_eq!((&span["route"], &fields["status"]), (&"/setup".into(), &200.into()), "{answered}");
    assert!(!log.contains(&token) && !log.contains("0123456789abcdef"), "{log}");
}

#[tokio::test]
async fn an_administrator_can_be_made_from_standard_input() {
    let (state, site) = folders();
    let (migrated, said) = output(snowglobe(state.path(), site.path()).arg("migrate")).await;
    assert!(migrated.status.success() && state.path().join("snowglobe.db").exists(), "{said}");
    for (password, good) in [("short", false), (PASSWORD, true)] {
        let mut command = snowglobe(state.path(), site.path());
        let mut child = command.args(["create-admin", "ada"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).await.unwrap();
        let output = within(child.wait_with_output()).await.unwrap();
        assert_eq!(output.status.success(), good, "{}", String::from_utf8_lossy(&output.stderr));
        let said = [output.stdout, output.stderr].concat();
        assert!(!String::from_utf8_lossy(&said).contains(password), "a password is not repeated");
    }
    let serving = serve(&mut snowglobe(state.path(), site.path())).await;
    assert_eq!(
        serving.post("/login", &[("intent", "login"), ("name", "ada"), ("password", PASSWORD)]).await,
        303
    );
    assert_eq!(serving.end("-TERM").await, Some(0));
}

#[tokio::test]
async fn nobody_but_the_owner_of_the_state_directory_opens_it() {
    let (state, site) = folders();
    // Root can give a directory away; anyone else looks for one that is not theirs.
    let given = std::os::unix::fs::chown(state.path(), Some(65_534), None).is_ok();
    let foreign = if given { state.path() } else { Path::new("/usr") };
    for task in [&["create-admin", "ada"][..], &["migrate"], &["serve"]] {
        let (refused, said) = output(snowglobe(foreign, site.path()).args(task)).await;
        assert!(!refused.status.success(), "{said}");
        let state = foreign.display();
        assert!(said.contains("belongs to the user ") && said.contains("“sudo -u "), "{said}");
        assert!(said.contains(&format!(" snowglobe --state {state} {}”", task.join(" "))), "{said}");
    }
    assert!(std::fs::read_dir(state.path()).unwrap().next().is_none(), "nothing was opened");
    let (shown, said) = output(snowglobe(foreign, site.path()).arg("check-config")).await;
    assert!(shown.status.success(), "looking is free: {said}");
}

#[tokio::test]
async fn check_config_shows_values_and_mistakes_but_no_secret() {
    let (state, site) = folders();
    let mut command = snowglobe(state.path(), site.path());
    command.env("SNOWGLOBE_METRICS_TOKEN", "a-long-enough-token").args([
        "check-config",
        "--build-slots",
        "3",
    ]);
    let (good, said) = output(&mut command).await;
    assert!(
        good.status.success() && said.contains("SNOWGLOBE_BUILD_SLOTS") && said.contains("[flag]"),
        "{said}"
    );
    assert!(!said.contains("a-long-enough-token"));
    let mut command = snowglobe(state.path(), site.path());
    let (slip, said) = output(command.env("SNOWGLOBE_LITSEN", "x").arg("check-config")).await;
    assert!(slip.status.success() && said.contains("Did you mean SNOWGLOBE_LISTEN?"), "{said}");
    let mut command = snowglobe(state.path(), site.path());
    let (wide, said) = output(command.env("SNOWGLOBE_TRUSTED_PROXIES", "::/0").arg("check-config")).await;
    assert!(wide.status.success() && said.contains("warning: SNOWGLOBE_TRUSTED_PROXIES has ::/0"), "{said}");
    let (bad, said) =
        output(snowglobe(state.path(), site.path()).args(["check-config", "--accel", "fast"])).await;
    assert!(!bad.status.success() && said.contains("SNOWGLOBE_ACCEL: “fast” is not"), "{said}");
}

#[tokio::test]
async fn a_site_that_is_missing_or_not_whole_is_no_site() {
    let (state, site) = folders();
    std::fs::remove_file(site.path().join("pkg/frontend_bg.wasm")).unwrap();
    let nowhere = "no files for browsers: /nowhere is not a directory";
    for (site, why) in [
        (site.path(), "lacks these files for browsers: /pkg/frontend_bg.wasm."),
        (Path::new("/nowhere"), nowhere),
    ] {
        let (refused, said) = output(snowglobe(state.path(), site).arg("serve")).await;
        assert!(!refused.status.success() && said.contains(why), "{said}");
        assert!(said.contains("cargo xtask build") && said.contains("SNOWGLOBE_SITE"), "{said}");
        let (shown, said) = output(snowglobe(state.path(), site).arg("check-config")).await;
        assert!(shown.status.success() && said.contains("warning: ") && said.contains(why), "{said}");
    }
}

#[tokio::test]
async fn check_config_shows_no_secret_whether_all_is_well_or_not() {
    const HOSTS: &str = "a=test+tcp://ada:swordfish-1234567@h/default, b=test:///default";
    let secrets = [
        ("SNOWGLOBE_METRICS_TOKEN", "swordfish-1234567"),
        ("SNOWGLOBE_NIX_CONFIG", "access-tokens = github.com=swordfish-1234567"),
        ("SNOWGLOBE_HOSTS", HOSTS),
        ("SNOWGLOBE_PUBLIC_URL", "https://ada:swordfish-1234567@vms.example.org"),
        ("SNOWGLOBE_METRIC_TOKEN", "swordfish-1234567"),
    ];
    let (state, site) = folders();
    for accel in ["tcg", "fast"] {
        for (name, value) in secrets {
            let mut command = snowglobe(state.path(), site.path());
            let (_, said) = output(command.env(name, value).args(["check-config", "--accel", accel])).await;
            assert!(said.contains("[flag]"), "{said}");
            assert!(!said.contains("swordfish"), "{name}: {said}");
        }
    }
}

#[tokio::test]
async fn a_secret_is_not_taken_as_a_flag_and_an_empty_variable_is_none() {
    let (state, site) = folders();
    let mut command = snowglobe(state.path(), site.path());
    let (refused, said) =
        output(command.args(["--metrics-token", "a-long-enough-token", "check-config"])).await;
    assert!(
        !refused.status.success() && said.contains("SNOWGLOBE_METRICS_TOKEN: It is given as a flag"),
        "{said}"
    );
    assert!(!said.contains("a-long-enough-token"), "{said}");
    let mut command = snowglobe(state.path(), site.path());
    command.env("SNOWGLOBE_METRICS_TOKEN", "").env("SNOWGLOBE_LISTEN", " ").env("SNOWGLOBE_LOG", "");
    let (good, said) = output(command.arg("check-config")).await;
    assert!(good.status.success() && said.contains("127.0.0.1:3000") && said.contains("(none)"), "{said}");
}

#[test]
fn the_readme_tells_every_setting_with_its_default() {
    let readme = include_str!("../../../README.md");
    for setting in server::config::all() {
        let id = setting.get_id().as_str();
        let row = format!("| `{}` |", server::config::variable(id));
        let row = readme.lines().find(|line| line.starts_with(&row)).expect(&row);
        // Those of directories depend on the computer.
        if let ([default], false) = (setting.get_default_values(), ["state", "site"].contains(&id)) {
            assert!(row.contains(&format!("| `{}` |", default.display())), "{row}");
        }
    }
}
