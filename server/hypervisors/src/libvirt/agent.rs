//! The guest's agent: is it there, read a file, run a program.
//!
//! A guest's answers are data from an untrusted computer: parsed into the fixed structures below, bounded, and shown;
//! nothing here acts upon them. Protocol: qga/qapi-schema.json in QEMU's source.

use super::connect::Link;
use super::error::{failed, of_agent};
use super::power::find;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::hypervisor::{GuestExit, HypervisorError, MachineRef, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Most bytes taken of a file or of one output stream.
const MOST: usize = 64 * 1024;
/// Seconds that one answer may take; the agent answers at once or not at all.
pub const ANSWER_SECONDS: i32 = 5;
/// How long a program in the guest may run.
const RUN_LIMIT: Duration = Duration::from_secs(60);
/// How often the program is polled: often at first, then less so.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct Request<A> {
    execute: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<A>,
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(rename = "return")]
    value: T,
}

#[derive(Deserialize)]
struct Nothing {}

#[derive(Serialize)]
struct OpenFile<'a> {
    path: &'a str,
    mode: &'static str,
}

#[derive(Serialize)]
struct Handle {
    handle: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

#[derive(Deserialize)]
struct Piece {
    #[serde(rename = "buf-b64")]
    data: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Exec<'a> {
    path: &'a str,
    arg: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    input_data: Option<String>,
    capture_output: bool,
}

/// A program in the guest.
#[derive(Serialize, Deserialize, Clone, Copy)]
pub struct Process {
    pid: i64,
}

impl Process {
    /// Its number in the guest.
    pub fn pid(self) -> i64 {
        self.pid
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    exited: bool,
    exitcode: Option<i32>,
    #[serde(default)]
    out_data: String,
    #[serde(default)]
    err_data: String,
}

/// See the port.
pub async fn ping(link: &Link, machine: &MachineRef) -> Result<()> {
    ask::<Nothing>(link, machine, "guest-ping", None::<()>).await.map(drop)
}

/// See the port.
pub async fn read(link: &Link, machine: &MachineRef, path: &str) -> Result<Vec<u8>> {
    let handle: i64 = ask(link, machine, "guest-file-open", Some(OpenFile { path, mode: "r" })).await?;
    let piece: Result<Piece> =
        ask(link, machine, "guest-file-read", Some(Handle { handle, count: Some(MOST) })).await;
    // Closed however reading went; the result of closing changes nothing.
    let _: Result<Nothing> =
        ask(link, machine, "guest-file-close", Some(Handle { handle, count: None })).await;
    decode(&piece?.data)
}

/// See the port.
pub async fn run(link: &Link, machine: &MachineRef, argv: &[&str], input: &[u8]) -> Result<GuestExit> {
    let process = exec(link, machine, argv, input).await?;
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(exit) = exited(link, machine, process).await? {
            return Ok(exit);
        }
        if started.elapsed() > RUN_LIMIT {
            let path = argv.first().copied().unwrap_or_default();
            let why = format!("“{path}” still runs after {} s", RUN_LIMIT.as_secs());
            return Err(failed("Running a program in the guest", why));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Starts a program in the guest.
pub async fn exec(link: &Link, machine: &MachineRef, argv: &[&str], input: &[u8]) -> Result<Process> {
    let Some((path, arg)) = argv.split_first() else {
        return Err(failed("Running a program in the guest", "no program was named"));
    };
    let input_data = (!input.is_empty()).then(|| STANDARD.encode(input));
    ask(link, machine, "guest-exec", Some(Exec { path, arg, input_data, capture_output: true })).await
}

/// How a program in the guest has ended, if it has.
pub async fn exited(link: &Link, machine: &MachineRef, process: Process) -> Result<Option<GuestExit>> {
    let status: Status = ask(link, machine, "guest-exec-status", Some(process)).await?;
    if !status.exited {
        return Ok(None);
    }
    let (stdout, stderr) = (decode(&status.out_data)?, decode(&status.err_data)?);
    Ok(Some(GuestExit { code: status.exitcode, stdout, stderr }))
}

/// Asks the agent for something that it answers at once.
pub async fn ask<T: DeserializeOwned>(
    link: &Link,
    machine: &MachineRef,
    execute: &'static str,
    arguments: Option<impl Serialize>,
) -> Result<T> {
    ask_within(link, machine, execute, arguments, ANSWER_SECONDS).await
}

/// Asks the agent for something that it may need so many seconds for.
pub async fn ask_within<T: DeserializeOwned>(
    link: &Link,
    machine: &MachineRef,
    execute: &'static str,
    arguments: Option<impl Serialize>,
    seconds: i32,
) -> Result<T> {
    let request =
        serde_json::to_string(&Request { execute, arguments }).map_err(|e| failed(execute, e.to_string()))?;
    let machine = machine.clone();
    let answer = link
        .agent_call(move |live| {
            let domain = find(&live.connect, &machine)?;
            domain.qemu_agent_command(&request, seconds, 0).map_err(of_agent(execute, &machine))
        })
        .await?;
    parse(execute, &answer)
}

fn parse<T: DeserializeOwned>(execute: &'static str, answer: &str) -> Result<T> {
    let parsed: std::result::Result<Answer<T>, _> = serde_json::from_str(answer);
    parsed.map(|a| a.value).map_err(|e| nonsense(execute, &e.to_string()))
}

/// Decodes base64 and keeps the first [`MOST`] bytes.
fn decode(text: &str) -> Result<Vec<u8>> {
    // Four characters are three bytes: anything beyond the bound is not even read.
    let end = text.len().min(MOST.div_ceil(3) * 4);
    let mut bytes = text
        .get(..end)
        .and_then(|head| STANDARD.decode(head.as_bytes()).ok())
        .ok_or_else(|| nonsense("Reading from the guest", "it is not base64"))?;
    bytes.truncate(MOST);
    Ok(bytes)
}

fn nonsense(what: &str, why: &str) -> HypervisorError {
    failed(what, format!("the guest's agent gave an invalid answer ({why})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_into_fixed_structures() {
        let status: Status =
            parse("x", r#"{"return":{"exited":true,"exitcode":3,"out-data":"aGk=","new-field":[1]}}"#)
                .unwrap();
        assert!(status.exited);
        assert_eq!((status.exitcode, decode(&status.out_data).unwrap()), (Some(3), b"hi".to_vec()));
        for hostile in
            ["", "{}", "[]", r#"{"return":"x"}"#, r#"{"return":{"exited":"yes"}}"#, "\u{0}", "{\"return\":"]
        {
            assert!(parse::<Status>("x", hostile).is_err(), "{hostile}");
        }
    }

    #[test]
    fn output_is_cut_and_broken_base64_is_refused() {
        let long = STANDARD.encode(vec![b'x'; MOST * 3]);
        assert_eq!(decode(&long).unwrap().len(), MOST);
        for broken in ["a", "====", "ä€😀", "aGk"] {
            assert!(decode(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn requests_are_json_whatever_the_path() {
        let request =
            Request { execute: "guest-file-open", arguments: Some(OpenFile { path: "/a\"b\n", mode: "r" }) };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(text, r#"{"execute":"guest-file-open","arguments":{"path":"/a\"b\n","mode":"r"}}"#);
        assert_eq!(
            serde_json::to_string(&Request { execute: "guest-ping", arguments: None::<()> }).unwrap(),
            r#"{"execute":"guest-ping"}"#
        );
    }
}
