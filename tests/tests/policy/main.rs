//! House rules that can be read off the files themselves: what may be depended on and by whom, where
//! `unsafe` may stand, and that every protocol clause cited in the code exists.
#![allow(clippy::unwrap_used)]

mod citations;
mod dependencies;
mod documents;
mod sources;
mod tree;
