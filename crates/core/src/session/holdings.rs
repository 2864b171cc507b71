//! Device memory of a session: variables, arrays that steps share, and the buffers and program of each step. The
//! memory of a step is freed after the step is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::backend::{Backend, BufferId, ProgramId, Read, StepCopy};
use crate::plan::{Plan, Role, UsedVariable};
use crate::session::step::{Last, Loaded, ResidentId};
use crate::{Array, Graph, Kind, Params, ParamsError, Result, Spec, Step, Variable};

/// Device memory of a step, which is freed after the step is dropped.
#[derive(Default)]
struct Lease {
    step: Weak<Loaded>,
    program: Option<ProgramId>,
    buffers: Vec<BufferId>,
    arrays: Vec<Arc<Array>>,
}

/// Variable with a buffer on the device.
struct Resident {
    variable: Variable,
    buffer: BufferId,
    version: Option<u64>,
    ahead: bool,
}

/// Copy of a host array on the device. All steps whose graphs contain the same [`Arc`] share the copy.
struct Shared {
    array: Arc<Array>,
    buffer: BufferId,
    leases: usize,
}

/// Device memory of a session.
#[derive(Default)]
pub(super) struct Holdings {
    residents: Vec<Resident>,
    shared: Vec<Shared>,
    leases: Vec<Lease>,
    by_name: HashMap<String, ResidentId>,
}

impl Holdings {
    /// Returns the number of variables on the device.
    pub fn variables(&self) -> usize {
        self.residents.len()
    }

    /// Returns the number of compiled steps on the device.
    pub fn steps(&self) -> usize {
        self.leases.len()
    }

    /// Frees the memory of dropped steps.
    pub fn release(&mut self, backend: &mut dyn Backend) {
        let leases = std::mem::take(&mut self.leases).into_iter();
        let (used, dropped): (Vec<_>, Vec<_>) = leases.partition(|lease| lease.step.strong_count() > 0);
        self.leases = used;
        for lease in dropped {
            self.free(backend, &lease);
        }
    }

    /// Allocates the buffers of a plan and loads the plan as a step of the session `session`. If this fails,
    /// everything that was allocated for the plan is freed.
    pub fn load(
        &mut self,
        backend: &mut dyn Backend,
        params: &Params,
        graph: &Graph,
        plan: Plan,
        session: usize,
    ) -> Result<Step> {
        let known = self.residents.len();
        let mut lease = Lease::default();
        match self.allocate(backend, params, graph, plan, session, &mut lease) {
            Ok(step) => {
                lease.step = Arc::downgrade(&step.0);
                self.leases.push(lease);
                Ok(step)
            }
            Err(error) => {
                for Resident { variable, buffer, .. } in self.residents.drain(known..) {
                    self.by_name.remove(variable.name());
                    lease.buffers.push(buffer);
                }
                self.free(backend, &lease);
                Err(error)
            }
        }
    }

    /// Allocates the buffers of a plan and loads the plan. What is allocated is added to `lease`, so that it can
    /// be freed if this fails.
    fn allocate(
        &mut self,
        backend: &mut dyn Backend,
        params: &Params,
        graph: &Graph,
        plan: Plan,
        session: usize,
        lease: &mut Lease,
    ) -> Result<Step> {
        let residents = self.reside(backend, params, &plan)?;
        let mut bound = Vec::with_capacity(plan.buffers.len());
        for buffer in &plan.buffers {
            bound.push(match &buffer.role {
                Role::Temp { .. } | Role::Passed => None,
                Role::Variable(variable) => Some(self.residents[residents[*variable].0].buffer),
                Role::Array(array) => Some(self.share(backend, array, &buffer.spec, lease)?),
                Role::Input(_) | Role::Schedule | Role::Fetch => {
                    let id = backend.allocate_per_step(&buffer.spec)?;
                    lease.buffers.push(id);
                    Some(id)
                }
            });
        }
        // A fetched variable that the step updates has a different value after each step of a run. Each value is
        // therefore copied to a slot of a per-step buffer.
        let (mut fetched, mut copies) = (vec![], vec![]);
        for fetch in &plan.fetches {
            let from = bound[fetch.buffer].expect("everything but temporaries is bound");
            let written = plan.variables.iter().any(|used| used.buffer == fetch.buffer && used.written);
            fetched.push(if written {
                let to = backend.allocate_per_step(&fetch.spec)?;
                lease.buffers.push(to);
                copies.push(StepCopy { from, to });
                to
            } else {
                from
            });
        }
        let plan = Arc::new(plan);
        let program = backend.load(plan.clone(), &bound, &copies)?;
        lease.program = Some(program);
        let (mode, graph, last) = (graph.mode(), graph.clone(), Last::default());
        Ok(Step(Arc::new(Loaded { plan, program, bound, fetched, residents, session, mode, graph, last })))
    }

