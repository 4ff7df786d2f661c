use crate::ClientError;

/// Cuts the pieces of a stream of events into lines, each bounded.
#[derive(Default)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    /// The lines that this piece completes, without their ends; empty ones are left out.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, ClientError> {
        let mut complete = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if part.len() > MAX_LINE - self.0.len() {
                return Err(ClientError::ResponseTooLarge { limit: MAX_LINE });
            }
            self.0.extend_from_slice(part);
            if self.0.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.0);
                if !line.trim_ascii().is_empty() {
                    complete.push(line);
                }
            }
        }
        Ok(complete)
    }
}

/// Longest line, in bytes: the last one of a deploy has the component's WIT.
const MAX_LINE: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_across_pieces() {
        let mut lines = Lines::default();
        assert!(lines.push(b"{\"a\"").unwrap().is_empty());
        assert_eq!(lines.push(b":1}\n\n{}\n{").unwrap(), [b"{\"a\":1}\n".to_vec(), b"{}\n".to_vec()]);
        assert_eq!(lines.push(b"}\n").unwrap(), [b"{}\n".to_vec()]);
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut lines = Lines::default();
        const PIECE: usize = 64 << 10;
        let piece = vec![b'x'; PIECE];
        let refused = (0..=MAX_LINE / PIECE).find_map(|_| lines.push(&piece).err());
        assert!(matches!(refused, Some(ClientError::ResponseTooLarge { limit: MAX_LINE })));
    }
}
