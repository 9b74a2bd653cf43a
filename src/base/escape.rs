//! Bytes from the network as text that is safe in logs, terminals and tables.

use std::fmt::Write;

/// Longest text that [`escape`] returns, in bytes; a DNS label is at most 63 and a TXT string 255.
pub(crate) const MAX_ESCAPED: usize = 1024;

/// `bytes` as printable text on one line: control and invisible characters, those that change the
/// direction of writing, and what is not UTF-8 become `\u{..}` or `\x..`; a backslash is doubled,
/// so that different bytes never become the same text.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if is_unsafe(c) => text.extend(c.escape_unicode()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("a String takes everything");
        }
        if text.len() > MAX_ESCAPED {
            text.truncate(text.floor_char_boundary(MAX_ESCAPED));
            break;
        }
    }
    text
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_terminal_obeys() {
        let cases: [(&[u8], &str); 7] = [
            (b"distcc@h1 (2)", "distcc@h1 (2)"),
            ("b\u{fc}ro".as_bytes(), "b\u{fc}ro"),
            (b"\x1b[31mred\n", "\\u{1b}[31mred\\u{a}"),
            ("a\u{202e}b\u{9b}c".as_bytes(), "a\\u{202e}b\\u{9b}c"),
            (b"\xff\xfeok", "\\xff\\xfeok"),
            (b"a\\nb", "a\\\\nb"),
            (b"", ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(escape(bytes), text);
        }
    }

    #[test]
    fn is_bounded() {
        assert!(escape(&vec![0x80; 100_000]).len() <= MAX_ESCAPED);
        assert!(escape("\u{fc}".repeat(100_000).as_bytes()).len() <= MAX_ESCAPED);
    }
}
