//! Keys, users, tickets, relations, addresses and bans of this site.
