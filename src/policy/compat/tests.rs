use proptest::prelude::*;

use super::*;

/// Debian 12's gcc.
fn gcc() -> Toolchain {
    Toolchain {
        family: Family::Gcc,
        version: "12.2.0".to_owned(),
        target: "x86_64-linux-gnu".to_owned(),
        assembler: Some("2.40".to_owned()),
        distributor: "Debian".to_owned(),
        revision: "12.2.0-14+deb12u1".to_owned(),
        configure: vec!["--enable-default-pie".to_owned()],
        digest: [7; 16],
        ident: "GCC: (Debian 12.2.0-14+deb12u1) 12.2.0".to_owned(),
    }
}

/// Debian 12's clang, with its own assembler.
fn clang() -> Toolchain {
    Toolchain {
        family: Family::Clang,
        version: "14.0.6".to_owned(),
        target: "x86_64-pc-linux-gnu".to_owned(),
        assembler: None,
        revision: String::new(),
        configure: Vec::new(),
        digest: [8; 16],
        ident: "Debian clang version 14.0.6".to_owned(),
        ..gcc()
    }
}

/// The gcc with other files and whatever `change` does.
fn gcc_with(change: impl FnOnce(&mut Toolchain)) -> Toolchain {
    let mut toolchain = Toolchain { digest: [9; 16], ..gcc() };
    change(&mut toolchain);
    toolchain
}

fn offer(names: &[&str], toolchain: Toolchain) -> Offered {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let driver = Driver::of_program(names[0].as_bytes());
    Offered { names, driver, toolchain }
}

/// Verdict in words for a job of `local` by the name `gcc`, on a peer whose `gcc` is `there`.
fn verdict(local: &Toolchain, there: &Toolchain, matching: &Matching) -> String {
    match compare(local, Driver::C, &[offer(&["gcc"], there.clone())], "gcc", matching) {
        Ok(matched) => matched.to_string(),
        Err(difference) => difference.to_string(),
    }
}

fn matching(change: impl FnOnce(&mut Matching)) -> Matching {
    let mut matching = Matching::BUILT_IN;
    change(&mut matching);
    matching
}

#[test]
fn built_in_policy_judges_each_dimension() {
    for (there, expected) in [
        (gcc(), "same toolchain as gcc"),
        (gcc_with(|_| ()), "same toolchain as gcc"),
        (gcc_with(|t| t.version = "11.3.0".into()), "gcc 12.2.0 here, 11.3.0 there"),
        (gcc_with(|t| t.version = "12.2.1".into()), "gcc 12.2.0 here, 12.2.1 there"),
        (gcc_with(|t| t.target = "x86_64-pc-linux-gnu".into()), "same toolchain as gcc"),
        (
            gcc_with(|t| t.target = "x86_64-linux-gnux32".into()),
            "target x86_64-linux-gnu here, x86_64-linux-gnux32 there",
        ),
        (
            gcc_with(|t| t.assembler = Some("2.40.1".into())),
            "near enough to gcc: assembler 2.40 here, 2.40.1 there",
        ),
        (gcc_with(|t| t.assembler = Some("2.41".into())), "assembler 2.40 here, 2.41 there"),
        (
            gcc_with(|t| t.assembler = None),
            "near enough to gcc: assembler 2.40 here, unknown there",
        ),
        (gcc_with(|t| t.distributor = "Ubuntu".into()), "built by Debian here, Ubuntu there"),
        (gcc_with(|t| t.configure.clear()), "built with --enable-default-pie here, without there"),
        (gcc_with(|t| t.revision = "12.2.0-14".into()), "same toolchain as gcc"),
        (clang(), "no gcc there"),
    ] {
        assert_eq!(verdict(&gcc(), &there, &Matching::BUILT_IN), expected);
    }
}

