//! What people and other programs read: tables, JSON, pictures, traces.

pub mod pictures;
pub mod plot;
pub mod report;
pub mod schema;
pub mod timeline;
