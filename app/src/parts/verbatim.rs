//! Text in the two elements whose content Leptos writes as it is: `<title>` and `<textarea>`. Both hold text with
//! character references (WHATWG HTML §13.1.2.3, “escapable raw text”), so that escaping is right there, and needed.

/// The text with everything escaped that could end the element or begin a character reference.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_ends_the_element_and_references_stay_text() {
        assert_eq!(escape("</textarea><b>&lt;"), "&lt;/textarea&gt;&lt;b&gt;&amp;lt;");
    }
}
