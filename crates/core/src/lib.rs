//! The middle of wgrad: graphs, autodiff, plans and the CPU reference. No GPU API, no layer.
//!
//! In the order in which a step is processed:
//! host data ([`Shape`], [`DType`], [`Array`]), named variables ([`Params`]), handles and nodes ([`Tensor`],
//! [`Graph`], [`Op`], [`Pointwise`]), gradients ([`gradients`]), the plan ([`Plan`]), backends ([`Backend`],
//! [`CpuBackend`]) and the session that runs plans ([`Session`]).

pub mod advice;
mod algebra;
mod array;
#[cfg(not(target_arch = "wasm32"))]
mod audit;
mod autodiff;
mod backend;
pub mod bound;
mod choices;
mod cpu;
mod dtype;
mod elementary;
mod error;
#[cfg(not(target_arch = "wasm32"))]
mod expected;
mod graph;
mod graph_text;
#[cfg(not(target_arch = "wasm32"))]
mod lockstep;
mod matmul;
mod nearest;
mod node;
#[cfg(not(target_arch = "wasm32"))]
mod non_finite;
mod op;
mod params;
pub mod plan;
mod pointwise;
mod random;
mod real;
mod reference;
mod session;
mod shape;
mod state;
mod step;
mod tensor;
mod torch_random;
mod trace;
mod tuning;
mod view;
#[cfg(not(target_arch = "wasm32"))]
mod walk;

pub use advice::{Advice, OnWarning, Warning};
pub use algebra::ARITHMETIC;
pub use array::{Array, Data, Element};
#[cfg(not(target_arch = "wasm32"))]
pub use audit::{Audit, Estimate, OpAudit, ParameterAudit, Silent, Verdict, audit};
pub use autodiff::{Backward, Join, gradients, vjp};
pub use backend::{Backend, BufferId, DeviceInfo, LocalFuture, OnCompile, Pending, ProgramId, Read};
pub use bound::{Accuracy, Deviation};
pub use choices::{Choice, Choices};
pub use cpu::CpuBackend;
pub use dtype::DType;
pub use error::{Error, GraphError, Misfit, Result, Site};
#[cfg(not(target_arch = "wasm32"))]
pub use expected::{Expected, expected};
pub use graph::{Graph, Mode};
#[cfg(not(target_arch = "wasm32"))]
pub use lockstep::{Checked, FusedCheck, Lockstep};
pub use matmul::{Matrix, gemm};
pub use nearest::{edit_distance, nearest};
pub use node::{GraphData, Node, NodeKind, Scheduled, Update, ValueId};
#[cfg(not(target_arch = "wasm32"))]
pub use non_finite::{Cause, NonFinite};
pub use op::{Dispatch, Grid, Kernel, Launch, Limits, Op, Operand, Param, Spec};
pub use params::{Counter, Init, Kind, Params, Variable};
pub use plan::Plan;
pub use pointwise::{Block, Loop, Pointwise, Precision, in_vectors, vectorized};
pub use random::{Stream, philox};
pub use real::Real;
pub use reference::{Buffers, Reference, Slice, SliceMut};
pub use session::Session;
pub use shape::Shape;
pub use state::State;
pub use step::{Fetching, Profile, Step};
pub use tensor::Tensor;
pub use torch_random::TorchRandom;
pub use trace::{Applied, ScopeGuard};
pub use tuning::Tuned;
pub use view::View;
