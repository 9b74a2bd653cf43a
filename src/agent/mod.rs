//! The per-user agent: knows the peers and every toolchain, applies the policy, hands out places.
//!
//! `start` binds the socket and detaches; `shell` is the one task that owns the [`books::Books`]
//! and carries out what they ask for; `clients` holds one task per client, `ask` speaks to peers,
//! `ssh` holds the connections by ssh, `stock` what is known of a stock peer's compiler names,
//! `remembered` keeps the peers of the last time, `health` knows who is there, `declined` what they
//! refuse, `speed` tells when compressing pays, `networks` where this machine is and what the user
//! thinks of that. The books decide and do no I/O: events in, actions out, time as an argument.
//! Nobody outside imports the agent.

mod ask;
mod books;
mod clients;
mod clock;
mod decide;
mod declined;
mod health;
mod hearing;
mod judge;
mod local;
mod networks;
mod peers;
mod policies;
mod remembered;
mod scene;
mod seats;
mod setbacks;
mod shell;
mod show;
mod speed;
mod ssh;
mod start;
mod stock;
mod watches;

#[cfg(test)]
mod tests;

pub(crate) use start::main;