#[test]
fn each_key_tolerates_what_it_says() {
    let version = gcc_with(|t| t.version = "12.2.1".into());
    let target = gcc_with(|t| t.target = "aarch64-linux-gnu".into());
    let assembler = gcc_with(|t| t.assembler = Some("2.41".into()));
    let unknown_assembler = gcc_with(|t| t.assembler = None);
    let vendor = gcc_with(|t| t.distributor = "Ubuntu".into());
    let revision = gcc_with(|t| t.revision = "12.2.0-14".into());
    for (there, policy, expected) in [
        (&version, matching(|m| m.gcc = Tolerance::Patch), true),
        (&version, matching(|m| m.clang = Tolerance::Any), false),
        (&target, matching(|m| m.target = TargetMatch::Any), true),
        (&assembler, matching(|m| m.binutils = Tolerance::Major), true),
        (&assembler, matching(|m| m.binutils = Tolerance::Minor), false),
        (&unknown_assembler, matching(|m| m.binutils = Tolerance::Exact), false),
        (&unknown_assembler, matching(|m| m.binutils = Tolerance::Patch), true),
        (&vendor, matching(|m| m.build = BuildMatch::Any), true),
        (&revision, matching(|m| m.build = BuildMatch::Same), false),
        (&gcc_with(|_| ()), matching(|m| m.build = BuildMatch::Same), true),
    ] {
        let text = verdict(&gcc(), there, &policy);
        assert_eq!(text.contains("to gcc:") || text.contains("as gcc"), expected, "{text}");
    }
}

#[test]
fn same_build_without_a_revision_needs_the_same_files() {
    let own = Toolchain { revision: String::new(), distributor: String::new(), ..gcc() };
    let same = matching(|m| m.build = BuildMatch::Same);
    assert_eq!(verdict(&own, &own, &same), "same toolchain as gcc");
    let other = Toolchain { digest: [0xab; 16], ..own.clone() };
    assert_eq!(verdict(&own, &other, &same), "file digest of gcc 07070707 here, abababab there");
    let stock = Toolchain { digest: [0; 16], ..own.clone() };
    assert_eq!(verdict(&own, &stock, &same), "file digest of gcc 07070707 here, unknown there");
}

#[test]
fn integrated_assembler_is_not_an_external_one() {
    let external = Toolchain { assembler: Some("2.40".into()), digest: [9; 16], ..clang() };
    let own = "assembler integrated here, 2.40 there";
    assert_eq!(verdict(&clang(), &external, &matching(|m| m.binutils = Tolerance::Major)), own);
    let any = verdict(&clang(), &external, &matching(|m| m.binutils = Tolerance::Any));
    assert_eq!(any, format!("near enough to gcc: {own}"));
    assert_eq!(verdict(&clang(), &clang(), &Matching::BUILT_IN), "same toolchain as gcc");
}

#[test]
fn the_name_that_stands_for_the_toolchain_is_sent() {
    let eleven = || gcc_with(|t| t.version = "11.3.0".into());
    let offered = [
        offer(&["gcc", "cc"], eleven()),
        offer(&["g++"], gcc()),
        offer(&["gcc-12", "x86_64-linux-gnu-gcc-12"], gcc()),
        offer(&["clang"], clang()),
    ];
    for (driver, wanted, expected) in [
        (Driver::C, "gcc", ("gcc-12", 2)),
        (Driver::C, "/usr/bin/x86_64-linux-gnu-gcc-12", ("x86_64-linux-gnu-gcc-12", 2)),
        (Driver::C, "cc", ("gcc-12", 2)),
        (Driver::Cxx, "g++", ("g++", 1)),
    ] {
        let matched = compare(&gcc(), driver, &offered, wanted, &Matching::BUILT_IN).unwrap();
        assert_eq!((matched.name.as_str(), matched.idx), expected, "{wanted}");
    }
    let missing = compare(&clang(), Driver::Cxx, &offered, "clang++", &Matching::BUILT_IN);
    assert_eq!(missing.unwrap_err().to_string(), "no clang++ there");
}

#[test]
fn same_name_wins_among_equal_toolchains() {
    let offered = [offer(&["gcc-12"], gcc()), offer(&["gcc"], gcc())];
    let matched = compare(&gcc(), Driver::C, &offered, "gcc", &Matching::BUILT_IN).unwrap();
    assert_eq!((matched.name.as_str(), matched.idx), ("gcc", 1));
}

