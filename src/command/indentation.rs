//! Indentation that gcc would warn of, `-Wmisleading-indentation`.
//!
//! gcc reads the file that a line marker names to see how far its lines are indented, and says
//! nothing where there is no such file, as on a server. So the client looks for itself, by gcc's
//! rules where they need the text alone; it takes every name for what it seems, a macro's too, and
//! so finds some places where gcc would be silent.

mod lexer;

use lexer::{Kind, Lexer, Token};

/// True if gcc with these options might warn of the indentation of this text, whose lines are those
/// of the source.
///
/// Parts that a line marker calls a system header's are left out, as gcc does.
pub(crate) fn may_mislead(text: &[u8], options: &[Vec<u8>]) -> bool {
    is_looked_at(options) && misleads(Lexer::new(text, tab_stop(options)))
}

fn is_looked_at(options: &[Vec<u8>]) -> bool {
    let mut by_all = false;
    let mut by_name = None;
    for word in options {
        match word.as_slice() {
            b"-w" => return false,
            b"-Wall" | b"-Werror=all" => by_all = true,
            b"-Wno-all" => by_all = false,
            b"-Wmisleading-indentation" | b"-Werror=misleading-indentation" => {
                by_name = Some(true);
            }
            b"-Wno-misleading-indentation" => by_name = Some(false),
            _ => {}
        }
    }
    by_name.unwrap_or(by_all)
}

/// How far apart tab stops are.
fn tab_stop(options: &[Vec<u8>]) -> u32 {
    let said = options.iter().filter_map(|word| word.strip_prefix(b"-ftabstop=")).next_back();
    let number = said.and_then(|number| str::from_utf8(number).ok()?.parse().ok());
    number.filter(|number| (1..=100).contains(number)).unwrap_or(8)
}

fn misleads(mut tokens: Lexer<'_>) -> bool {
    let mut parser = Parser::default();
    while let Some(token) = tokens.next_token() {
        parser.take(&token);
        if parser.misleads {
            return true;
        }
    }
    false
}

/// What a statement stands in, or is.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// An open `{`: statements.
    Brace,
    /// An open `(` or `[`: no statements, but for those of a `{` in it.
    Paren,
    /// A statement that ends with `;`, or a declaration or what seems so.
    Simple(Progress),
    /// `if`, `else`, `for`, `while`.
    Guard { keyword: Token, stage: Stage, body: Option<Token> },
    /// `do`.
    Do(Stage),
    /// `switch`, `catch`, `try`: what gcc does not judge.
    Other { is_try: bool, stage: Stage },
}

/// How much of a simple statement was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// One name, which may be a label.
    Name,
    /// A name and parentheses.
    Call,
    /// A `case` without its colon.
    Case,
    /// A closed brace, which may be the end.
    Braced,
    More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Condition,
    Body,
    /// The `while` of a `do`, up to its `;`.
    Tail,
}

#[derive(Debug, Default)]
struct Parser {
    frames: Vec<Frame>,
    /// The statement on top, if it is a part of another, is complete.
    ended: bool,
    /// A statement was found that looks guarded, and is not.
    misleads: bool,
}

impl Parser {
    fn take(&mut self, token: &Token) {
        if token.kind == Kind::Branch {
            // Which of two bodies is compiled is not known.
            let mut inner = self.frames.iter().rev();
            self.misleads |= inner
                .find(|frame| !matches!(frame, Frame::Simple(_) | Frame::Paren))
                .is_some_and(|frame| matches!(frame, Frame::Guard { body: Some(_), .. }));
            return;
        }
        if self.ended && self.end_statements(token) {
            return;
        }
        match self.frames.last_mut() {
            Some(Frame::Paren) => self.in_parens(token),
            Some(Frame::Simple(_)) => self.in_simple(token),
            Some(
                Frame::Guard { stage: stage @ Stage::Condition, .. }
                | Frame::Other { stage: stage @ Stage::Condition, .. },
            ) => match token.kind {
                Kind::Open => self.frames.push(Frame::Paren),
                // `constexpr`, or what a macro stands for.
                Kind::Word | Kind::Operator => {}
                // `consteval {`, and what is no condition.
                _ => {
                    *stage = Stage::Body;
                    self.start(token);
                }
            },
            Some(Frame::Do(Stage::Tail)) => match token.kind {
                Kind::Open => self.frames.push(Frame::Paren),
                Kind::Semicolon => {
                    self.frames.pop();
                    self.ended = true;
                }
                Kind::CloseBrace => self.close_brace(),
                _ => {}
            },
            Some(Frame::Brace | Frame::Guard { .. } | Frame::Do(_) | Frame::Other { .. })
            | None => self.start(token),
        }
    }

    /// Ends what ends with the statement before this token; true if that takes the token.
    fn end_statements(&mut self, next: &Token) -> bool {
        self.ended = false;
        while let Some(frame) = self.frames.last_mut() {
            match frame {
                Frame::Guard { keyword, body, .. } => {
                    let (guard, body) = (*keyword, *body);
                    if next.kind == Kind::Else {
                        if guard.kind == Kind::If {
                            *frame =
                                Frame::Guard { keyword: *next, stage: Stage::Body, body: None };
                            return true;
                        }
                    } else if body.is_some_and(|body| looks_guarded(&guard, &body, next)) {
                        self.misleads = true;
                    }
                    self.frames.pop();
                }
                Frame::Do(stage) => {
                    if next.kind == Kind::While {
                        *stage = Stage::Tail;
                        return true;
                    }
                    self.frames.pop();
                }
                Frame::Other { is_try, stage } => {
                    if *is_try && next.kind == Kind::Catch {
                        *stage = Stage::Condition;
                        return true;
                    }
                    self.frames.pop();
                }
                Frame::Simple(_) => {
                    self.frames.pop();
                }
                Frame::Brace | Frame::Paren => break,
            }
        }
        false
    }

