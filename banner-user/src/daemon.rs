//! The one loop that joins the steps.
