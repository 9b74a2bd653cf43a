//! Every key of `policy.toml` at work: what `--show-hosts --why` says of a host, and where a real
//! job then went.

use std::fs;
use std::path::PathBuf;

use crate::farm::Compile;
use crate::jobs::Jobs;
use crate::policy_farm::{
    CLANG, CLIENT, CROSS_CLANG, Case, Farm, GCC, ODD, OLD_CLANG, OLD_GCC, OLDER, STOCK,
    STOCK_OLDER, TWIN, list, others,
};
use crate::why::Why;

#[test]
fn every_key_of_match_decides_who_gets_a_job() {
    let Some(mut farm) = Farm::start() else { return };
    let facts = &farm.facts;
    let gccs = format!("gcc {} here, {} there", facts.gcc, facts.old_gcc);
    let clangs = format!("clang {} here, {} there", facts.clang, facts.old_clang);
    let assemblers = format!("assembler {} here, {} there", facts.assembler, facts.next_assembler);
    let packages = format!("package {} here, {} there", facts.revision, facts.next_revision);
    let targets = format!("target {} here, {} there", facts.target, facts.cross_target);
    let near = |name: &str, what: &str| format!("yes near enough to {name}: {what}");
    let no = |what: &str| format!("no {what}");
    // Debian configures the two differently.
    let words = "built with --enable-offload-defaulted here, without there";
    let unknown = "does not say its toolchain (unknown=deny)";
    let unseen = "yes toolchain there unknown (unknown=allow)";
    let cases = [
        Case::of_match("gcc = \"exact\"", (OLDER, "gcc"), no(&gccs)),
        Case::of_match("gcc = \"minor\"\nbuild = \"any\"", (OLDER, "gcc"), no(&gccs)),
        Case::of_match("gcc = \"major\"\nbuild = \"any\"", (OLDER, "gcc"), near("gcc", &gccs))
            .like(OLD_GCC),
        Case::of_match("clang = \"exact\"", (OLDER, "clang"), no(&clangs)),
        Case::of_match(
            "clang = \"major\"\nbuild = \"any\"",
            (OLDER, "clang"),
            near("clang", &clangs),
        )
        .like(OLD_CLANG),
        Case::of_match("binutils = \"minor\"", (ODD, "gcc"), no(&assemblers)),
        Case::of_match("binutils = \"major\"", (ODD, "gcc"), near("gcc", &assemblers)),
        Case::of_match("target = \"exact\"\nbuild = \"any\"", (ODD, "clang"), no(&targets)),
        Case::of_match(
            "target = \"any\"\nbuild = \"any\"",
            (ODD, "clang"),
            near(CROSS_CLANG, &targets),
        ),
        Case::of_match("build = \"same\"", (TWIN, "gcc"), "yes same toolchain as gcc".to_owned()),
        Case::of_match("build = \"same\"\nbinutils = \"any\"", (ODD, "gcc"), no(&packages)),
        Case::of_match(
            "build = \"vendor\"\nbinutils = \"any\"",
            (ODD, "gcc"),
            near("gcc", &assemblers),
        ),
        Case::of_match("build = \"vendor\"\ngcc = \"any\"", (OLDER, "gcc"), no(words)),
        Case::of_match("build = \"any\"\ngcc = \"any\"", (OLDER, "gcc"), near("gcc", &gccs))
            .like(OLD_GCC),
        Case::of_match(
            "unknown = \"probe\"",
            (STOCK, "gcc"),
            "yes same toolchain as gcc".to_owned(),
        ),
        Case::of_match("unknown = \"probe\"", (STOCK_OLDER, "gcc"), no(&gccs)),
        Case::of_match("unknown = \"deny\"", (STOCK, "gcc"), no(unknown)),
        Case::of_match("unknown = \"allow\"", (STOCK, "gcc"), unseen.to_owned()),
    ];
    for case in &cases {
        farm.check(case);
    }
    farm.assert_no_other_jobs();
}

#[test]
fn a_host_that_was_trusted_unseen_is_found_out_by_its_objects() {
    let Some(mut farm) = Farm::start() else { return };
    fs::write(farm.policy_file(), "[match]\nunknown = \"allow\"\n").unwrap();
    let hosts = list(STOCK_OLDER);
    let told = |farm: &mut Farm| {
        Why::ask(farm.lab.host(CLIENT), hosts, &["gcc"], 1).of("10.77.0.6").to_owned()
    };
    assert_eq!(told(&mut farm), "yes toolchain there unknown (unknown=allow)");
    for _ in 0..3 {
        let source = farm.new_source();
        let compile = Compile::gcc(farm.lab.host(CLIENT), hosts, &source, "made.o");
        assert_eq!(compile.ran_on(), None, "{}", compile.log);
        let expected = farm.made_by(GCC.as_ref(), &source);
        assert!(fs::read(compile.object).unwrap() == expected, "another object");
        println!("{source}: {}", told(&mut farm));
    }
    let told = told(&mut farm);
    assert!(told.starts_with("no its gcc made objects marked"), "{told}");
    let jobs = Jobs::of(farm.lab.host(STOCK_OLDER)).ran;
    assert!((1..=2).contains(&jobs.len()), "{jobs:#?}");
}

/// A key of a rule, by a value that holds for `host` and one that does not.
struct Key {
    name: &'static str,
    holds: String,
    misses: &'static str,
    host: usize,
    compiler: &'static str,
    /// `[match]` as it must be for `host` to come into question.
    matching: &'static str,
    hosts: &'static str,
    /// Why it does.
    fits: String,
    like: PathBuf,
}

