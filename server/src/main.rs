//! The program `snowglobe`: its command line and nothing else.

use anyhow::{Context as _, Result};
use clap::{Arg, ArgMatches, Command};
use model::account::{Secret, password_fault};
use server::config::{self, Config};
use server::{memory, telemetry, wire};
use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

fn command_line() -> Command {
    Command::new("snowglobe")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A self-service web portal for immutable NixOS virtual machines.")
        .after_help(
            "A setting is given as a flag or in the environment, where a flag wins. “snowglobe check-config” shows what is in force, \
             and what is wrong with it.",
        )
        .next_line_help(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(config::arguments())
        .subcommand(Command::new("serve").about("Run the portal until SIGINT or SIGTERM"))
        .subcommand(
            Command::new("migrate").about("Bring the database up to date, and end; while the portal is stopped"),
        )
        .subcommand(
            Command::new("check-config")
                .about("Show every setting with its value, and what is wrong with it"),
        )
        .subcommand(
            Command::new("create-admin")
                .about(
                    "Make an administrator, or give one a new password, which is read from standard input; while the portal is \
                     stopped",
                )
                .arg(Arg::new("name").required(true).help("The user's name")),
        )
}

fn main() -> ExitCode {
    memory::keep_little();
    let matches = command_line().get_matches();
    let config = match Config::from_matches(&matches) {
        Ok(config) => config,
        Err(mistakes) => {
            if matches.subcommand_name() == Some("check-config") {
                print!("{}", config::listing(&matches));
            }
            for mistake in mistakes {
                eprintln!("{mistake}");
            }
            return ExitCode::FAILURE;
        }
    };
    telemetry::start(&config.log, config.log_format);
    match run(&matches, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("snowglobe: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(matches: &ArgMatches, config: &Config) -> Result<()> {
    if let Some(("check-config", _)) = matches.subcommand() {
        print!("{}", config::listing(matches));
        for warning in config.warnings() {
            println!("warning: {warning}");
        }
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("the asynchronous runtime cannot be started")?;
    let done = runtime.block_on(async {
        match matches.subcommand() {
            Some(("serve", _)) => wire::serve(config).await,
            Some(("migrate", _)) => migrate(config).await,
            Some(("create-admin", given)) => create_admin(config, given).await,
            _ => anyhow::bail!("there is no such subcommand; “snowglobe help” lists them"),
        }
    });
    // A blocking call into a hypervisor that hangs must not keep a stopped portal from ending.
    runtime.shutdown_background();
    done
}

/// Opening the engine brings the database up to date; at rest it does nothing else.
async fn migrate(config: &Config) -> Result<()> {
    wire::open_engine_at_rest(config).await?.shut_down().await;
    println!("The database in {} is up to date.", config.state.display());
    Ok(())
}

async fn create_admin(config: &Config, given: &ArgMatches) -> Result<()> {
    let name = given.get_one::<String>("name").context("a name is missing")?;
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
