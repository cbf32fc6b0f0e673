//! Bytes to authenticated messages and back, without I/O (PROTOCOL 3, appendix A).
