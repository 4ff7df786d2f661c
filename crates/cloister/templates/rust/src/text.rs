//! What makes no difference in a document. Nothing here knows of an enclave, so `cargo test` tests it.

/// The document with `\n` at the ends of its lines, and nothing after its last word.
pub fn normal(document: &str) -> String {
    document.replace("\r\n", "\n").trim_end_matches([' ', '\t', '\r', '\n']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_lines_make_no_difference() {
        assert_eq!(normal("one\r\ntwo\r\n"), "one\ntwo");
        assert_eq!(normal("one\ntwo"), "one\ntwo");
    }

    #[test]
    fn what_is_between_words_stays() {
        assert_eq!(normal("  one\n\n\ttwo \t\n\n"), "  one\n\n\ttwo");
        assert_eq!(normal(" \r\n\t"), "");
    }
}
