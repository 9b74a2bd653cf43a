//! netns tests.
