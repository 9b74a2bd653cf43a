//! What is known of compiler command lines, pure: one option table for client and server.
