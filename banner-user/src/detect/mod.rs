//! What a log line says. No clock, no I/O.