    /// At the first token of a statement.
    fn start(&mut self, token: &Token) {
        if let Some(Frame::Guard { body, .. }) = self.frames.last_mut()
            && body.is_none()
        {
            *body = Some(*token);
        }
        let frame = match token.kind {
            Kind::CloseBrace => return self.close_brace(),
            Kind::Semicolon => {
                self.ended = true;
                return;
            }
            Kind::OpenBrace => Frame::Brace,
            Kind::If | Kind::For | Kind::While => {
                Frame::Guard { keyword: *token, stage: Stage::Condition, body: None }
            }
            // Without an `if`: a macro has that.
            Kind::Else => Frame::Guard { keyword: *token, stage: Stage::Body, body: None },
            Kind::Do => Frame::Do(Stage::Body),
            Kind::Try => Frame::Other { is_try: true, stage: Stage::Body },
            Kind::Switch | Kind::Catch => Frame::Other { is_try: false, stage: Stage::Condition },
            Kind::Case => Frame::Simple(Progress::Case),
            Kind::Word => Frame::Simple(Progress::Name),
            Kind::Open => {
                self.frames.push(Frame::Simple(Progress::More));
                Frame::Paren
            }
            Kind::Close
            | Kind::Colon
            | Kind::Operator
            | Kind::Literal
            | Kind::Prefix
            | Kind::Branch => Frame::Simple(Progress::More),
        };
        self.frames.push(frame);
    }

    fn in_parens(&mut self, token: &Token) {
        match token.kind {
            Kind::Open => self.frames.push(Frame::Paren),
            Kind::OpenBrace => self.frames.push(Frame::Brace),
            Kind::CloseBrace => self.close_brace(),
            Kind::Close => {
                self.frames.pop();
                if let Some(
                    Frame::Guard { stage: stage @ Stage::Condition, .. }
                    | Frame::Other { stage: stage @ Stage::Condition, .. },
                ) = self.frames.last_mut()
                {
                    *stage = Stage::Body;
                }
            }
            _ => {}
        }
    }

    fn in_simple(&mut self, token: &Token) {
        let Some(Frame::Simple(progress)) = self.frames.last_mut() else { return };
        let was = *progress;
        if was != Progress::Case {
            *progress = Progress::More;
        }
        if was == Progress::Braced && !token.continues_braces() {
            self.frames.pop();
            self.ended = true;
            return self.take(token);
        }
        if was == Progress::Name && token.kind == Kind::Open {
            *progress = Progress::Call;
        }
        if matches!(was, Progress::Name | Progress::Call) && token.may_start_statement() {
            self.suspect(token);
        }
        match token.kind {
            Kind::Open => self.frames.push(Frame::Paren),
            Kind::OpenBrace => self.frames.push(Frame::Brace),
            Kind::CloseBrace => self.close_brace(),
            // A label: the statement is still to come.
            Kind::Colon if matches!(was, Progress::Name | Progress::Case) => {
                self.frames.pop();
            }
            Kind::Semicolon => {
                self.frames.pop();
                self.ended = true;
            }
            // A macro stood for a whole statement.
            Kind::Else => {
                self.frames.pop();
                self.ended = true;
                self.take(token);
            }
            // So it did here, or for something like `for (...)`.
            Kind::If | Kind::For | Kind::While | Kind::Do | Kind::Switch | Kind::Try => {
                self.start(token);
            }
            _ => {}
        }
    }

    /// Judges what would end here if the simple statement were a macro with its own semicolon.
    fn suspect(&mut self, next: &Token) {
        for frame in self.frames.iter().rev().skip(1) {
            match frame {
                Frame::Guard { keyword, body: Some(body), .. } => {
                    self.misleads |= looks_guarded(keyword, body, next);
                }
                _ => return,
            }
        }
    }

    fn close_brace(&mut self) {
        let Some(opened) = self.frames.iter().rposition(|frame| matches!(frame, Frame::Brace))
        else {
            // More closed than opened: what is open has no end.
            self.frames.clear();
            return;
        };
        self.frames.truncate(opened);
        match self.frames.last_mut() {
            Some(Frame::Simple(progress)) => *progress = Progress::Braced,
            Some(Frame::Paren) => {}
            _ => self.ended = true,
        }
    }
}

/// gcc's rules: does `next`, the token behind the body, look as if it were guarded as well?
fn looks_guarded(guard: &Token, body: &Token, next: &Token) -> bool {
    if body.kind == Kind::OpenBrace
        || matches!(next.kind, Kind::CloseBrace | Kind::Semicolon | Kind::Else)
        || (guard.kind == Kind::Else && body.kind == Kind::If && body.line == guard.line)
    {
        return false;
    }
    if next.line == body.line {
        return guard.line < body.line || guard.column == guard.indent;
    }
    if next.column != next.indent {
        return false;
    }
    if body.kind == Kind::Semicolon {
        // A comment may hide it.
        return if body.line == guard.line || body.column != body.indent {
            next.column > guard.indent
                || (next.column == body.indent && next.column != guard.indent)
                || (next.kind == Kind::OpenBrace && next.column == guard.indent)
        } else {
            next.column == body.indent && next.column != guard.indent
        };
    }
    let own = if guard.kind == Kind::Else { guard.indent } else { guard.column };
    next.column == body.column && body.column != own
}

#[cfg(test)]
mod tests;
