//! The commands of a shell script: enough of the grammar to tell the words that name programs from all others.
//!
//! Functions that run their own arguments (`check NAME COMMAND…`) are followed, and so are programs that start others
//! (`env`, `xargs` …). A word with an expansion in it names nothing that can be known here.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::str::Chars;

/// Words of the grammar after which a command begins.
const BEFORE_A_COMMAND: [&str; 9] = ["!", "do", "elif", "else", "if", "then", "until", "while", "{"];

/// Words of the grammar in the place of a command.
const NO_COMMAND: [&str; 4] = ["done", "esac", "fi", "}"];

/// A shell's built-in commands, in dash as in bash.
const BUILT_IN: [&str; 36] = [
    ".", ":", "[", "[[", "alias", "break", "cd", "continue", "echo", "eval", "exit", "export", "false",
    "getopts", "hash", "kill", "local", "printf", "pwd", "read", "readonly", "return", "set", "shift",
    "source", "test", "times", "trap", "true", "type", "ulimit", "umask", "unset", "wait", "shopt",
    "declare",
];

/// Programs and built-in commands whose arguments are another command, after their own options.
const STARTERS: [&str; 11] = [
    "builtin", "command", "env", "exec", "nohup", "setpriv", "setsid", "sudo", "timeout", "unshare", "xargs",
];

/// One simple command: its words, those with an expansion unknown, and its enclosing function.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Command {
    words: Vec<Word>,
    function: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Plain(String),
    /// `"$@"`.
    Arguments,
    /// With another expansion in it.
    Unknown,
}

/// Adds the program that a command names, and the one that this starts.
fn name(
    words: &[Word],
    functions: &BTreeSet<String>,
    wrappers: &BTreeMap<String, usize>,
    found: &mut BTreeSet<String>,
) {
    let Some((Word::Plain(first), rest)) = words.split_first() else { return };
    if let Some(skipped) = wrappers.get(first) {
        return name(rest.get(*skipped..).unwrap_or_default(), functions, wrappers, found);
    }
    if functions.contains(first) {
        return;
    }
    if !BUILT_IN.contains(&first.as_str()) && !["builtin", "command", "exec"].contains(&first.as_str()) {
        found.insert(first.clone());
    }
    if STARTERS.contains(&first.as_str()) {
        let own = |word: &Word| match word {
            Word::Plain(word) => {
                word.starts_with('-') || word.contains('=') || word.chars().all(|c| c.is_ascii_digit())
            }
            Word::Arguments => false,
            Word::Unknown => first == "env",
        };
        let at = rest.iter().position(|word| !own(word)).unwrap_or(rest.len());
        // `command -v NAME` only queries.
        if !rest.iter().take(at).any(|word| *word == Word::Plain("-v".to_owned())) {
            name(rest.get(at..).unwrap_or_default(), functions, wrappers, found);
        }
    }
    if first == "find" {
        let at = rest.iter().position(|word| matches!(word, Word::Plain(word) if word.starts_with("-exec")));
        name(at.and_then(|at| rest.get(at + 1..)).unwrap_or_default(), functions, wrappers, found);
    }
}

/// What was read from one script.
#[derive(Debug, Default)]
pub struct Script {
    /// The functions that it defines.
    pub functions: BTreeSet<String>,
    commands: Vec<Command>,
}

impl Script {
    /// Reads a script.
    pub fn read(text: &str) -> Self {
        let mut script = Self::default();
        Reader { rest: text.chars().peekable(), here: Vec::new() }.commands(None, &mut script, None);
        script
    }

    /// The programs that it starts; `functions` are those of scripts that it may have sourced.
    pub fn programs(&self, functions: &BTreeSet<String>) -> BTreeSet<String> {
        let wrappers = self.wrappers();
        let mut found = BTreeSet::new();
        self.commands.iter().for_each(|command| name(&command.words, functions, &wrappers, &mut found));
        found
    }

    /// Functions that run `"$@"`, and how many arguments of their own come first.
    fn wrappers(&self) -> BTreeMap<String, usize> {
        let mut wrappers = BTreeMap::new();
        for function in &self.functions {
            let body = || self.commands.iter().filter(|command| command.function.as_ref() == Some(function));
            let starts = |command: &&Command| {
                command
                    .words
                    .iter()
                    .find(|word| !matches!(word, Word::Plain(word) if STARTERS.contains(&word.as_str())))
                    == Some(&Word::Arguments)
            };
            if body().any(|command| starts(&command)) {
                let shifts = body().filter(|command| command.words == [Word::Plain("shift".to_owned())]);
                wrappers.insert(function.clone(), shifts.count());
            }
        }
        wrappers
    }
}

/// Reads on through a script.
struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    /// The ends of the here-documents that begin after this line.
    here: Vec<String>,
}

