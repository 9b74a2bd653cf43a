//! Switches, cables and addresses: what happens to a network while people work on it.

use std::net::{Ipv4Addr, Ipv6Addr};

use nix::sys::signal::Signal;

use super::{Host, Lab};

/// A switch, and the addresses that hosts have on it: 10.77.K.N/24 and fd77:0:0:K::N/64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net(u8);

/// Where every host begins.
pub(crate) const OFFICE: Net = Net(0);
/// A network to move to.
pub(crate) const HOME: Net = Net(1);
/// Another one.
pub(crate) const DESK: Net = Net(2);

/// The bridges. Without snooping, for a snooping bridge that no querier feeds forgets who listens.
pub(super) const SWITCHES: &str = "
    ip link set lo up &&
    for bridge in br0 br1 br2; do
        ip link add $bridge type bridge mcast_snooping 0 stp_state 0 forward_delay 0 &&
        echo 1 >/proc/sys/net/ipv6/conf/$bridge/disable_ipv6 &&
        ip link set $bridge up || exit 1;
    done";

/// Without a default route, multicast from a socket that chose no interface needs this one.
const MULTICAST_ROUTE: &str = "ip route replace 224.0.0.0/4 dev eth0";

/// The last byte of a router's address.
const ROUTER: usize = 254;

impl Net {
    /// The IPv4 address of a host here.
    pub(crate) fn v4(self, number: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.0, u8::try_from(number).expect("a lab has few hosts"))
    }

    /// Its IPv6 address.
    pub(crate) fn v6(self, number: usize) -> Ipv6Addr {
        let number = u16::try_from(number).expect("a lab has few hosts");
        Ipv6Addr::new(0xfd77, 0, 0, self.0.into(), 0, 0, 0, number)
    }

    /// Both, with the lengths of their prefixes, as `ip address` takes them.
    pub(crate) fn both(self, number: usize) -> [String; 2] {
        [format!("{}/24", self.v4(number)), format!("{}/64", self.v6(number))]
    }

    /// Its prefixes, as `--allow` takes them.
    pub(crate) fn prefixes(self) -> [String; 2] {
        [format!("{}/24", self.v4(0)), format!("{}/64", self.v6(0))]
    }

    fn bridge(self) -> String {
        format!("br{}", self.0)
    }
}

/// The switch's end of a cable.
fn port(number: usize, interface: &str) -> String {
    match interface {
        "eth0" => format!("p{number}"),
        _ => format!("p{number}-{interface}"),
    }
}

impl Lab {
    /// Gives the host an interface with a cable to this network, and addresses there: a dock, a
    /// second card.
    pub(crate) fn attach(&mut self, number: usize, interface: &str, to: Net) {
        let port = port(number, interface);
        let keeper = self.host(number).keeper.pid;
        self.switch.order(&format!(
            "ip link add {port} type veth peer name {interface} netns /proc/{keeper}/ns/net &&
             echo 1 >/proc/sys/net/ipv6/conf/{port}/disable_ipv6 &&
             ip link set {port} master {} up",
            to.bridge()
        ));
        self.settle(number, interface, to);
    }

    /// Takes the interface away, with its cable and addresses.
    pub(crate) fn detach(&mut self, number: usize, interface: &str) {
        self.switch.order(&format!("ip link del {}", port(number, interface)));
    }

    /// Takes the machine to another network: the cable is out, is in there, and the host gets the
    /// addresses that it has there.
    pub(crate) fn carry(&mut self, number: usize, to: Net) {
        self.replug(number, to);
        self.settle(number, "eth0", to);
    }

    /// The same without new addresses.
    pub(crate) fn replug(&mut self, number: usize, to: Net) {
        let port = port(number, "eth0");
        self.switch.order(&format!(
            "ip link set {port} down && ip link set {port} master {} && ip link set {port} up",
            to.bridge()
        ));
    }

    /// What DHCP and router advertisements do.
    fn settle(&mut self, number: usize, interface: &str, to: Net) {
        let routed = self.routed.contains(&to);
        let host = self.host(number);
        host.readdress(interface, &to.both(number));
        if routed {
            host.use_router(interface, to);
        }
    }

