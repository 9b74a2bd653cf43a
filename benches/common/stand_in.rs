//! A compiler that costs next to nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Name of the stand-in. Ours matches compilers before it sends a job, and is to do so here; the
/// original replaces a plain `gcc` by the name with the target before it.
pub(crate) const STUB: &str = "gcc-99";
/// What the stand-in writes as object.
const OBJECT: &[u8] = b"object\n";
/// With `-E` it copies its source, with `-c` it reads it and writes a fixed object; anything else
/// it takes silently. With `-v` it says about itself what gcc does.
const STUB_SOURCE: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
static char buffer[1 << 16];
static const char about[] = "Target: x86_64-linux-gnu\ngcc version 99.1.0 (stand-in)\n";
int main(int argc, char **argv) {
    const char *source = 0, *output = 0;
    int preprocess = 0, verbose = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-E")) preprocess = 1;
        else if (!strcmp(argv[i], "-v")) verbose = 1;
        else if (!strcmp(argv[i], "-o") && i + 1 < argc) output = argv[++i];
        else if (argv[i][0] != '-') source = argv[i];
    }
    if (verbose && write(2, about, sizeof about - 1) < 0) return 1;
    if (!source) return 0;
    int in = open(source, O_RDONLY);
    if (in < 0) return 1;
    int out = output ? open(output, O_WRONLY | O_CREAT | O_TRUNC, 0666) : 1;
    if (out < 0) return 1;
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
        if (preprocess && write(out, buffer, n) != n) return 1;
    return preprocess || write(out, "object\n", 7) == 7 ? 0 : 1;
}
"#;

/// Puts the stand-in into this directory.
pub(crate) fn build(dir: &Path) -> io::Result<()> {
    fs::write(dir.join("stub.c"), STUB_SOURCE)?;
    let built = Command::new("gcc")
        .args(["-O2", "-static", "-o", STUB, "stub.c"])
        .current_dir(dir)
        .status()
        .map_err(|e| at(Path::new("gcc"), &e))?;
    if !built.success() {
        return Err(io::Error::other("gcc does not build the stand-in compiler"));
    }
    Ok(())
}

/// Fails unless the object is the stand-in's, whole; and takes it away for the next job.
pub(crate) fn check_object(path: &Path) -> io::Result<()> {
    let object = fs::read(path).map_err(|e| at(path, &e))?;
    fs::remove_file(path)?;
    if object == OBJECT { Ok(()) } else { Err(io::Error::other("a damaged object came back")) }
}

/// The error with the path it is about.
pub(crate) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
