//! Sets up the host list, the variables and the masquerade links.
fn main() -> std::process::ExitCode {
    distcc_zeroconf::distcc_config_main()
}
