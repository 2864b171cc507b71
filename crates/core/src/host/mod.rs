//! Types that do not depend on a graph: shapes, arrays, random numbers, errors.

pub(crate) mod array;
pub(crate) mod cast;
pub(crate) mod device_info;
pub(crate) mod dtype;
pub(crate) mod elementary;
pub(crate) mod error;
pub(crate) mod gemm;
pub(crate) mod init;
pub(crate) mod memory;
pub(crate) mod nearest;
pub(crate) mod position;
pub(crate) mod random;
pub(crate) mod real;
pub(crate) mod send;
pub(crate) mod shape;
pub(crate) mod shuffle;
pub(crate) mod spec;
pub mod text;
pub(crate) mod torch_random;
