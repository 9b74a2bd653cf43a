//! The compile server, and with `--agent` the per-user agent.
fn main() -> std::process::ExitCode {
    distcc_zeroconf::distccd_main()
}
