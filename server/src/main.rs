//! The program `snowglobe`: its command line and nothing else.

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use model::account::{Secret, password_fault};
use server::config::{self, Config, Settings};
use server::{assets, memory, owner, telemetry, wire};
use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

/// A self-service web portal for immutable NixOS virtual machines.
#[derive(Parser)]
#[command(name = "snowglobe", version, next_line_help = true, arg_required_else_help = true)]
#[command(
    after_help = "A setting is given as a flag or in the environment, where a flag wins. “snowglobe check-config” shows what is \
                  in force, and any mistakes."
)]
struct CommandLine {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the portal until SIGINT or SIGTERM.
    Serve,
    /// Bring the database up to date and exit; only while the portal is stopped.
    Migrate,
    /// Show every setting with its value, and any mistakes.
    CheckConfig,
    /// Make an administrator, or give one a new password, which is read from standard input; only while the portal is
    /// stopped.
    CreateAdmin {
        /// The user's name.
        name: String,
    },
}

fn main() -> ExitCode {
    memory::keep_little();
    let matches = config::with_environment(CommandLine::command()).get_matches();
    let CommandLine { settings, task } = match CommandLine::from_arg_matches(&matches) {
        Ok(line) => line,
        Err(error) => error.exit(),
    };
    let config = Config::new(settings, &matches);
    if matches!(task, Task::CheckConfig) {
        print!("{}", config::listing(&matches));
    }
    let config = match config {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("{mistake}");
            }
            return ExitCode::FAILURE;
        }
    };
    telemetry::start(&config.log, config.log_format);
    match run(task, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("snowglobe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Task {
    /// The subcommand as it was typed, if it opens the state directory.
    fn on_state(&self) -> Option<Vec<&str>> {
        match self {
            Task::Serve => Some(vec!["serve"]),
            Task::Migrate => Some(vec!["migrate"]),
            Task::CreateAdmin { name } => Some(vec!["create-admin", name]),
            Task::CheckConfig => None,
        }
    }
}

fn run(task: Task, config: &Config) -> Result<()> {
    if let Some(words) = task.on_state() {
        owner::check(&config.state, &words)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the asynchronous runtime cannot be started")?;
    let done = runtime.block_on(async {
        match task {
            Task::Serve => wire::serve(config).await,
            Task::Migrate => migrate(config).await,
            Task::CreateAdmin { name } => create_admin(config, &name).await,
            Task::CheckConfig => {
                let site = assets::check(&config.site).err().map(|error| error.to_string());
                for warning in config.warnings().into_iter().chain(site) {
                    println!("warning: {warning}");
                }
                Ok(())
            }
        }
    });
    // A hanging blocking call into a hypervisor must not keep a stopped portal from ending.
    runtime.shutdown_background();
    done
}

/// Opening the engine brings the database up to date; at rest does nothing else.
async fn migrate(config: &Config) -> Result<()> {
    wire::open_engine_at_rest(config).await?.shut_down().await;
    println!("The database in {} is up to date.", config.state.display());
    Ok(())
}

async fn create_admin(config: &Config, name: &str) -> Result<()> {
    let password = read_password()?;
    if let Some(why) = password_fault(password.reveal()) {
        anyhow::bail!("{why}");
    }
    let engine = wire::open_engine_at_rest(config).await?;
    let made = engine.create_administrator(name, &password).await;
    engine.shut_down().await;
    made?;
    println!("{name} is an administrator.");
    Ok(())
}

/// From a terminal without showing it, else the first line of standard input. Never from argv, which every user of the
/// computer can read.
fn read_password() -> Result<Secret> {
    if std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").context("the terminal cannot be read")?;
        let again = rpassword::prompt_password("Again: ").context("the terminal cannot be read")?;
        anyhow::ensure!(first == again, "The two passwords differ.");
        return Ok(Secret::new(first));
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("standard input cannot be read")?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}
