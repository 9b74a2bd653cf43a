//! Keeps the links of the masquerade directory in step with the compilers.
fn main() -> std::process::ExitCode {
    distcc_zeroconf::update_distcc_symlinks_main()
}
