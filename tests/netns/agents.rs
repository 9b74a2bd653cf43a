//! One agent for a user, whoever starts it.

use crate::lab::Lab;

#[test]
fn a_second_agent_leaves_the_first_one_in_place() {
    let Some(mut lab) = Lab::new(1) else { return };
    let host = lab.host(1);
    let start = || assert!(host.command("distccd").arg("--agent").status().unwrap().success());
    start();
    let first = host.pids("distccd");
    assert_eq!(first.len(), 1);
    for _ in 0..3 {
        start();
        assert_eq!(host.pids("distccd"), first);
    }
}
