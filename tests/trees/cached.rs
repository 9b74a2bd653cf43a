//! ccache in front of us.

use crate::bench::{Bench, Compilers, Way, have, source};
use crate::built::{Order, assert_same_words, same_files};
use crate::long;

/// The first build is compiled by the server, the second by nobody.
#[test]
fn ccache_asks_us_once() {
    let compilers = Compilers::Gcc;
    if !long::wanted() || !have(&["ccache", "make"]) || !have(&compilers.names()) {
        return;
    }
    let Some(source) = source("lua5.4") else { return };
    let bench = Bench::new(compilers);
    let build = r#"make -j2 -Otarget linux CC="$CC -std=gnu99" MYCFLAGS="-g -Wextra""#;
    bench.unpack(&source, "");
    let said_here = bench.run(build, "none.log", Way::Here);

    for (log, kept) in [("first.log", "here"), ("second.log", "first")] {
        bench.unpack(&source, kept);
        assert_same_words(&bench.run(build, log, Way::Cached), &said_here, Order::Any);
        let objects = same_files(&bench.kept("here"), &bench.work());
        let n_objects = objects.identical + objects.but_for_debugging;
        let ways = bench.ways(log);
        println!("{log}: {} of {n_objects} objects were compiled by the server", ways.n_served());
        match log {
            "first.log" => assert!(ways.n_served() * 100 >= n_objects * 95, "{ways:#?}"),
            _ => assert_eq!(ways.n_served(), 0),
        }
    }
    let hits = "ccache --print-stats | awk '/^(direct|preprocessed)_cache_hit/ { n += $2 } \
                END { exit n < 30 }'";
    bench.run(hits, "none.log", Way::Here);
    bench.run("make test", "none.log", Way::Here);
}
