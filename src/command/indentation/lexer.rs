//! The tokens of a text and where a reader sees them.

/// What begins a raw string.
const RAW_PREFIXES: [&[u8]; 5] = [b"R", b"LR", b"uR", b"UR", b"u8R"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    If,
    Else,
    For,
    While,
    Do,
    Switch,
    Case,
    Try,
    Catch,
    /// `return` and others with words behind them.
    Prefix,
    /// Any other word, a macro perhaps.
    Word,
    Literal,
    /// `(` or `[`.
    Open,
    /// `)` or `]`.
    Close,
    OpenBrace,
    CloseBrace,
    Semicolon,
    /// One colon: `::` is an operator.
    Colon,
    Operator,
    /// `#else` and the like, where conditions are not dealt with.
    Branch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: u32,
    /// Where it is seen, from 0.
    pub(super) column: u32,
    /// Where the first of its line is seen, be that a comment.
    pub(super) indent: u32,
}

impl Token {
    /// Behind what may be a macro: does a statement follow?
    pub(super) fn may_start_statement(&self) -> bool {
        matches!(
            self.kind,
            Kind::If
                | Kind::For
                | Kind::While
                | Kind::Do
                | Kind::Switch
                | Kind::Try
                | Kind::Prefix
                | Kind::Word
        )
    }

    /// Behind a `}` within a statement: does the statement go on?
    pub(super) fn continues_braces(&self) -> bool {
        matches!(
            self.kind,
            Kind::Semicolon | Kind::Colon | Kind::Operator | Kind::Open | Kind::Close
        )
    }
}

pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    /// Up to where the columns of this line are counted, and the column there.
    counted: (usize, u32),
    indent: Option<u32>,
    tab: u32,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], tab: u32) -> Self {
        Self { text, at: 0, line: 1, counted: (0, 0), indent: None, tab }
    }

    pub(super) fn next_token(&mut self) -> Option<Token> {
        loop {
            self.skip_blanks();
            let first = *self.text.get(self.at)?;
            let column = self.column();
            let is_first = self.indent.is_none();
            let indent = *self.indent.get_or_insert(column);
            let line = self.line;
            if first == b'#' && is_first {
                if self.skip_directive() {
                    return Some(Token { kind: Kind::Branch, line, column, indent });
                }
                continue;
            }
            if let Some(kind) = self.piece(first) {
                return Some(Token { kind, line, column, indent });
            }
        }
    }

    /// Passes over a token or comment; none for a comment.
    fn piece(&mut self, first: u8) -> Option<Kind> {
        let second = self.text.get(self.at + 1).copied();
        self.at += 1;
        Some(match (first, second) {
            (b'/', Some(b'/')) => {
                self.skip_line();
                return None;
            }
            (b'/', Some(b'*')) => {
                self.at += 1;
                self.skip_past(b"*/");
                return None;
            }
            (b'"' | b'\'', _) => {
                self.skip_string(first);
                Kind::Literal
            }
            (b'0'..=b'9', _) | (b'.', Some(b'0'..=b'9')) => {
                self.skip_number();
                Kind::Literal
            }
            (b'(' | b'[', _) => Kind::Open,
            (b')' | b']', _) => Kind::Close,
            (b'{', _) => Kind::OpenBrace,
            (b'}', _) => Kind::CloseBrace,
            (b';', _) => Kind::Semicolon,
            (b':', Some(b':')) => {
                self.at += 1;
                Kind::Operator
            }
            (b':', _) => Kind::Colon,
            _ if is_of_word(first) => self.word(),
            _ => Kind::Operator,
        })
    }

    fn word(&mut self) -> Kind {
        let start = self.at - 1;
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|&byte| !is_of_word(byte)).unwrap_or(rest.len());
        let word = &self.text[start..self.at];
        match word {
            b"if" => Kind::If,
            b"else" => Kind::Else,
            b"for" => Kind::For,
            b"while" => Kind::While,
            b"do" => Kind::Do,
            b"switch" => Kind::Switch,
            b"case" => Kind::Case,
            b"try" | b"__try" => Kind::Try,
            b"catch" | b"__catch" => Kind::Catch,
            b"return" | b"goto" | b"throw" | b"new" | b"delete" | b"co_return" | b"co_yield"
            | b"co_await" | b"asm" | b"__asm" | b"__asm__" | b"__extension__" | b"typename"
            | b"using" => Kind::Prefix,
            _ if self.text.get(self.at) == Some(&b'"') && RAW_PREFIXES.contains(&word) => {
                self.skip_raw_string();
                Kind::Literal
            }
            _ => Kind::Word,
        }
    }

    fn skip_number(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            let next = self.text.get(self.at + 1);
            let groups = byte == b'\'' && next.is_some_and(u8::is_ascii_alphanumeric);
            if !(is_of_word(byte) || byte == b'.' || groups) {
                return;
            }
            self.at += 1;
        }
    }

    /// To the quote, or to the end of the line where there is none.
    fn skip_string(&mut self, quote: u8) {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' => return,
                b'\\' => {
                    self.at += 1;
                    if self.text.get(self.at..self.at + 2) == Some(b"\r\n") {
                        self.at += 1;
                    }
                    if self.text.get(self.at) == Some(&b'\n') {
                        self.next_line();
                    } else {
                        self.at = self.text.len().min(self.at + 1);
                    }
                }
                _ => {
                    self.at += 1;
                    if byte == quote {
                        return;
                    }
                }
            }
        }
    }

    /// At the quote that opens it.
    fn skip_raw_string(&mut self) {
        self.at += 1;
        let rest = &self.text[self.at..];
        let Some(length) = rest.iter().take(17).position(|&byte| byte == b'(') else { return };
        let end = [b")", &rest[..length], b"\""].concat();
        self.skip_past(&end);
    }

    /// Behind the next `end`, or to the end of the text.
    fn skip_past(&mut self, end: &[u8]) {
        while let Some(&byte) = self.text.get(self.at) {
            if byte == b'\n' {
                self.next_line();
            } else if byte == end[0] && self.text[self.at..].starts_with(end) {
                self.at += end.len();
                return;
            } else {
                self.at += 1;
            }
        }
    }

    /// To the end of the line and of those that continue it.
    fn skip_line(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            if byte == b'\n' {
                let line = &self.text[..self.at];
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if !line.ends_with(b"\\") {
                    return;
                }
                self.next_line();
            } else {
                self.at += 1;
            }
        }
    }

    /// White space, line ends and continued lines.
    fn skip_blanks(&mut self) {
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' => self.next_line(),
                b'\\' if self.continues_line() => self.at += 1,
                _ if is_blank(byte) => self.at += 1,
                _ => return,
            }
        }
    }

    /// At a backslash: is it the line's last?
    fn continues_line(&self) -> bool {
        let rest = &self.text[self.at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    }

    /// At `#`. What a system header has is passed over as well. True for `#else` and the like.
    fn skip_directive(&mut self) -> bool {
        let start = self.at;
        self.at += 1;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'\n' => break,
                b'\\' if self.continues_line() => {
                    self.at += 1;
                    self.skip_to_line_end();
                    self.next_line();
                }
                _ if is_blank(byte) || byte == b'\\' => self.at += 1,
                _ => {
                    self.piece(byte);
                }
            }
        }
        let directive = &self.text[start..self.at];
        if is_system_marker(directive) {
            while self.at < self.text.len() && !self.is_marker_next() {
                self.at += 1;
                self.skip_to_line_end();
            }
        }
        directive[1..].trim_ascii_start().starts_with(b"el")
    }

    fn skip_to_line_end(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }

    /// At the end of a line: is the next one a line marker?
    fn is_marker_next(&self) -> bool {
        let rest = &self.text[self.at..];
        rest.starts_with(b"\n# ") && rest.get(3).is_some_and(u8::is_ascii_digit)
    }

    /// Over a line's end.
    fn next_line(&mut self) {
        self.at = self.text.len().min(self.at + 1);
        self.line = self.line.saturating_add(1);
        self.counted = (self.at, 0);
        self.indent = None;
    }

    /// Of the place reached. Every byte is counted once.
    fn column(&mut self) -> u32 {
        let (from, mut column) = self.counted;
        for &byte in &self.text[from..self.at] {
            column = match byte {
                b'\t' => (column / self.tab + 1).saturating_mul(self.tab),
                _ => column.saturating_add(1),
            };
        }
        self.counted = (self.at, column);
        column
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// `# 12 "file" 1 3`
fn is_system_marker(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"# ") else { return false };
    if !rest.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let quote = rest.iter().rposition(|&byte| byte == b'"');
    quote.is_some_and(|quote| rest[quote + 1..].contains(&b'3'))
}
