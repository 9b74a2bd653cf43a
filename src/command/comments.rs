//! The comments of a text that travels with its macros.
//!
//! Comments that may matter to a compiler stay (`/* fall through */`). The others are up to half
//! of the text, and of the poorly compressed kind; and a `#include` in one would look to a server
//! like a directive. Lines and columns of everything else are kept.

/// What begins a raw string.
const RAW_PREFIXES: [&[u8]; 5] = [b"R", b"LR", b"uR", b"UR", b"u8R"];

/// What is done to comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that end their line are removed, unless gcc could look for them: all of its patterns
    /// for a fall through have `fall` in them.
    Harmless,
    /// Those of system headers that end their line are removed.
    SystemHeaders,
    /// Those of system headers that fill their lines are removed: clang shows lines of the text.
    WholeLinesOfSystemHeaders,
    /// In all others, too, what could be taken for a directive is blanked.
    Everywhere,
}

/// Treats the comments of `text` as `scope` says. From where it is not certain what is a comment
/// (raw strings, unpaired quotes, spliced slashes) the rest of the text stays as it is.
pub(super) fn thin_out(text: &[u8], scope: Scope) -> Vec<u8> {
    let mut thinned = Vec::with_capacity(text.len());
    let mut lexer = Lexer { text, at: 0 };
    let mut in_system_header = false;
    let mut copied = 0;
    while let Some(piece) = lexer.next_piece() {
        match piece {
            Piece::Marker { system } => in_system_header = system,
            // Only conditions may use it, and gcc has dealt with them.
            Piece::Question { start, end } if scope != Scope::WholeLinesOfSystemHeaders => {
                thinned.extend_from_slice(&text[copied..start]);
                copied = end;
            }
            Piece::Question { .. } => {}
            Piece::Comment { start, end } => {
                let comment = &text[start..end];
                let ends_line = ends_line(&text[end..]);
                let starts_line = starts_line(&text[..start]);
                let goes = in_system_header || (scope == Scope::Harmless && !may_matter(comment));
                // A backslash would come to stand at the end of its line.
                let removed = goes
                    && ends_line
                    && (starts_line || scope != Scope::WholeLinesOfSystemHeaders)
                    && !text[..start].trim_ascii_end().ends_with(b"\\")
                    && !text[..start].trim_ascii_end().ends_with(b"?\x3f/");
                if removed {
                    thinned.extend_from_slice(&text[copied..start]);
                    // A macro's definition goes on behind it.
                    let lines = comment.iter().filter(|&&byte| byte == b'\n');
                    thinned.extend(lines);
                    copied = end;
                } else if scope == Scope::Everywhere {
                    thinned.extend_from_slice(&text[copied..start]);
                    thinned.extend(innocent(comment));
                    copied = end;
                }
            }
        }
    }
    thinned.extend_from_slice(&text[copied..]);
    thinned
}

/// The text without what comments say, as far as it is certain what they are.
pub(crate) fn without_comments(text: &[u8]) -> Vec<u8> {
    thin_out(text, Scope::Everywhere)
}

/// gcc warns of a comment within a comment, of characters that change the direction of writing, and
/// of escapes; the preprocessor leaves that to the compiler.
fn may_matter(comment: &[u8]) -> bool {
    comment.iter().any(|&byte| byte >= 0x80 || byte == b'\\')
        || comment[2..].windows(2).any(|pair| pair == b"/*")
        || comment.windows(3).any(|three| three == b"?\x3f/")
        || comment.windows(4).any(|word| word.eq_ignore_ascii_case(b"fall"))
}

/// What no directive can be made of; a full stop could begin one of the assembler's.
fn innocent(comment: &[u8]) -> impl Iterator<Item = u8> {
    comment.iter().enumerate().map(|(at, &byte)| match byte {
        b'#' | b'%' | b'?' | b'_' | b'.' => b' ',
        b'G' if comment[at..].starts_with(b"GCC") => b' ',
        byte => byte,
    })
}

fn ends_line(after: &[u8]) -> bool {
    after.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')).is_none_or(|&b| b == b'\n')
}

fn starts_line(before: &[u8]) -> bool {
    before.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t')).is_none_or(|&b| b == b'\n')
}

