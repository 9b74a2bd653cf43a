#!/usr/bin/env python3
"""Runs the original's own suite (test/testdistcc.py of its repository) against our programs.

The suite stays outside this tree. Every case runs in plain and in LZO mode with each pair of a
client and a daemon, ours or the installed original's; the original's own pair is the measure. A
case counts against us if it fails where that pair does not, or if the work was remote there and
with ours was not. Exits with 1 then, with 2 if the suite could not be run.
"""

import argparse
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

# Cases of the original's internals: they run its C helper programs, not its client and daemon.
INTERNALS = {
    "ScanArgs", "ParseMask", "DotD", "Compile_c", "ImplicitCompilerScan", "StripArgs", "IsSource",
    "ExtractExtension", "InvalidHostSpec", "ParseHostSpec", "Getline",
}
HERE = pathlib.Path(__file__).resolve().parent
# Where our client does not let the daemon's answer count, as docs/differences.md says: a program that
# succeeds and makes no object.
DOUBTED = {"BinTrue"}
PROGRAMS = ["distcc", "distccd", "lsdistcc"]
# Whose client with whose daemon; the first pair is the measure.
PAIRS = ["theirs-theirs", "ours-ours", "ours-theirs", "theirs-ours"]
MODES = {"plain": [], "lzo": ["--lzo"]}
# The suite itself waits without end; a run of all cases takes one to two minutes.
PATIENCE = 900


def fail(reason):
    print(f"peer-suite: {reason}", file=sys.stderr)
    sys.exit(2)


class Bench:
    """The suite and the programs, where a user without rights finds them."""

    def __init__(self, root, suite, ours):
        self.root = root
        # What runs the suite must be no root; nobody is that everywhere.
        self.user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        root.chmod(0o755)
        shutil.copytree(suite / "test", root / "suite")
        shutil.copy(HERE / "distccd", root / "distccd")
        self.programs = {"ours": {}, "theirs": {}}
        kept = root / "ours"
        kept.mkdir()
        for name in PROGRAMS:
            if (ours / name).exists():
                shutil.copy(ours / name, kept / name)
                self.programs["ours"][name] = kept / name
            if original := shutil.which(name, path="/usr/bin:/usr/local/bin:/bin"):
                self.programs["theirs"][name] = pathlib.Path(original)
        self.path = ":".join(
            part for part in os.environ["PATH"].split(":")
            if part and os.path.basename(part.rstrip("/")) not in ("distcc", "ccache")
        )

    def cases(self):
        # Its own `--list` never ends.
        show = "import testdistcc; print(*(case.__name__ for case in testdistcc.tests))"
        listed = self.as_user(["python3", "-c", show], self.root / "suite", {})
        names = re.findall(r"\b(\w+)_Case\b", listed.stdout)
        return [name for name in names if name not in INTERNALS] or fail(f"no cases:\n{listed.stdout}")

    def environment(self, extra):
        kept = {name: os.environ[name] for name in ("LANG", "TERM") if name in os.environ}
        return {**kept, "PATH": self.path, "PYTHONDONTWRITEBYTECODE": "1", **extra}

    def as_user(self, command, cwd, extra):
        """Runs without rights; as root also on a network of its own, since the suite has fixed ports."""
        if self.user:
            ids = f"--reuid={self.user.pw_uid} --regid={self.user.pw_gid} --clear-groups"
            lonely = f'ip link set lo up && exec setpriv {ids} "$@"'
            command = ["unshare", "--net", "sh", "-c", lonely, "sh", *command]
        process = subprocess.Popen(
            command, cwd=cwd, env=self.environment(extra), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, output)

    def run(self, pair, mode, cases):
        """The outcome of every case: its word, and how many compiles were done by the daemon."""
        home = self.root / f"{pair}-{mode}"
        bin_dir = home / "bin"
        bin_dir.mkdir(parents=True)
        client, daemon = pair.split("-")
        for name in PROGRAMS:
            # A program that is missing must not be found further down the PATH.
            if name != "distccd":
                (bin_dir / name).symlink_to(self.programs[client].get(name, "/bin/false"))
        (bin_dir / "distccd").symlink_to(self.root / "distccd")
        if self.user:
            os.chown(home, self.user.pw_uid, self.user.pw_gid)
        command = ["python3", str(self.root / "suite/testdistcc.py"), *MODES[mode]]
        command += [f"{name}_Case" for name in cases]
        extra = {
            "HOME": str(home), "TMPDIR": str(home), "PATH": f"{bin_dir}:{self.path}",
            "PEER_SUITE_DISTCCD": str(self.programs[daemon]["distccd"]),
        }
        output = self.as_user(command, home, extra).stdout
        (home / "output").write_text(output)
        # What is told of a case, up to the next one; background programs print into it.
        told = dict(re.findall(r"^(\w+)_Case +((?:.|\n)*?)(?=^\w+_Case +|\Z)", output, re.M))
        return {
            name: (word(told.get(name, "")), remote_compiles(home / f"_testtmp/{name}_Case"))
            for name in cases
        }


