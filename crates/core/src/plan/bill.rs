//! Device memory that a plan needs for each purpose, and the check against the device's limits.

use super::ids::BufferIndex;
use super::ir::{MemorySlot, Plan, Role};
use super::task::Work;
use crate::graph::params::Kind;
use crate::host::error::{Bill, BillItem};
use crate::{DeviceError, DeviceInfo, Dispatch, Limits, MemoryRequest, OutOfMemory, Result, Site};

impl Plan {
    /// Returns the device memory that the plan needs for each purpose, such as parameters.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Limits, Mode, Plan};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [256], DType::F32);
    /// let bill = Plan::new(&graph, &[&(&x + 1.0)], &Limits::default())?.bill();
    /// let largest = bill.largest.as_ref().unwrap();
    /// assert_eq!((bill.total(), largest.what.as_str(), largest.bytes), (2048, "the input `x` f32[256]", 1024));
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    pub fn bill(&self) -> Bill {
        let names =
            ["parameters", "optimizer state", "running statistics", "data sets and constants", "inputs and results"];
        let mut parts = [0; 5];
        let mut largest: Option<(BufferIndex, usize)> = None;
        for (i, buffer) in self.buffer_indices().zip(&self.buffers) {
            let part = match &buffer.role {
                Role::Variable(variable) => match self.variables[*variable].variable.kind() {
                    Kind::Parameter => 0,
                    Kind::State => 1,
                    Kind::Buffer => 2,
                },
                Role::Array(_) => 3,
                Role::Input(_) | Role::Schedule | Role::Fetch => 4,
                Role::Passed => continue,
                Role::Temp { .. } => parts.len(),
            };
            let bytes = buffer.spec.bytes();
            if let Some(sum) = parts.get_mut(part) {
                *sum += bytes;
            }
            if largest.is_none_or(|(_, most)| bytes > most) {
                largest = Some((i, bytes));
            }
        }
        let temporaries = self.slots.iter().map(MemorySlot::bytes).sum();
        let item = |(what, bytes): (&str, usize)| BillItem { what: what.into(), bytes };
        let mut parts: Vec<_> = names.into_iter().zip(parts).map(item).collect();
        parts.insert(3, item(("activations and gradients", temporaries)));
        Bill { parts, largest: largest.map(|(buffer, bytes)| BillItem { what: self.described(buffer).0, bytes }) }
    }

    /// Returns the description of a buffer for messages, and the source location of the task that writes the
    /// buffer. If no task writes it, the location is that of the first task that reads it.
    fn described(&self, buffer: BufferIndex) -> (String, Option<&Site>) {
        let spec = &self.buffers[buffer].spec;
        let writer =
            self.tasks.iter().find(|task| task.outputs().contains(&buffer) || task.scratch().any(|b| b == buffer));
        let reader = || self.tasks.iter().find(|task| task.inputs().contains(&buffer));
        let what = match &self.buffers[buffer].role {
            Role::Input(input) => format!("the input `{}`", self.inputs[*input].name),
            Role::Variable(variable) => format!("the variable `{}`", self.variables[*variable].variable.name()),
            Role::Array(_) => "a data set or constant".into(),
            Role::Schedule => "the scheduled numbers".into(),
            Role::Fetch | Role::Temp { .. } | Role::Passed => {
                writer.map_or_else(|| "a result".into(), |task| format!("the result of {}", task.label()))
            }
        };
        (format!("{what} {spec}"), writer.or_else(reader).map(|task| &task.site))
    }

    /// Returns the dispatch with the most loop iterations per thread, and the op's source location.
    fn longest(&self) -> Option<(&Dispatch, &Site)> {
        let all = self.tasks.iter().flat_map(|task| task.stages.iter().map(move |stage| (stage, &task.site)));
        let dispatches = all.flat_map(|(stage, site)| match &stage.work {
            Work::Op { dispatches, .. } => dispatches.iter().map(|dispatch| (dispatch, site)).collect(),
            Work::Cluster(_) | Work::Group(_) => vec![],
        });
        dispatches.max_by_key(|(dispatch, _)| dispatch.iterations)
    }

    /// Checks that the plan does not exceed a device's limits.
    ///
    /// # Errors
    /// When a buffer is larger than the device's largest binding, the index of an element needs more than
    /// 32 bits, a loop has more iterations than the driver executes, or the plan needs more memory than the limit.
    pub(crate) fn check(&self, limits: &Limits, device: &dyn Fn() -> DeviceInfo) -> Result<()> {
        let elements = |buffer: &BufferIndex| self.buffers[*buffer].spec.shape.numel();
        if limits.dispatches
            && let Some(buffer) = self.buffer_indices().find(|buffer| elements(buffer) > u32::MAX as usize)
        {
            let (what, site) = self.described(buffer);
            let (elements, site) = (elements(&buffer), site.cloned());
            return Err(DeviceError::TooManyElements { device: device(), elements, buffer: what, site }.into());
        }
        if self.largest_binding() as u64 > limits.binding_bytes {
            let stored = |buffer: &BufferIndex| !matches!(self.buffers[*buffer].role, Role::Passed);
            let largest = self.buffer_indices().filter(stored).max_by_key(|&buffer| self.buffers[buffer].spec.bytes());
            let named = largest.filter(|&buffer| self.buffers[buffer].spec.bytes() as u64 > limits.binding_bytes);
            let (what, site) = named.map_or_else(|| ("temporaries side by side".into(), None), |at| self.described(at));
            return Err(DeviceError::BindingTooLarge {
                device: device(),
                bytes: self.largest_binding(),
                limit: limits.binding_bytes,
                buffer: what,
                site: site.cloned(),
                plan: self.to_string(),
            }
            .into());
        }
        if let Some((dispatch, site)) =
            self.longest().filter(|(dispatch, _)| dispatch.iterations > limits.iterations as usize)
        {
            return Err(DeviceError::LoopTooLong {
                device: device(),
                kernel: dispatch.kernel.name.to_string(),
                iterations: dispatch.iterations,
                limit: limits.iterations,
                site: site.clone(),
            }
            .into());
        }
        let bill = self.bill();
        if bill.total() as u64 > limits.memory_bytes {
            let request = MemoryRequest::Plan { limit: limits.memory_bytes };
            return Err(OutOfMemory { device: device(), request, bill: Some(bill) }.into());
        }
        Ok(())
    }
}
