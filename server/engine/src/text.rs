//! Makes text from builders, guests and people harmless: what is stored in a log shows as plain text wherever it is shown.
//!
//! Escape sequences (ECMA-48), control characters, and the format characters that reorder or hide text (Unicode UAX #9
//! and what CVE-2021-42574 misused) are removed. Of a line that rewrote itself with carriage returns the last state
//! stays, as a terminal would show it.

/// The longest line kept, in characters.
const LINE_MAX: usize = 16 * 1024;

/// The text without anything that is not text.
pub(crate) fn clean(line: &str) -> String {
    let last = line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or("");
    let mut out = String::with_capacity(last.len().min(LINE_MAX));
    let mut chars = last.chars().peekable();
    let mut kept = 0_usize;
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut chars),
            '\t' => out.push_str("    "),
            c if c.is_control() || reorders_or_hides(c) => continue,
            c => out.push(c),
        }
        kept += 1;
        if kept == LINE_MAX {
            out.push('…');
            break;
        }
    }
    out
}

/// The text without escape sequences; other control characters stay, for a reader that still takes it apart.
pub(crate) fn strip_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            c => plain.push(c),
        }
    }
    plain
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// After ESC: a control sequence, a string, or intermediates and one final character.
fn skip_escape(chars: &mut Chars<'_>) {
    match chars.next() {
        Some('[') => skip_control_sequence(chars),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(chars),
        Some(' '..='/') => {
            while chars.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            chars.next();
        }
        _ => {}
    }
}

/// Parameters and intermediates up to the final character.
fn skip_control_sequence(chars: &mut Chars<'_>) {
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    chars.next_if(|c| matches!(c, '@'..='~'));
}

/// Up to BEL, ST or ESC \. An unfinished one takes the rest of the line with it, as on a terminal.
fn skip_string(chars: &mut Chars<'_>) {
    while let Some(c) = chars.next() {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

fn reorders_or_hides(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_text_goes_and_the_text_stays() {
        for (raw, plain) in [
            ("plain <b>text</b> & more", "plain <b>text</b> & more"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[38;2;1;2;3mx\u{1b}[?25l", "x"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{9b}2Jx", "x"),
            ("\u{1b}(Bx\u{1b}=y", "xy"),
            ("10%\r50%\r100%", "100%"),
            ("done\r", "done"),
            ("a\tb", "a    b"),
            ("a\u{0}\u{8}\u{7f}b", "ab"),
            ("user\u{202e}txt.exe\u{2066}", "usertxt.exe"),
            ("cut \u{1b}[", "cut "),
            ("\u{1b}", ""),
            ("Größe 12 µm — ✓", "Größe 12 µm — ✓"),
        ] {
            assert_eq!(clean(raw), plain, "{raw:?}");
        }
        assert_eq!(clean(&"x".repeat(LINE_MAX * 2)).chars().count(), LINE_MAX + 1);
    }

    #[test]
    fn escapes_go_and_other_controls_stay() {
        for (text, plain) in [
            ("\u{1b}[31;1merror:\u{1b}[0m x", "error: x"),
            ("\u{1b}]0;title\u{7}x \u{1b}]8;;u\u{1b}\\y", "x y"),
            ("\u{1b}c\u{1b}", ""),
            ("\u{1b}[", ""),
            ("täxt\ttab", "täxt\ttab"),
        ] {
            assert_eq!(strip_escapes(text), plain);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_not_text_survives_and_cleaning_again_changes_nothing(raw in any::<String>()) {
            let plain = clean(&raw);
            prop_assert!(plain.chars().all(|c| !c.is_control() && !reorders_or_hides(c)), "{plain:?}");
            prop_assert_eq!(clean(&plain), plain);
        }
    }
}