/// What matters of a text.
enum Piece {
    /// A line marker: a system header begins or goes on, or something else.
    Marker { system: bool },
    /// From its first byte to behind its last; the end of line after `//` is not in it.
    Comment { start: usize, end: usize },
    /// The definition, without its end of line, of a macro that asks whether a file exists.
    Question { start: usize, end: usize },
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    /// None at the end, and where it is no longer certain what is a comment.
    fn next_piece(&mut self) -> Option<Piece> {
        loop {
            let byte = *self.text.get(self.at)?;
            let next = self.text.get(self.at + 1).copied().unwrap_or(b'\n');
            match byte {
                b'/' if next == b'*' => return self.block_comment(),
                b'/' if next == b'/' => return self.line_comment(),
                b'/' if next == b'\\' => return None,
                b'"' | b'\'' => self.skip_literal(byte)?,
                b'#' if self.at == 0 || self.text[self.at - 1] == b'\n' => {
                    if let Some(directive) = self.directive() {
                        return Some(directive);
                    }
                }
                byte if is_name_byte(byte) => self.skip_word()?,
                _ => self.at += 1,
            }
        }
    }

    fn block_comment(&mut self) -> Option<Piece> {
        let start = self.at;
        let mut at = start + 2;
        loop {
            at += self.text[at..].iter().position(|&byte| byte == b'*')? + 1;
            match *self.text.get(at)? {
                b'/' => break,
                // The slash may stand in the next line.
                b'\\' if ends_line(&self.text[at + 1..]) => return None,
                _ => {}
            }
        }
        self.at = at + 1;
        Some(Piece::Comment { start, end: self.at })
    }

    /// One that a backslash joins with the next line may end elsewhere than it seems.
    fn line_comment(&mut self) -> Option<Piece> {
        let start = self.at;
        let len = self.line_len();
        let line = self.text[start..start + len].trim_ascii_end();
        if line.ends_with(b"\\") || line.ends_with(b"?\x3f/") {
            return None;
        }
        self.at = start + len;
        Some(Piece::Comment { start, end: self.at })
    }

    fn line_len(&self) -> usize {
        let rest = &self.text[self.at..];
        rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
    }

    fn skip_literal(&mut self, quote: u8) -> Option<()> {
        let rest = &self.text[self.at..];
        let mut at = 1;
        while let Some(&byte) = rest.get(at) {
            match byte {
                b'\\' => {
                    let escaped = rest.get(at + 1).copied();
                    let splices = |from: usize| ends_line(rest.get(from..).unwrap_or_default());
                    // The literal goes on in the next line; where that is in the middle of an
                    // escape, or not what it seems, nothing is certain.
                    let is_odd = match escaped {
                        Some(b'\n') => false,
                        Some(b'\\') => splices(at + 2),
                        _ => splices(at + 1),
                    };
                    if is_odd {
                        return None;
                    }
                    at += 2;
                }
                b'?' if rest[at..].starts_with(b"?\x3f/") => return None,
                b'\n' => break,
                byte if byte == quote => {
                    self.at += at + 1;
                    return Some(());
                }
                _ => at += 1,
            }
        }
        // An apostrophe in text that is no code, as after `#error`.
        let line = &rest[..at.min(rest.len())];
        let opens = |pair: &[u8]| pair == b"/*" || pair == b"//";
        if line.windows(2).any(opens) || line.contains(&b'\n') {
            return None;
        }
        self.at += line.len();
        Some(())
    }

