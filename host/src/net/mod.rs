//! The async shell round wire: sockets, deadlines, limits.
