//! What is fitted for each family: dense products, experts, collectives, exchange libraries.

pub mod exchange;
pub mod experts;
pub mod gemm;
pub mod nccl;
