//! Programs that are no compilers.

use crate::attack::Attack;

/// Debian's list of compilers stops all but the last two, so the others are shown to work without
/// it. Ours runs what it has found to be a compiler, and that by the file it found.
pub(super) const ATTACKS: &[Attack] = &[
    Attack::marks("a shell by its name", &["sh", "-c", "echo > {mark}"]).without_list(),
    Attack::marks("a shell by its path", &["/bin/sh", "-c", "echo > {mark}"]).without_list(),
    Attack::marks("a shell by a detour", &["/usr/bin/../bin/sh", "-c", "echo > {mark}"])
        .without_list(),
    Attack::marks("an interpreter", &["awk", "BEGIN { print > \"{mark}\" }"]).without_list(),
    Attack::marks("a program that runs another", &["env", "sh", "-c", "echo > {mark}"])
        .without_list(),
    Attack::marks("a planted program by its path", &["{plant}/run/tool"]).without_list(),
    Attack::marks("a planted program through a link", &["{plant}/link/gcc"]).without_list(),
    Attack::marks("a planted program relative to the job", &["../plant/run/tool"]).without_list(),
    Attack::marks("a planted program through /proc", &["/proc/self/root{plant}/run/gcc"])
        .without_list(),
    Attack::answered("a path that does not exist", &["/USR/BIN/gcc"]),
    Attack::answered("a compiler's path in other letters", &["/Usr/Bin/g++"]),
];