impl Key {
    /// One about [`TWIN`], which comes into question anyway.
    fn of_twin(name: &'static str, holds: &str, misses: &'static str) -> Self {
        Self {
            name,
            holds: holds.to_owned(),
            misses,
            host: TWIN,
            compiler: "gcc",
            matching: "",
            hosts: "+zeroconf",
            fits: "same toolchain as gcc".to_owned(),
            like: GCC.into(),
        }
    }

    /// One about a compiler of a host that differs.
    fn of_compiler(
        (name, holds, misses): (&'static str, &str, &'static str),
        (host, compiler): (usize, &'static str),
        matching: &'static str,
        (fits, like): (String, impl Into<PathBuf>),
    ) -> Self {
        let hosts = list(host);
        Self {
            host,
            compiler,
            matching,
            hosts,
            fits,
            like: like.into(),
            ..Self::of_twin(name, holds, misses)
        }
    }

    /// Denied by the key, allowed by it, and not meant by it.
    fn cases(&self) -> [Case; 3] {
        let case = |rules: [(&str, &str, &str); 2], verdict: String| {
            let mut policy = format!("[match]\n{}\n", self.matching);
            for (action, key, value) in rules {
                policy += &format!("[[rule]]\naction = \"{action}\"\n");
                policy +=
                    &if key.is_empty() { String::new() } else { format!("{key} = \"{value}\"\n") };
            }
            let runs_on = verdict.starts_with("yes").then_some(self.host);
            let like = if runs_on.is_some() {
                self.like.clone()
            } else {
                if self.compiler == "clang" { CLANG } else { GCC }.into()
            };
            let (hosts, compiler, host) = (self.hosts, self.compiler, self.host);
            Case { policy, hosts, compiler, host, verdict, runs_on, like }
        };
        let Self { name, holds, misses, fits, .. } = self;
        let only = others(self.host);
        [
            case(
                [("deny", name, holds), ("deny", "host", &only)],
                format!("no denied by rule 1 ({name}={holds})"),
            ),
            case(
                [("allow", name, holds), ("deny", "", "")],
                format!("yes {fits}, allowed by rule 1 ({name}={holds})"),
            ),
            case([("deny", name, misses), ("deny", "host", &only)], format!("yes {fits}")),
        ]
    }
}

#[test]
fn every_key_of_a_rule_decides_who_gets_a_job() {
    let Some(mut farm) = Farm::start() else { return };
    let id = fs::read_to_string(farm.lab.host(TWIN).dir("state/node-id")).unwrap();
    let facts = &farm.facts;
    let gccs = format!("near enough to gcc: gcc {} here, {} there", facts.gcc, facts.old_gcc);
    let clangs =
        format!("near enough to clang: clang {} here, {} there", facts.clang, facts.old_clang);
    let assemblers = format!(
        "near enough to gcc: assembler {} here, {} there",
        facts.assembler, facts.next_assembler
    );
    let targets = format!(
        "near enough to {CROSS_CLANG}: target {} here, {} there",
        facts.target, facts.cross_target
    );
    const ANY_GCC: &str = "gcc = \"any\"\nbuild = \"any\"";
    const ANY_TARGET: &str = "target = \"any\"\nbuild = \"any\"";
    let keys = [
        Key::of_twin("host", "H2.local", "h1*"),
        Key::of_twin("net", "10.77.0.3/31", "10.78.0.0/16"),
        Key::of_twin("net", "fd77::2", "fd77::3"),
        Key::of_twin("interface", "eth*", "wl*"),
        Key::of_twin("id", id.trim(), "00000000"),
        Key::of_twin("source", "zeroconf", "hosts"),
        Key {
            hosts: "10.77.0.5 +zeroconf",
            host: STOCK,
            ..Key::of_twin("source", "hosts", "zeroconf")
        },
        Key::of_twin("network", "10.77.0.0/24", "192.168.*"),
        Key::of_compiler(
            ("gcc", ">=11, <12", "12"),
            (OLDER, "gcc"),
            ANY_GCC,
            (gccs.clone(), OLD_GCC),
        ),
        Key::of_compiler(
            ("gcc", &facts.old_gcc, ">=12"),
            (STOCK_OLDER, "gcc"),
            ANY_GCC,
            (gccs, OLD_GCC),
        ),
        Key::of_compiler(
            ("clang", "13", ">=14"),
            (OLDER, "clang"),
            "clang = \"any\"\nbuild = \"any\"",
            (clangs, OLD_CLANG),
        ),
        Key::of_compiler(
            ("binutils", &facts.next_assembler, "<2.30"),
            (ODD, "gcc"),
            "binutils = \"any\"",
            (assemblers, GCC),
        ),
        Key::of_compiler(
            ("target", "aarch64-*", "x86_64-*"),
            (ODD, "clang"),
            ANY_TARGET,
            (targets, CLANG),
        ),
    ];
    for case in keys.iter().flat_map(Key::cases) {
        farm.check(&case);
    }
    // The address that was allowed is the one that was used: the third key's second case is the first
    // to go by IPv6. (What took a job well is tried first afterwards.)
    let jobs = Jobs::of(farm.lab.host(TWIN)).ran;
    let by_ipv6 = jobs.iter().find(|job| job.client.starts_with("fd77::1:"));
    assert_eq!(by_ipv6.map(|job| job.source.as_str()), Some("case8.c"), "{jobs:#?}");
    farm.assert_no_other_jobs();
}
