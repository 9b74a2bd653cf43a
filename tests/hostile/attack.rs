//! What an attack is: a row of a table.

use crate::victim::Victim;
use crate::wire::Protocol;

/// One way to wrong a server.
pub(crate) struct Attack {
    /// What is done, in few words; unique in its class.
    pub(crate) name: &'static str,
    pub(crate) how: How,
    /// How the original is started for it.
    pub(crate) control: Start,
    /// How ours is.
    pub(crate) ours: Start,
    /// Whether our daemon keeps it off.
    pub(crate) expected: Expected,
    /// In which protocols it can be played.
    pub(crate) protocols: &'static [Protocol],
}

/// What the attacker does, and by what it is judged.
pub(crate) enum How {
    /// A request with this command. `{mark}`, `{plant}` and `{secret}` stand for paths of the
    /// scene; `-c`, the source's name and `-o` follow.
    Job { argv: &'static [&'static str], source: &'static str, effect: Effect },
    /// Anything else; true if it succeeds.
    Behaviour(fn(&Scene) -> bool),
}

/// What shows that a job did harm.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// A file is where only the attacker wanted one.
    Marker,
    /// The answer has these bytes, which are not in the request.
    Leak(&'static str),
    /// The answer is that of a compile.
    Answer,
}

/// How a server is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With nothing out of the ordinary: Debian's with its list of compilers.
    Stock,
    /// With `--enable-tcp-insecure`: any program may be named.
    Insecure,
}

/// What has to come of it against ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It fails.
    Fails,
    /// It succeeds until there is a cage around the compiler; docs/security.md names it.
    NeedsCage,
}

/// A victim and what is known to the attacker.
pub(crate) struct Scene<'a> {
    pub(crate) victim: &'a Victim,
    pub(crate) protocol: Protocol,
}

impl Attack {
    /// A request whose harm is a file somewhere.
    pub(crate) const fn marks(name: &'static str, argv: &'static [&'static str]) -> Self {
        Self::marks_by(name, argv, "int x;\n")
    }

    /// The same with a source of its own.
    pub(crate) const fn marks_by(
        name: &'static str,
        argv: &'static [&'static str],
        source: &'static str,
    ) -> Self {
        Self::of(name, How::Job { argv, source, effect: Effect::Marker })
    }

    /// A request whose answer tells what it should not.
    pub(crate) const fn leaks(
        name: &'static str,
        argv: &'static [&'static str],
        source: &'static str,
    ) -> Self {
        Self::of(name, How::Job { argv, source, effect: Effect::Leak(crate::victim::SECRET) })
    }

    /// A request whose answer says whether a file exists.
    pub(crate) const fn finds(
        name: &'static str,
        argv: &'static [&'static str],
        source: &'static str,
    ) -> Self {
        Self::of(name, How::Job { argv, source, effect: Effect::Leak(FOUND) })
    }

    /// A request that ought to have no answer.
    pub(crate) const fn answered(name: &'static str, argv: &'static [&'static str]) -> Self {
        Self::of(name, How::Job { argv, source: "int x;\n", effect: Effect::Answer })
    }

    /// Anything else.
    pub(crate) const fn behaves(name: &'static str, play: fn(&Scene) -> bool) -> Self {
        Self::of(name, How::Behaviour(play))
    }

    const fn of(name: &'static str, how: How) -> Self {
        let (control, ours, expected) = (Start::Stock, Start::Stock, Expected::Fails);
        Self { name, how, control, ours, expected, protocols: &Protocol::BOTH }
    }

    /// Against an original without its list of compilers.
    pub(crate) const fn without_list(self) -> Self {
        Self { control: Start::Insecure, ..self }
    }

    /// Against servers that both run any program.
    pub(crate) const fn with_any_program(self) -> Self {
        Self { control: Start::Insecure, ours: Start::Insecure, ..self }
    }

    /// Only a cage can stop it.
    pub(crate) const fn needs_cage(self) -> Self {
        Self { expected: Expected::NeedsCage, ..self }
    }

    /// Only with compressed bodies.
    pub(crate) const fn by_lzo(self) -> Self {
        Self { protocols: &[Protocol::Lzo], ..self }
    }
}

/// What a source makes the compiler print if it finds a file; in the source it stands apart.
pub(crate) const FOUND: &str = "foundit";
