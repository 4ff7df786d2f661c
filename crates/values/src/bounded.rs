use std::fmt;

/// Text that takes no more than a number of bytes. What would exceed it is cut at a character and the write fails,
/// so that whatever is writing stops early.
pub(crate) struct BoundedText {
    text: String,
    limit: usize,
}

impl BoundedText {
    pub(crate) fn new(limit: usize) -> Self {
        Self { text: String::new(), limit }
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }
}

impl fmt::Write for BoundedText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.limit.saturating_sub(self.text.len());
        if part.len() <= room {
            self.text.push_str(part);
            return Ok(());
        }
        self.text.push_str(&part[..part.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn text_ends_at_the_limit_and_at_a_character() {
        let mut text = BoundedText::new(4);
        assert_eq!(text.write_str("abc"), Ok(()));
        assert_eq!(text.write_str("ä"), Err(fmt::Error));
        assert_eq!(text.write_str("d"), Ok(()));
        assert_eq!(text.write_str("e"), Err(fmt::Error));
        assert_eq!(text.into_string(), "abcd");
    }
}