def word(told):
    """The outcome in what the suite told of a case."""
    if "error during cleanups" in told:
        return "FAIL"
    found = re.search(r"^(OK|FAIL|NOTRUN)\b", told, re.M)
    return found.group(1) if found else "NO END"


def remote_compiles(rundir):
    """Completed compiles that the client's log of the case puts on the daemon."""
    log = rundir / "distcc.log"
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return 0
    return len(re.findall(r"compile \S+ on 127\.0\.0\.1:\d+\S* completed ok", text))


def judge(reference, outcome, is_doubted):
    """What counts against a pair with ours in it, or nothing."""
    word, remote = outcome
    if word not in ("OK", "NOTRUN") and reference[0] in ("OK", "NOTRUN"):
        return "fails"
    if remote < reference[1] and not is_doubted:
        return f"only {remote} of {reference[1]} compiles were remote"
    return None


def report(cases, columns, results):
    """The table, then what counts against us."""
    measure = PAIRS[0]
    print(f"{'case':36}" + "".join(f"{pair + ' ' + mode:20}" for pair, mode in columns))
    for name in cases:
        cells = (results[column][name] for column in columns)
        print(f"{name:36}" + "".join(
            f"{word + (f' ({remote} remote)' if remote else ''):20}" for word, remote in cells))
    print(f"{len(cases)} cases: " + "; ".join(
        f"{pair} {mode} " + ", ".join(
            f"{count} {word}" for word in ("OK", "NOTRUN", "FAIL", "NO END")
            if (count := sum(outcome[0] == word for outcome in results[pair, mode].values())))
        for pair, mode in columns))
    bad = [
        f"{name}, {pair} {mode}: {reason}"
        for pair, mode in columns if pair != measure and (measure, mode) in results
        for name in cases
        if (reason := judge(results[measure, mode][name], results[pair, mode][name],
                            name in DOUBTED and pair.startswith("ours-")))
    ]
    print("\n".join(bad) if bad else "nothing that the original's own pair does not do as well")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", type=pathlib.Path, required=True, help="a checkout of the original's repository")
    parser.add_argument("--ours", type=pathlib.Path, required=True, help="the directory of our programs")
    parser.add_argument("--pairs", default=",".join(PAIRS))
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--keep", action="store_true", help="leave the directory of the runs")
    parser.add_argument("cases", nargs="*", help="these only, without `_Case`")
    args = parser.parse_args()
    if not (args.suite / "test/testdistcc.py").is_file():
        fail(f"{args.suite} has no test/testdistcc.py")
    root = pathlib.Path(tempfile.mkdtemp(prefix="peer-suite-"))
    bad = None
    try:
        bench = Bench(root, args.suite, args.ours)
        cases = args.cases or bench.cases()
        columns = [(pair, mode) for mode in args.modes.split(",") for pair in args.pairs.split(",")]
        # With a network of its own each, two runs at a time; else their daemons would meet.
        with ThreadPoolExecutor(2 if bench.user else 1) as pool:
            results = dict(zip(columns, pool.map(lambda column: bench.run(*column, cases), columns)))
        bad = report(cases, columns, results)
        if args.keep or bad:
            print(f"outputs and logs: {root}")
        return bool(bad)
    finally:
        # The agents that our clients started leave when their directories go.
        if not (args.keep or bad):
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
