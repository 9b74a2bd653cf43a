//! The per-user agent: knows the peers and every toolchain, applies the policy, hands out places.
