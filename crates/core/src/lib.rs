//! Core of wgrad: graphs, ops, automatic differentiation, plans and the CPU backend. It depends on no GPU API and
//! contains no layers.
//!
//! The modules, in the order in which a training step passes through them: `host` ([`Shape`], [`DType`],
//! [`Array`], random numbers, errors), `op` (the declaration of ops: [`Op`], [`Pointwise`], [`Dispatch`],
//! [`Limits`]), `graph` ([`Tensor`], [`Graph`], [`Params`]), [`ops`] (the ops, as methods of [`Tensor`]),
//! `autodiff` ([`gradients`]), [`plan`] ([`Plan`]), `cpu` ([`CpuBackend`]), `session` ([`Session`], [`Backend`]),
//! `verify` ([`bound`], [`audit`](fn@audit), [`Lockstep`]).

mod autodiff;
mod backend;
mod cpu;
mod graph;
mod host;
mod op;
pub mod ops;
pub mod plan;
mod session;
mod verify;

pub use autodiff::{Backward, Join, gradients, vjp};
pub use backend::{Backend, BoxFuture, BufferId, OnCompile, Pending, ProgramId, Read, StepCopy, TimedVariant, Tuned};
pub use cpu::CpuBackend;
pub use graph::lints::{self, Lint, OnWarning, Warning};
pub use graph::node::{Node, NodeId, NodeKind, Scheduled, Update, ValueId};
pub use graph::owner::Owner;
pub use graph::params::{Counter, Kind, Params, Variable};
pub use graph::scalar::TensorOrScalar;
pub use graph::tensor::Tensor;
pub use graph::trace::{Applied, ScopeGuard};
pub use graph::{Graph, Mode};
pub use host::array::{Array, Data, Element};
pub use host::device_info::DeviceInfo;
pub use host::dtype::DType;
pub use host::error::{
    ArrayError, AvailableDevices, DeviceCall, DeviceError, DeviceFix, DeviceName, Error, FailedProbe, FeedError,
    GraphError, InvalidArgument, KernelProblem, MemoryFix, MemoryRequest, OutOfMemory, ParamsError, Result,
    SettingError, Site, SourceError,
};
pub use host::gemm::{Matrix, gemm};
pub use host::init::Init;
pub use host::memory::memory_of_host;
pub use host::nearest::{edit_distance, nearest};
pub use host::random::{Stream, philox};
pub use host::real::{Flushed, Real};
pub use host::send::WasmNotSend;
pub use host::shape::Shape;
pub use host::shuffle::{Seed, SplitMix64};
pub use host::spec::Spec;
#[doc(hidden)]
pub use host::text;
pub use host::torch_random::TorchRandom;
pub use op::accuracy::Accuracy;
pub use op::pointwise::{Block, Loop, Pointwise, Precision, in_vectors, vectorized};
pub use op::reference::{Buffers, Reference, Slice, SliceMut};
pub use op::tuning::{TuningChoice, TuningChoices};
pub use op::view::View;
pub use op::{Constant, Dispatch, Grid, Kernel, Launch, Limits, Op, Operand, Param};
pub use plan::Plan;
pub use session::Session;
pub use session::state::State;
pub use session::step::{Fetching, Profile, Step, TaskTime};
#[cfg(not(target_arch = "wasm32"))]
pub use verify::audit::{Audit, Estimate, GradientVerdict, OpAudit, ParameterAudit, SilentUnits, audit};
pub use verify::bound::{self, Deviation};
#[cfg(not(target_arch = "wasm32"))]
pub use verify::expected::{Expected, expected, expected_with_draws};
#[cfg(not(target_arch = "wasm32"))]
pub use verify::lockstep::{FusedCheck, Lockstep, NodeCheck};
#[cfg(not(target_arch = "wasm32"))]
pub use verify::non_finite::{Cause, NonFinite};
