//! The tally handler.
