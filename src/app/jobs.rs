//! Takes what jobs tell.
