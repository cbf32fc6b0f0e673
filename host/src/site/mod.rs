//! Keys, users, tickets, relations, addresses and bans of this site.
//!
//! [`home`] is the folder that holds all of it, [`config`] the file in it that people edit. What the
//! site knows about its users and peers lives in tables of the store, reached through [`rows`]; the
//! two parts that are asked at every connection, [`relations`] and [`bans`], are kept in memory too.

pub mod addresses;
pub mod backup;
pub mod bans;
pub mod books;
pub mod config;
pub mod doctor;
pub mod endpoint;
pub mod home;
pub mod jwe;
pub mod keys;
pub mod keys_export;
pub mod limits;
pub mod passphrase;
pub mod qr;
pub mod relations;
pub mod rows;
pub mod tickets;
pub mod users;

mod ticket_refusal;
mod toml_reader;