#[test]
fn closest_version_wins_where_several_are_tolerated() {
    let offered = [
        offer(&["gcc"], gcc_with(|t| t.version = "10.2.1".into())),
        offer(&["gcc-13"], gcc_with(|t| t.version = "13.1.0".into())),
        offer(&["gcc-12"], gcc_with(|t| t.version = "12.3.0".into())),
    ];
    let policy = matching(|m| m.gcc = Tolerance::Any);
    let matched = compare(&gcc(), Driver::C, &offered, "gcc", &policy).unwrap();
    assert_eq!(matched.to_string(), "near enough to gcc-12: gcc 12.2.0 here, 12.3.0 there");
}

#[test]
fn nearest_miss_is_shown() {
    let offered = [
        offer(&["clang"], clang()),
        offer(&["gcc-9"], gcc_with(|t| t.version = "9.5.0".into())),
        offer(&["aarch64-linux-gnu-gcc"], gcc_with(|t| t.target = "aarch64-linux-gnu".into())),
        offer(&["gcc"], gcc_with(|t| t.version = "11.3.0".into())),
    ];
    let miss = compare(&gcc(), Driver::C, &offered, "gcc", &Matching::BUILT_IN).unwrap_err();
    assert_eq!((miss.to_string().as_str(), miss.idx), ("gcc 12.2.0 here, 11.3.0 there", Some(3)));
}

#[test]
fn unknown_family_needs_the_same_file_under_the_same_name() {
    let tcc = |digest| Toolchain {
        family: Family::Other("tcc".to_owned()),
        version: String::new(),
        target: String::new(),
        digest: [digest; 16],
        ..gcc()
    };
    let any = matching(|m| (m.gcc, m.build) = (Tolerance::Any, BuildMatch::Any));
    for (local, offered, expected) in [
        (tcc(1), vec![offer(&["tcc"], tcc(1))], "same toolchain as tcc"),
        (tcc(1), vec![offer(&["tcc-0.9"], tcc(1))], "no tcc there"),
        (tcc(1), vec![offer(&["tcc"], tcc(2))], "file digest of tcc 01010101 here, 02020202 there"),
        (tcc(0), vec![offer(&["tcc"], tcc(0))], "file digest of tcc unknown here, unknown there"),
        (tcc(1), vec![offer(&["gcc"], gcc())], "no tcc there"),
    ] {
        let text = match compare(&local, Driver::C, &offered, "/opt/tcc", &any) {
            Ok(matched) => matched.to_string(),
            Err(difference) => difference.to_string(),
        };
        assert_eq!(text, expected);
    }
}

#[test]
fn name_that_is_no_plain_name_is_never_sent() {
    for names in [&["../evil"][..], &["-x"], &["a b"], &[""], &[]] {
        let mut hostile = offer(&["gcc"], gcc());
        hostile.names = names.iter().map(|&name| name.to_owned()).collect();
        let verdict = compare(&gcc(), Driver::C, &[hostile], "gcc", &Matching::BUILT_IN);
        assert_eq!(verdict.unwrap_err().what, Dissent::NoFamily(Family::Gcc), "{names:?}");
    }
}

fn any_toolchain() -> impl Strategy<Value = Toolchain> {
    let family = prop_oneof![Just(Family::Gcc), Just(Family::Clang)];
    let words = prop::collection::vec("--[a-z=]{1,12}", 0..3);
    let identity = ("\\PC{0,12}", "\\PC{0,20}", words, any::<[u8; 16]>());
    let numbers = ("[0-9]{1,2}(\\.[0-9]{1,2}){0,3}", prop::option::of("2\\.[0-9]{2}"));
    (family, numbers, "[a-z0-9_]{1,7}-linux-[a-z]{1,5}", identity).prop_map(
        |(family, (version, assembler), target, (distributor, revision, configure, digest))| {
            let ident = String::new();
            let (version, target) = (version.clone(), target.clone());
            Toolchain {
                family,
                version,
                target,
                assembler,
                distributor,
                revision,
                configure,
                digest,
                ident,
            }
        },
    )
}