    /// Puts a router with this hardware address on the network, at 10.77.K.254. Who is there
    /// already knows it by [`Host::use_router`].
    pub(crate) fn add_router(&mut self, net: Net, mac: &str) {
        self.switch.order(&format!(
            "ip link set {bridge} address {mac} && ip addr add {}/24 dev {bridge}",
            net.v4(ROUTER),
            bridge = net.bridge()
        ));
        self.routed.push(net);
    }

    /// Cuts the power of a switch: every interface at it sees that the cable is dead.
    pub(crate) fn switch_off(&mut self, net: Net) {
        self.switch_ports(net, "down");
    }

    /// Gives it back.
    pub(crate) fn switch_on(&mut self, net: Net) {
        self.switch_ports(net, "up");
    }

    fn switch_ports(&mut self, net: Net, state: &str) {
        self.switch.order(&format!(
            "for port in $(ip -o link show master {} | sed 's/^[^:]*: *//; s/[@:].*//'); do
                 ip link set $port {state};
             done",
            net.bridge()
        ));
    }

    /// Pulls the host's cable at the switch: its own interface stays up and notices nothing.
    pub(crate) fn unplug(&mut self, number: usize) {
        self.switch.order(&format!("ip link set p{number} nomaster"));
    }

    /// Puts it back into the office's switch.
    pub(crate) fn plug(&mut self, number: usize) {
        self.switch.order(&format!("ip link set p{number} master br0"));
    }

    /// Cuts the power of the machine: nothing that runs there says another word.
    pub(crate) fn power_off(&mut self, number: usize) {
        self.unplug(number);
        self.host(number).signal_all(Signal::SIGKILL);
    }

    /// Closes the lid: all that runs stands still, and what is sent to the machine is lost. (Its
    /// kernel's clock runs on, unlike that of a machine that sleeps.)
    pub(crate) fn suspend(&mut self, number: usize) {
        self.unplug(number);
        self.host(number).stop_all();
    }

    /// Opens it again.
    pub(crate) fn resume(&mut self, number: usize) {
        self.plug(number);
        self.host(number).continue_all();
    }
}

impl Host {
    /// Takes the interface down. Its addresses stay configured.
    pub(crate) fn link_down(&mut self) {
        self.keeper.order("ip link set eth0 down");
    }

    /// Takes it up again.
    pub(crate) fn link_up(&mut self) {
        self.keeper.order(&format!("ip link set eth0 up && {MULTICAST_ROUTE}"));
    }

    /// Gives the interface these addresses instead of those that it has, with prefix lengths.
    pub(crate) fn readdress(&mut self, interface: &str, addresses: &[impl AsRef<str>]) {
        self.keeper.order(&format!(
            "ip link set {interface} up && ip addr flush dev {interface} scope global"
        ));
        for address in addresses {
            self.add_address(interface, address.as_ref());
        }
        if interface == "eth0" {
            self.keeper.order(MULTICAST_ROUTE);
        }
    }

    /// Gives it one more address.
    pub(crate) fn add_address(&mut self, interface: &str, address: &str) {
        let option = if address.contains(':') { "nodad" } else { "brd +" };
        self.keeper.order(&format!("ip addr add {address} {option} dev {interface}"));
    }

    /// Takes one address away.
    pub(crate) fn remove_address(&mut self, interface: &str, address: &str) {
        self.keeper.order(&format!("ip addr del {address} dev {interface}"));
    }

    /// Brings a tunnel to another host up, which carries multicast too: a VPN, seen from its ends.
    pub(crate) fn add_tunnel(&mut self, interface: &str, to: Ipv4Addr) {
        self.keeper.order(&format!(
            "ip link add {interface} type vxlan id 7 remote {to} dstport 4789 dev eth0 &&
             ip link set {interface} up"
        ));
    }

    /// Sends what is for nobody near to the network's router.
    pub(crate) fn use_router(&mut self, interface: &str, net: Net) {
        let router = net.v4(ROUTER);
        self.keeper.order(&format!("ip route replace default via {router} dev {interface}"));
    }
}