    /// Names and numbers, so that the `'` of 1'000 opens nothing.
    fn skip_word(&mut self) -> Option<()> {
        let start = self.at;
        let is_number = self.text[start].is_ascii_digit();
        while let Some(&byte) = self.text.get(self.at) {
            let next = self.text.get(self.at + 1);
            let separates = is_number && byte == b'\'' && next.is_some_and(|&b| is_name_byte(b));
            if !is_name_byte(byte) && !separates {
                break;
            }
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        // A longer name before a string is a macro: `LUA_LDIR"?.lua"`.
        let is_raw = self.text.get(self.at) == Some(&b'"') && RAW_PREFIXES.contains(&word);
        (!is_raw).then_some(())
    }

    /// `# 12 "file" 1 3 4` and definitions of some macros; the whole line is passed over.
    fn directive(&mut self) -> Option<Piece> {
        let line = &self.text[self.at..self.at + self.line_len()];
        if line.starts_with(b"#define ") && asks(line) && !line.contains(&b'\\') {
            let start = self.at;
            self.at += line.len();
            return Some(Piece::Question { start, end: self.at });
        }
        let is_marker = line.get(1) == Some(&b' ') && line.get(2).is_some_and(u8::is_ascii_digit);
        if !is_marker {
            self.at += 1;
            return None;
        }
        self.at += line.len();
        let flags = line.iter().rposition(|&byte| byte == b'"').map(|end| &line[end + 1..])?;
        Some(Piece::Marker { system: flags.contains(&b'3') })
    }
}

/// The beginnings of `__has_include`, `__has_include_next` and `__has_embed`.
fn asks(line: &[u8]) -> bool {
    line.windows(b"__has_e".len()).any(|part| part == b"__has_e" || part == b"__has_i")
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thinned(text: &str, scope: Scope) -> String {
        String::from_utf8(thin_out(text.as_bytes(), scope)).unwrap()
    }

    #[test]
    fn system_headers_lose_the_comments_that_end_a_line() {
        let text = "# 1 \"s.h\" 1 3 4\n/* a\n b */\nint x; // y\nint /* z */ y; /* u */\n# 2 \"a.c\" 2\n/* c */\n";
        assert_eq!(
            thinned(text, Scope::SystemHeaders),
            "# 1 \"s.h\" 1 3 4\n\n\nint x; \nint /* z */ y; \n# 2 \"a.c\" 2\n/* c */\n"
        );
        assert_eq!(
            thinned(text, Scope::WholeLinesOfSystemHeaders),
            "# 1 \"s.h\" 1 3 4\n\n\nint x; // y\nint /* z */ y; /* u */\n# 2 \"a.c\" 2\n/* c */\n"
        );
    }

    #[test]
    fn comments_that_gcc_looks_for_stay() {
        let text = "# 1 \"a.c\"\n/* a\n b */\nint x; // y\ncase 1: /* FALLTHRU */\n\
            case 2: // else, Fall\n/* a /* b */\n// \u{202e}\n// \\u202e\n// ?\x3f/ c\n#define A \\ // c\nint /* z */ y; /* u */\n#define B \\ /* v */\n";
        let expected = "# 1 \"a.c\"\n\n\nint x; \ncase 1: /* FALLTHRU */\n\
            case 2: // else, Fall\n/* a /* b */\n// \u{202e}\n// \\u202e\n// ?\x3f/ c\n#define A \\ // c\nint /* z */ y; \n#define B \\ /* v */\n";
        assert_eq!(thinned(text, Scope::Harmless), expected);
        assert_eq!(thinned(text, Scope::SystemHeaders), text);
    }

    #[test]
    fn what_only_looks_like_a_comment_stays() {
        for code in [
            "s = \"/* no */\"; /* yes */",
            "c = '\"'; d = '/*'; /* yes */",
            "c = '\\''; d = \"\\\"/*\"; /* yes */",
            "n = 1'000'000; /* yes */",
            "#error don't\n/* yes */",
            "u8\"/*\" L'\"' /* yes */",
            "a / b /* yes */",
            "DIR\"/*\" 1R\"?\" /* yes */",
            "s = \"\\\n/* no */ \\\n//\"; /* yes */",
        ] {
            let text = format!("# 1 \"s.h\" 3\n{code}\n");
            assert_eq!(thinned(&text, Scope::SystemHeaders), text.replace("/* yes */", ""));
        }
    }

    #[test]
    fn where_it_is_not_certain_nothing_is_touched() {
        for code in [
            "R\"x(/* no */)x\"; /* no */",
            "LR\"(\")\" /* no */",
            "u8R\"(\")\" /* no */",
            "/\\\n* a */ /* no */",
            "/* a *\\\n/ /* no */",
            "// a \\\n/* no */",
            "// a ?\x3f/\n/* no */",
            "don't /* no */",
            "\"a\\\nb /* no */",
            "\"a\\\\\nb\" /* no */",
            "\"a\\ \nb\" /* no */",
            "don't \\\n/* no */",
            "/* no",
        ] {
            let text = format!("# 1 \"s.h\" 3\n{code}\n");
            assert_eq!(thinned(&text, Scope::Everywhere), text);
        }
    }

    #[test]
    fn macros_that_ask_for_files_are_left_out_unless_conditions_are_to_come() {
        let text =
            "int a;\n#define A __has_include(<x>)\n#define B 1\n\"\\n#define C __has_include\"\n";
        let expected = text.replace("#define A __has_include(<x>)", "");
        assert_eq!(thinned(text, Scope::SystemHeaders), expected);
        assert_eq!(thinned(text, Scope::WholeLinesOfSystemHeaders), text);
    }

    #[test]
    fn comments_lose_what_looks_like_a_directive() {
        let text = "int a; /* #include \"b\" */\n// %:import .incbin ?\x3f=if\nint c; /* GCC FALL THROUGH */";
        let expected =
            "int a; /*  include \"b\" */\n//  :import  incbin   =if\nint c; /*  CC FALL THROUGH */";
        assert_eq!(thinned(text, Scope::Everywhere), expected);
    }
}
