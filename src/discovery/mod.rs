//! Who is on the network: advertising and browsing DNS-SD, TXT records, interfaces. Discovery
//! yields candidates only; that a peer is there and what it is, is learned by asking it.