    /// Returns the device buffer of a host array, which is uploaded on first use.
    fn share(
        &mut self,
        backend: &mut dyn Backend,
        array: &Arc<Array>,
        spec: &Spec,
        lease: &mut Lease,
    ) -> Result<BufferId> {
        if let Some(known) = self.shared.iter_mut().find(|known| Arc::ptr_eq(&known.array, array)) {
            known.leases += 1;
            lease.arrays.push(array.clone());
            return Ok(known.buffer);
        }
        let buffer = backend.allocate(spec)?;
        self.shared.push(Shared { array: array.clone(), buffer, leases: 1 });
        lease.arrays.push(array.clone());
        backend.write(buffer, array, 1)?;
        Ok(buffer)
    }

    fn free(&mut self, backend: &mut dyn Backend, lease: &Lease) {
        backend.release(lease.program, &lease.buffers);
        for array in &lease.arrays {
            let at = self.shared.iter().position(|known| Arc::ptr_eq(&known.array, array));
            let at = at.expect("an array is shared while a lease has it");
            self.shared[at].leases -= 1;
            if self.shared[at].leases == 0 {
                backend.release(None, &[self.shared.swap_remove(at).buffer]);
            }
        }
    }

    /// Returns the ids of a plan's variables on the device. Buffers are allocated on first use. The buffers of
    /// parameters are placed next to each other, and so are the buffers of optimizer state that one kernel updates
    /// for many parameters.
    fn reside(&mut self, backend: &mut dyn Backend, params: &Params, plan: &Plan) -> Result<Vec<ResidentId>> {
        let grouped = plan.grouped();
        let mut new: [Vec<&Variable>; 3] = Default::default();
        for UsedVariable { variable, buffer, .. } in &plan.variables {
            if !variable.belongs_to(params) {
                return Err(ParamsError::OtherParams { name: variable.name().into() }.into());
            }
            if !self.by_name.contains_key(variable.name()) {
                let place = match variable.kind() {
                    Kind::Parameter => 0,
                    _ if grouped.contains(buffer) => 1,
                    _ => 2,
                };
                new[place].push(variable);
            }
        }
        for (place, variables) in new.into_iter().enumerate() {
            let specs: Vec<&Spec> = variables.iter().map(|variable| variable.spec()).collect();
            let buffers = if place < 2 { backend.allocate_together(&specs)? } else { allocate_apart(backend, &specs)? };
            for (variable, buffer) in variables.into_iter().zip(buffers) {
                self.by_name.insert(variable.name().into(), ResidentId(self.residents.len()));
                self.residents.push(Resident { variable: variable.clone(), buffer, version: None, ahead: false });
            }
        }
        Ok(plan.variables.iter().map(|used| self.by_name[used.variable.name()]).collect())
    }

    /// Writes to the device those variables of a step that were changed on the host.
    pub fn upload(&mut self, backend: &mut dyn Backend, step: &Step) -> Result<()> {
        for (used, &at) in step.0.plan.variables.iter().zip(&step.0.residents) {
            let resident = &mut self.residents[at.0];
            if resident.version != Some(used.variable.version()) {
                let (array, version) = used.variable.host();
                backend.write(resident.buffer, &array, 1)?;
                (resident.version, resident.ahead) = (Some(version), false);
            }
        }
        Ok(())
    }

    /// Records that the variables that a step updates have newer values on the device than on the host.
    pub fn mark_ahead(&mut self, step: &Step) {
        for (used, &at) in step.0.plan.variables.iter().zip(&step.0.residents) {
            let resident = &mut self.residents[at.0];
            if used.written && !resident.ahead {
                resident.ahead = true;
                used.variable.mark_ahead();
            }
        }
    }

    /// Returns the variables whose newest values are on the device, and how to read these values.
    pub fn ahead(&self) -> (Vec<ResidentId>, Vec<Read>) {
        let ahead = (0..self.residents.len()).filter(|&i| self.residents[i].ahead);
        let read = |i: usize| {
            let Resident { variable, buffer, .. } = &self.residents[i];
            (ResidentId(i), Read { buffer: *buffer, spec: variable.spec().clone(), steps: None })
        };
        ahead.map(read).unzip()
    }

    /// Sets a variable on the host to the value `array` read from the device.
    pub fn set(&mut self, at: ResidentId, array: Array) -> Result<()> {
        let resident = &mut self.residents[at.0];
        resident.variable.set(array)?;
        resident.version = Some(resident.variable.version());
        resident.ahead = false;
        Ok(())
    }
}

/// Allocates a buffer for each spec. If an allocation fails, the buffers allocated before are freed.
fn allocate_apart(backend: &mut dyn Backend, specs: &[&Spec]) -> Result<Vec<BufferId>> {
    let mut buffers = Vec::with_capacity(specs.len());
    for spec in specs {
        match backend.allocate(spec) {
            Ok(buffer) => buffers.push(buffer),
            Err(error) => {
                backend.release(None, &buffers);
                return Err(error);
            }
        }
    }
    Ok(buffers)
}