proptest! {
    #[test]
    fn every_toolchain_is_the_same_as_itself(toolchain in any_toolchain()) {
        let strict = Matching { binutils: Tolerance::Exact, build: BuildMatch::Same, ..Matching::BUILT_IN };
        let offered = [offer(&["gcc"], toolchain.clone())];
        let matched = compare(&toolchain, Driver::C, &offered, "gcc", &strict);
        prop_assert_eq!(matched, Ok(MatchedCompiler { name: "gcc".into(), idx: 0, tolerated: None }));
    }

    #[test]
    fn vendor_word_of_the_target_does_not_count(toolchain in any_toolchain(), vendor in "pc|unknown|gentoo") {
        let target = toolchain.target.replacen("-linux-", &format!("-{vendor}-linux-"), 1);
        let there = Toolchain { target, ..toolchain.clone() };
        prop_assert_eq!(verdict(&toolchain, &there, &Matching::BUILT_IN), "same toolchain as gcc");
    }

    #[test]
    fn looser_words_never_refuse_what_stricter_ones_take(
        here in any_toolchain(), there in any_toolchain(), at in 0usize..5,
    ) {
        let word = |at: usize| {
            let tolerance = Tolerance::WORDS[at].1;
            Matching { gcc: tolerance, clang: tolerance, binutils: tolerance, ..Matching::BUILT_IN }
        };
        let offered = [offer(&["gcc"], there)];
        let takes = |at| compare(&here, Driver::C, &offered, "gcc", &word(at)).is_ok();
        prop_assert!((at..5).all(|looser| takes(looser) || !takes(at)));
    }
}

#[test]
fn marks_in_objects_are_the_local_ones_but_for_what_the_policy_tolerates() {
    let vendor = Matching::BUILT_IN;
    let same = matching(|m| m.build = BuildMatch::Same);
    let loose = matching(|m| (m.gcc, m.build) = (Tolerance::Any, BuildMatch::Any));
    let minor = matching(|m| m.gcc = Tolerance::Minor);
    let newer = "GCC: (Debian 12.3.0-1) 12.3.0";
    for (version, ident, matching, fits) in [
        ("12.2.0", "GCC: (Debian 12.2.0-14) 12.2.0", &vendor, true),
        ("12.2.0", "GCC: (Debian 12.2.0-14) 12.2.0", &same, false),
        ("12.2.0", "GCC: (Debian 11.3.0-12) 11.3.0", &vendor, false),
        ("12.2.0", "GCC: (Debian 12.2.01) 12.2.0", &vendor, false),
        ("12.2.0", "GCC: (Ubuntu 12.2.0-14) 12.2.0", &vendor, false),
        ("12.2.0", "GCC: (Ubuntu 12.2.0-14) 12.2.0", &loose, true),
        ("12.2.0", "", &vendor, false),
        ("12.2.0", "", &loose, false),
        ("12.3.0", newer, &minor, true),
        ("12.3.0", "GCC: (Debian 12.2.0-14) 12.2.0", &minor, false),
        ("12.3.0", newer, &loose, true),
        ("12.3.0", "Debian clang version 12.3.0", &loose, false),
    ] {
        let there = gcc_with(|t| {
            version.clone_into(&mut t.version);
            ident.clone_into(&mut t.ident);
        });
        let said = verdict(&gcc(), &there, matching);
        let refused = format!("marks objects \"{}\" here, \"{ident}\" there", gcc().ident);
        assert_eq!(said != refused, fits, "{version} {ident} {said}");
        assert_eq!(said.starts_with("same") || said.starts_with("near"), fits, "{said}");
    }
    // The same files do not excuse another mark.
    let there = Toolchain { ident: "GCC: (Debian 11.3.0-12) 11.3.0".to_owned(), ..gcc() };
    assert!(verdict(&gcc(), &there, &vendor).starts_with("marks objects"));
}
