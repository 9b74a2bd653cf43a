//! Lists the hosts that run a compile server.
fn main() -> std::process::ExitCode {
    distcc_zeroconf::lsdistcc_main()
}
