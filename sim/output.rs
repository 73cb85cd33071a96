//! What people and other programs read: tables, JSON, pictures, traces.

pub mod execution_trace;
pub mod page;
pub mod pictures;
pub mod plot;
mod protobuf;
pub mod report;
pub mod schema;
pub mod timeline;
