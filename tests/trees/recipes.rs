//! The trees, and how each is built. Warnings are asked for, so that there is something to compare;
//! in half of the trees in their order, one job after the other. `-Otarget` keeps what one compile
//! says together.

use crate::bench::Compilers::{Clang, Gcc};
use crate::bench::Way::{Called, Masked};
use crate::built::Order::{Any, Fixed};
use crate::built::{Recipe, same_as_here};

const LUA: &str = r#"make linux CC="$CC -std=gnu99" MYCFLAGS="-g -Wextra -Wshadow""#;

#[test]
fn lua_by_make_with_gcc() {
    same_as_here(&Recipe {
        tree: "lua5.4",
        by: "make",
        compilers: Gcc,
        way: Called,
        tools: &["make"],
        configure: ":",
        build: LUA,
        order: Fixed,
        check: "make test",
    });
}

/// With the links of a masquerade directory instead of a prefix.
#[test]
fn lua_by_make_with_clang() {
    same_as_here(&Recipe {
        tree: "lua5.4",
        by: "make",
        compilers: Clang,
        way: Masked,
        tools: &["make"],
        configure: ":",
        build: LUA,
        order: Fixed,
        check: "make test",
    });
}

#[test]
fn zlib_by_configure_with_gcc() {
    same_as_here(&Recipe {
        tree: "zlib",
        by: "configure",
        compilers: Gcc,
        way: Called,
        tools: &["make"],
        configure: r#"CFLAGS="-O3 -g -Wall -Wextra" ./configure"#,
        build: "make",
        order: Fixed,
        check: "make test",
    });
}

/// The file that Debian leaves out is for Windows.
#[test]
fn zlib_by_cmake_with_clang() {
    same_as_here(&Recipe {
        tree: "zlib",
        by: "CMake",
        compilers: Clang,
        way: Called,
        tools: &["make", "cmake"],
        configure: r#"mkdir win32 && touch win32/zlib1.rc
            CFLAGS="-Wall -Wextra" cmake -S . -B build $CMAKE_WAY"#,
        build: "cmake --build build",
        order: Fixed,
        check: "ctest --test-dir build",
    });
}

/// From its hundred sources, by libtool.
#[test]
fn sqlite_by_libtool_with_gcc() {
    same_as_here(&Recipe {
        tree: "sqlite3",
        by: "libtool",
        compilers: Gcc,
        way: Called,
        tools: &["make", "autoconf", "tclsh"],
        configure: r#"autoconf
            CFLAGS="-O1 -g -Wall -Wextra" ./configure --disable-tcl --disable-amalgamation \
                --disable-readline --disable-static"#,
        build: "make -j2 -Otarget libsqlite3.la",
        order: Any,
        check: SQLITE_CHECK,
    });
}

/// As one source of eight megabytes.
#[test]
fn sqlite_by_libtool_with_clang() {
    same_as_here(&Recipe {
        tree: "sqlite3",
        by: "libtool",
        compilers: Clang,
        way: Called,
        tools: &["make", "autoconf", "tclsh"],
        configure: r#"autoconf
            CFLAGS="-O1 -Wall" ./configure --disable-tcl --disable-readline --disable-static"#,
        build: "make -j2 -Otarget libsqlite3.la",
        order: Any,
        check: SQLITE_CHECK,
    });
}

/// The repeated tests of the tree take minutes on a slow disk.
const SQLITE_CHECK: &str = "make mptester && ./mptester test.db mptest/config01.test";

#[test]
fn jsoncpp_by_meson_with_gcc() {
    same_as_here(&Recipe { compilers: Gcc, ..JSONCPP });
}

#[test]
fn jsoncpp_by_meson_with_clang() {
    same_as_here(&Recipe { compilers: Clang, ..JSONCPP });
}

#[test]
fn jsoncpp_by_cmake_with_gcc() {
    same_as_here(&Recipe {
        by: "CMake",
        tools: &["make", "cmake"],
        // Without its own way of finding ccache.
        configure: "cmake -S . -B build $CMAKE_WAY -DCCACHE_EXECUTABLE= \
                    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DJSONCPP_WITH_POST_BUILD_UNITTEST=OFF \
                    -DBUILD_STATIC_LIBS=OFF -DBUILD_OBJECT_LIBS=OFF",
        build: "cmake --build build -j2 -- -Otarget",
        order: Any,
        check: "ctest --test-dir build",
        ..JSONCPP
    });
}

const JSONCPP: Recipe = Recipe {
    tree: "libjsoncpp",
    by: "Meson",
    compilers: Gcc,
    way: Called,
    tools: &["meson", "ninja"],
    configure: "meson setup --buildtype debugoptimized --warnlevel 3 build",
    build: "ninja -C build -j1",
    order: Fixed,
    check: "meson test -C build --no-rebuild",
};

#[test]
fn range_v3_by_ninja_with_gcc() {
    same_as_here(&Recipe { compilers: Gcc, ..RANGE_V3 });
}

#[test]
fn range_v3_by_ninja_with_clang() {
    same_as_here(&Recipe { compilers: Clang, ..RANGE_V3 });
}

/// Seven of its tests: templates, little else.
const RANGE_V3: Recipe = Recipe {
    tree: "range-v3",
    by: "Ninja",
    compilers: Gcc,
    way: Called,
    tools: &["cmake", "ninja"],
    configure: "cmake -S . -B build -G Ninja $CMAKE_WAY -DCMAKE_BUILD_TYPE=Debug \
                -DRANGE_V3_DOCS=OFF -DRANGE_V3_EXAMPLES=OFF -DRANGE_V3_PERF=OFF",
    build: "for name in any_of copy count equal find mismatch rotate; do \
                set -- \"$@\" range.v3.alg.$name; done; \
            cmake --build build -j2 --target \"$@\"",
    order: Any,
    check: "ctest --test-dir build -R 'test.alg.(any_of|copy|count|equal|find|mismatch|rotate)$'",
};
