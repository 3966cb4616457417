//! Carries effects out in the kernel.