impl Reader<'_> {
    /// Reads commands up to `end`, which is not part of them, or to the end of the text.
    fn commands(&mut self, end: Option<char>, into: &mut Script, function: Option<&str>) {
        let mut function = function.map(str::to_owned);
        // The braces open inside of the function, and the `case` whose patterns come next.
        let (mut depth, mut patterns) = (0_usize, false);
        let mut cases: usize = 0;
        loop {
            let words = self.words(end, into, function.as_deref());
            let mut words = &words[..];
            if patterns && !matches!(words.first(), Some(Word::Plain(word)) if word == "esac") {
                match self.rest.next() {
                    None => return,
                    Some(')') => patterns = false,
                    Some(_) => {}
                }
                continue;
            }
            while let [Word::Plain(first), rest @ ..] = words {
                match first.as_str() {
                    "{" => depth += 1,
                    "}" => {
                        depth = depth.saturating_sub(1);
                        if depth == 0 && end.is_none() {
                            function = None;
                        }
                    }
                    "esac" => {
                        cases = cases.saturating_sub(1);
                        patterns = false;
                    }
                    _ => {}
                }
                let assignment =
                    first.split_once('=').is_some_and(|(name, _)| is_name(name.trim_end_matches('+')));
                if !assignment
                    && !BEFORE_A_COMMAND.contains(&first.as_str())
                    && !NO_COMMAND.contains(&first.as_str())
                {
                    break;
                }
                words = rest;
            }
            match words {
                [Word::Plain(first), ..] if first == "case" => {
                    cases += 1;
                    // The first pattern may stand on the same line.
                    patterns = self.rest.next_if(|c| *c == ')').is_none();
                    continue;
                }
                [Word::Plain(first), ..] if first == "for" => {}
                [] => {}
                words => {
                    into.commands.push(Command { words: words.to_vec(), function: function.clone() });
                }
            }
            match self.rest.next() {
                None => return,
                Some(c) if Some(c) == end => return,
                Some('(') => match words {
                    // `name()` defines a function; a parenthesis after nothing opens a subshell.
                    [Word::Plain(name)] if self.rest.peek() == Some(&')') => {
                        self.rest.next();
                        into.commands.pop();
                        into.functions.insert(name.clone());
                        let name = name.clone();
                        self.blank();
                        if self.rest.peek() == Some(&'(') {
                            self.rest.next();
                            self.commands(Some(')'), into, Some(&name));
                        } else {
                            function = Some(name);
                            depth = 0;
                        }
                    }
                    _ => self.commands(Some(')'), into, function.as_deref()),
                },
                Some(';') if self.rest.peek() == Some(&';') => {
                    self.rest.next();
                    patterns = cases > 0;
                }
                Some('\n') => self.here_documents(),
                Some(_) => {}
            }
        }
    }

    fn blank(&mut self) {
        while self.rest.next_if(|c| *c == ' ' || *c == '\t').is_some() {}
    }

    /// The words up to what separates commands, which stays.
    fn words(&mut self, end: Option<char>, into: &mut Script, function: Option<&str>) -> Vec<Word> {
        let mut words = Vec::new();
        loop {
            self.blank();
            match self.rest.peek() {
                None | Some('\n' | ';' | '&' | '|' | '(' | ')') => return words,
                Some(c) if Some(*c) == end => return words,
                Some('#') => while self.rest.next_if(|c| *c != '\n').is_some() {},
                Some('\\') => {
                    let mut ahead = self.rest.clone();
                    ahead.next();
                    if ahead.next() == Some('\n') {
                        self.rest = ahead;
                    } else {
                        words.push(self.word(end, into, function));
                    }
                }
                Some('<' | '>') => self.redirection(end, into, function),
                Some(_) => {
                    let word = self.word(end, into, function);
                    let number =
                        matches!(&word, Word::Plain(word) if word.chars().all(|c| c.is_ascii_digit()));
                    // `2>file`: the number belongs to the redirection.
                    if !(number && matches!(self.rest.peek(), Some('<' | '>'))) {
                        words.push(word);
                    }
                }
            }
        }
    }

    fn redirection(&mut self, end: Option<char>, into: &mut Script, function: Option<&str>) {
        let mut sign = String::new();
        while let Some(c) = self.rest.next_if(|c| ['<', '>', '&', '|', '-'].contains(c)) {
            sign.push(c);
        }
        self.blank();
        let target = self.word(end, into, function);
        if let (true, Word::Plain(end)) = (sign.starts_with("<<") && !sign.starts_with("<<<"), target) {
            self.here.push(end);
        }
    }

    /// Skips the documents that begin after the line that ended.
    fn here_documents(&mut self) {
        for end in std::mem::take(&mut self.here) {
            loop {
                let line: String = std::iter::from_fn(|| self.rest.next_if(|c| *c != '\n')).collect();
                if line.trim_start_matches('\t') == end || self.rest.next().is_none() {
                    break;
                }
            }
        }
    }

    /// One word; the commands inside its substitutions are read as well.
    fn word(&mut self, end: Option<char>, into: &mut Script, function: Option<&str>) -> Word {
        let (mut text, mut raw, mut known) = (String::new(), String::new(), true);
        while let Some(c) = self.rest.peek().copied() {
            if c.is_whitespace() || ";&|()<>".contains(c) || Some(c) == end {
                break;
            }
            self.rest.next();
            raw.push(c);
            match c {
                '\\' => text.extend(self.rest.next()),
                '\'' => text.extend(std::iter::from_fn(|| self.rest.next().filter(|c| *c != '\''))),
                '"' => known &= self.quoted(&mut text, &mut raw, into, function),
                '$' | '`' => {
                    known = false;
                    self.expansion(c, &mut raw, into, function);
                }
                c => text.push(c),
            }
        }
        match (raw.as_str(), known) {
            ("\"$@", _) => Word::Arguments,
            // Where an assignment's value is unknown its name still is known, and so is an option's.
            (_, false) if text.contains('=') || text.starts_with('-') => Word::Plain(text),
            (_, false) => Word::Unknown,
            (_, true) => Word::Plain(text),
        }
    }

    /// The rest of a double-quoted text. Whether all of it is known.
    fn quoted(
        &mut self,
        text: &mut String,
        raw: &mut String,
        into: &mut Script,
        function: Option<&str>,
    ) -> bool {
        let mut known = true;
        while let Some(c) = self.rest.next().filter(|c| *c != '"') {
            raw.push(c);
            match c {
                '\\' => text.extend(self.rest.next()),
                '$' | '`' => {
                    known = false;
                    self.expansion(c, raw, into, function);
                }
                c => text.push(c),
            }
        }
        known
    }

    /// Skips `$((…))`, of which the first parenthesis was read.
    fn arithmetic(&mut self) {
        let mut depth = 1;
        for c in self.rest.by_ref() {
            match c {
                '(' => depth += 1,
                ')' if depth == 1 => return,
                ')' => depth -= 1,
                _ => {}
            }
        }
    }

    /// What follows a dollar sign or a backquote.
    fn expansion(&mut self, sign: char, raw: &mut String, into: &mut Script, function: Option<&str>) {
        match (sign, self.rest.peek()) {
            ('`', _) => self.commands(Some('`'), into, function),
            (_, Some('(')) => {
                self.rest.next();
                if self.rest.peek() == Some(&'(') {
                    return self.arithmetic();
                }
                self.commands(Some(')'), into, function);
            }
            (_, Some('{')) => {
                let mut depth = 0;
                for c in self.rest.by_ref() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 1 => break,
                        '}' => depth -= 1,
                        _ => {}
                    }
                }
            }
            (_, Some('@' | '*' | '#' | '?' | '$' | '!' | '-')) => raw.extend(self.rest.next()),
            _ => while self.rest.next_if(|c| c.is_alphanumeric() || *c == '_').is_some() {},
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !text.starts_with(|c: char| c.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(script: &str) -> Vec<String> {
        let script = Script::read(script);
        script.programs(&script.functions).into_iter().collect()
    }

    #[test]
    fn a_program_is_named_where_a_command_begins() {
        assert_eq!(
            of("a; b && c || d | e & f\n! g\nif h; then i; elif j; then k; else l; fi"),
            "abcdefghijkl".split("").filter(|c| !c.is_empty()).collect::<Vec<_>>()
        );
        assert_eq!(
            of("for x in no nope; do a \"$x\"; done\nwhile b; do { c; }; done >no 2>nope"),
            ["a", "b", "c"]
        );
        assert_eq!(
            of("X=1 Y=\"$(a no)\" b no # nope\n(c)\necho `d` $((no + 1)) ${no:-nope} 'no; no'"),
            ["a", "b", "c", "d"]
        );
        assert_eq!(of("a no \\\n  nope <no >>nope\n\"$no\" nope"), ["a"]);
    }

    #[test]
    fn patterns_functions_and_documents_name_none() {
        assert_eq!(of("case $x in no | nope) a ;; *) b\n;; esac; c"), ["a", "b", "c"]);
        assert_eq!(of("case $x in\n  no)\n a\n ;;\n  nope) ;;\nesac\nb"), ["a", "b"]);
        assert_eq!(of("f() {\n  a\n}\ng() (\n  b\n)\nf; g"), ["a", "b"]);
        assert_eq!(of("a <<END\nno nope\nEND\nb <<-'X'\n\tno\n\tX\nc"), ["a", "b", "c"]);
    }

    #[test]
    fn what_starts_others_is_followed() {
        assert_eq!(
            of("env A=b \"C=$d\" $no a no | xargs -n 1 b no; exec c; command -v no; find . -exec d {} +"),
            ["a", "b", "c", "d", "env", "find", "xargs"]
        );
        let checks = "check() {\n name=$1\n shift\n if out=$(\"$@\" 2>&1); then ok; fi\n}\nok() { echo; }\ncheck 'no' a nope";
        assert_eq!(of(checks), ["a"]);
        assert_eq!(
            of("as_root() { if a; then \"$@\"; else sudo \"$@\"; fi; }\nas_root b no"),
            ["a", "b", "sudo"]
        );
    }
}
