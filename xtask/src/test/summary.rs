//! The closing lines of the test runners.
//!
//! A runner that succeeded without running a test has failed: the reason is always that it did not find them.

use anyhow::{Result, bail};

use super::part::Verdict;

/// nextest: `Summary [ 12.3s] 45 tests run: 45 passed, 0 skipped`.
pub fn of_nextest(log: &str, outcome: Result<()>) -> Result<Verdict> {
    judge(lines(log, |line| line.starts_with("Summary [")), &["0 tests run"], outcome)
}

/// cargo test: `test result: ok. 45 passed; 0 failed; …`, one per test binary; many have no test.
pub fn of_cargo_test(log: &str, outcome: Result<()>) -> Result<Verdict> {
    judge(
        lines(log, |line| line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed;")),
        &[],
        outcome,
    )
}

/// Our scripts: `45 passed, 0 failed`.
pub fn of_counts(log: &str, outcome: Result<()>) -> Result<Verdict> {
    // A script may count its parts first; the last line is the sum.
    let mut counts = lines(log, |line| line.contains(" passed, ") && line.contains(" failed"));
    judge(counts.pop().into_iter().collect(), &["0 passed"], outcome)
}

/// Playwright: `45 passed (1.2m)`, with lines of their own for `flaky` and `skipped`.
pub fn of_playwright(log: &str, outcome: Result<()>) -> Result<Verdict> {
    let counts = |line: &str| {
        let mut words = line.split_whitespace();
        let number = words.next().is_some_and(|word| word.parse::<u32>().is_ok());
        number && matches!(words.next(), Some("passed" | "failed" | "flaky" | "skipped"))
    };
    judge(lines(log, counts), &["0 passed"], outcome)
}

fn lines(log: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    log.lines().map(str::trim).filter(|line| wanted(line)).map(str::to_owned).collect()
}

fn judge(lines: Vec<String>, nothing: &[&str], outcome: Result<()>) -> Result<Verdict> {
    match outcome {
        Err(error) if lines.is_empty() => Err(error),
        Err(error) => Err(error.context(lines.join("; "))),
        Ok(())
            if lines.is_empty()
                || lines.iter().any(|line| {
                    nothing.iter().any(|none| line.starts_with(none) || line.contains(&format!("] {none}")))
                }) =>
        {
            bail!("the runner ended without running a test")
        }
        Ok(()) => Ok(Verdict::Passed(lines)),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn summary(verdict: Result<Verdict>) -> Vec<String> {
        match verdict.unwrap() {
            Verdict::Passed(lines) => lines,
            Verdict::Skipped(why) => panic!("skipped: {why}"),
        }
    }

    #[test]
    fn finds_each_runners_own_words() {
        let log = "------------\n     Summary [   1.2s] 45 tests run: 45 passed, 1 skipped\n";
        assert_eq!(
            summary(of_nextest(log, Ok(()))),
            ["Summary [   1.2s] 45 tests run: 45 passed, 1 skipped"]
        );
        let log = "test result: ok. 0 passed; 0 failed; 0 ignored\ntest result: ok. 4 passed; 0 failed; 0 ignored\n";
        assert_eq!(summary(of_cargo_test(log, Ok(()))), ["test result: ok. 4 passed; 0 failed; 0 ignored"]);
        let log = "Running 12 tests using 1 worker\n  ok 1 passed thing\n  11 passed (1.2m)\n  1 skipped\n";
        assert_eq!(summary(of_playwright(log, Ok(()))), ["11 passed (1.2m)", "1 skipped"]);
        assert_eq!(summary(of_counts("x\n10 passed, 0 failed\n", Ok(()))), ["10 passed, 0 failed"]);
    }

    #[test]
    fn a_runner_that_ran_nothing_has_failed() {
        assert!(of_nextest("     Summary [   0.0s] 0 tests run: 0 passed, 9 skipped\n", Ok(())).is_err());
        assert!(of_counts("0 passed, 0 failed\n", Ok(())).is_err());
        assert!(of_playwright("", Ok(())).is_err());
        assert!(of_cargo_test("test result: ok. 0 passed; 0 failed; 3 ignored\n", Ok(())).is_err());
    }

    #[test]
    fn a_failure_keeps_its_counts() {
        let error = of_counts("7 passed, 2 failed\n", Err(anyhow!("exit status 1"))).unwrap_err();
        assert_eq!(format!("{error:#}"), "7 passed, 2 failed: exit status 1");
    }
}
