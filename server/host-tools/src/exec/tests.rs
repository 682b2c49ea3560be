//! Child processes: argv, limits of time and output, and how they end.

use super::*;
use std::time::Instant;

fn shell(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

#[tokio::test]
async fn arguments_input_and_environment_arrive_as_given_and_nothing_else() {
    let odd = "a b'\"$(id)\n;`x`";
    let out = Program::new("sh")
        .args(["-c", "printf '%s|' \"$1\"; cat; env | cut -d= -f1 | sort | tr '\\n' ' '", "sh", odd])
        .env("GIVEN", "1")
        .input("typed|")
        .run()
        .await
        .unwrap();
    let text = out.stdout.text();
    let names = text.strip_prefix(&format!("{odd}|typed|")).unwrap();
    let names: Vec<&str> =
        names.split_whitespace().filter(|n| !matches!(*n, "_" | "PWD" | "SHLVL")).collect();
    assert_eq!(names, ["GIVEN", "HOME", "LANG", "PATH"]);
}

#[tokio::test]
async fn programs_have_the_limit_of_open_files_that_this_process_began_with() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
    for _ in 0..2 {
        assert_eq!(raise_open_files(), Ok(maximum));
        assert_eq!(getrlimit(Resource::Nofile).current, maximum, "ours is raised");
        // It checks once it has been given input, which comes after its start.
        let out = shell("read -r go && ulimit -Sn && ulimit -Hn").input("go\n").run().await.unwrap();
        let hard = maximum.map_or_else(|| "unlimited".to_owned(), |files| files.to_string());
        assert_eq!(out.stdout.text().trim(), format!("256\n{hard}"));
    }
}

#[tokio::test]
async fn a_failure_tells_the_code_and_the_last_words() {
    let error = shell("echo first >&2; echo last words >&2; exit 3").run().await.unwrap_err().to_string();
    assert!(error.contains("exit code 3") && error.contains("last words"), "{error}");
    let killed = shell("kill -9 $$").run().await.unwrap_err().to_string();
    assert!(killed.contains("signal 9"), "{killed}");
    assert_eq!(shell("exit 3").accept(&[0, 3]).run().await.unwrap().code, 3);
    let missing = Program::new("no-such-program-here").run().await.unwrap_err();
    assert!(matches!(missing, ExecError::Missing { .. }));
    assert!(ExecError::Missing { program: "qemu-img" }.to_string().contains("qemu-utils"));
}

#[tokio::test]
async fn endless_output_is_kept_at_both_ends_only() {
    let out =
        shell("echo BEGIN; head -c 3000000 /dev/zero | tr '\\0' x; echo END").keep(1000).run().await.unwrap();
    let text = out.stdout.text();
    assert!(text.starts_with("BEGIN") && text.trim_end().ends_with("END") && text.len() < 1100);
    assert_eq!(out.stdout.dropped, 3_000_010 - 1000);
}

#[tokio::test]
async fn lines_come_whole_and_are_cut_where_they_never_end() {
    let mut lines = Vec::new();
    shell("printf 'a\\r\\nb\\n\\n' >&2; head -c 200000 /dev/zero | tr '\\0' y >&2; printf '\\nend' >&2")
        .stream(&mut |line: &[u8]| lines.push(line.to_vec()), &CancellationToken::new())
        .await
        .unwrap();
    let short: Vec<&[u8]> = lines.iter().map(|l| l.get(..3).unwrap_or(l)).collect();
    assert_eq!(short, [&b"a"[..], b"b", b"", b"yyy", b"end"]);
    assert_eq!(lines[3].len(), LINE_MAX);
}

/// The grandchild would hold the pipe open and survive if only the child were killed.
#[tokio::test]
async fn the_limit_ends_the_whole_process_group() {
    let began = Instant::now();
    let error =
        shell("sleep 600 & echo $! ; wait").limit(Duration::from_millis(200)).run().await.unwrap_err();
    assert!(matches!(error, ExecError::TimedOut { .. }));
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn cancelling_lets_the_program_clean_up() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("cleaned");
    let cancel = CancellationToken::new();
    let asked = cancel.clone();
    // It prints before it cleans up, as many programs do: having no reader must not kill it.
    let script = "trap 'echo stopping >&2; echo yes >\"$0\"; exit 1' TERM; echo ready >&2; while :; do sleep 0.01; done";
    let error = Program::new("sh")
        .args([std::ffi::OsStr::new("-c"), script.as_ref(), mark.as_os_str()])
        .stream(
            &mut |line: &[u8]| {
                if line == b"ready" {
                    asked.cancel();
                }
            },
            &cancel,
        )
        .await
        .unwrap_err();
    assert!(matches!(error, ExecError::Cancelled { .. }));
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "yes\n");
}

/// `kill -0` succeeds as long as the process exists; the pid is as reported by the child.
#[tokio::test]
async fn dropping_the_future_leaves_nothing_running() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    Program::new("mkfifo").arg(&fifo).run().await.unwrap();
    let holder = Program::new("sh")
        .args([
            std::ffi::OsStr::new("-c"),
            "exec 3>\"$0\"; echo x >&3; sleep 600 & wait".as_ref(),
            fifo.as_os_str(),
        ])
        .limit(Duration::from_secs(600));
    let task = tokio::spawn(holder.run());
    let mut pipe = tokio::fs::File::open(&fifo).await.unwrap();
    let mut byte = [0_u8; 2];
    pipe.read_exact(&mut byte).await.unwrap();
    task.abort();
    // The end of file comes only when every process that holds the writing end is gone.
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), pipe.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());
}
