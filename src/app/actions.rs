//! Carries out actions.
