//! Fits moesim profiles to measurements.
