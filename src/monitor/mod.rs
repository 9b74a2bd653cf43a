//! How the picture that agent and server publish is shown to people: pure functions from values
//! to characters.
