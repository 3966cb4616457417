//! What an operator configures.
