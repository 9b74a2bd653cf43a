//! Shows the jobs of this user.
fn main() -> std::process::ExitCode {
    distcc_zeroconf::distccmon_text_main()
}
