//! The compile client, also run under a compiler's name.
fn main() -> std::process::ExitCode {
    distcc_zeroconf::client_main()
}
