//! One event, one transaction.
