//! Tests of a session's buffers: freed when a compile fails or a step is dropped, shared where possible.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use wgrad_core::{
    Array, Backend, BufferId, CpuBackend, DType, DeviceError, DeviceInfo, Error, Fetching, Graph, Init, Kind, Limits,
    MemoryRequest, Mode, OutOfMemory, Params, Pending, Plan, ProgramId, Read, Result, Session, Spec, Step, StepCopy,
    Tensor, Variable, memory_of_host,
};

/// Record of a device's buffers, and the number of allocations after which the device has no memory left.
#[derive(Default)]
struct Ledger {
    held: BTreeSet<usize>,
    programs: usize,
    made: usize,
    room: Option<usize>,
    refuse_programs: bool,
}

impl Ledger {
    fn allocate(&mut self) -> Result<()> {
        if self.room == Some(self.made) {
            let request = MemoryRequest::Buffer { bytes: 7 };
            return Err(OutOfMemory { device: DeviceInfo::default(), request, bill: None }.into());
        }
        self.made += 1;
        Ok(())
    }
}

/// Ledger that the test and the backend share.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Ledger>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap()
    }
}

/// CPU backend that records its buffers in a ledger.
struct Audited(CpuBackend<f32>, Shared);

impl From<Audited> for Box<dyn Backend> {
    fn from(backend: Audited) -> Self {
        Box::new(backend)
    }
}

impl Backend for Audited {
    fn device(&self) -> DeviceInfo {
        self.0.device()
    }
    fn limits(&self) -> Limits {
        self.0.limits()
    }
    fn allocate(&mut self, spec: &Spec) -> Result<BufferId> {
        self.1.lock().allocate()?;
        let id = self.0.allocate(spec)?;
        assert!(self.1.lock().held.insert(id.0), "handed out twice");
        Ok(id)
    }
    fn allocate_per_step(&mut self, spec: &Spec) -> Result<BufferId> {
        self.1.lock().allocate()?;
        let id = self.0.allocate_per_step(spec)?;
        assert!(self.1.lock().held.insert(id.0), "handed out twice");
        Ok(id)
    }
    fn write(&mut self, buffer: BufferId, array: &Array, rows: usize) -> Result<()> {
        self.0.write(buffer, array, rows)
    }
    fn read(&mut self, reads: &[Read]) -> Result<Pending> {
        self.0.read(reads)
    }
    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>], copies: &[StepCopy]) -> Result<ProgramId> {
        if self.1.lock().refuse_programs {
            return Err(DeviceError::LostBefore.into());
        }
        self.1.lock().programs += 1;
        self.0.load(plan, bound, copies)
    }
    fn release(&mut self, program: Option<ProgramId>, buffers: &[BufferId]) {
        self.1.lock().programs -= usize::from(program.is_some());
        for buffer in buffers {
            assert!(self.1.lock().held.remove(&buffer.0), "given back twice");
        }
        self.0.release(program, buffers);
    }
    fn run(&mut self, program: ProgramId, steps: usize) -> Result<()> {
        self.0.run(program, steps)
    }
    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        self.0.profile(program)
    }
}

fn session() -> (Params, Session, Shared) {
    let (params, ledger) = (Params::seeded(0), Shared::default());
    let session = Session::new(Audited(CpuBackend::new(), ledger.clone()), &params).unwrap();
    (params, session, ledger)
}

/// Traces a graph that computes `scale · table + x·lr` and updates `scale`. It uses every kind of buffer.
fn graph(params: &Params, name: &str, table: &Arc<Array>) -> (Graph, [Tensor; 3]) {
    let variable = params.variable(name, [2], Kind::State, Init::Constant(1.0));
    let graph = Graph::new(Mode::Train);
    let (x, scale) = (graph.input("x", [2], DType::F32), graph.variable(&variable));
    let lr = graph.scheduled("lr", DType::F32, || 0.5);
    let y = &scale * graph.array(table.clone()) + &x * &lr;
    graph.update(&variable, &(&scale * 2.0));
    (graph, [x, y, scale])
}

#[test]
fn a_compile_that_fails_gives_everything_back() {
    let (params, mut session, ledger) = session();
    let table = Arc::new(Array::vector(vec![1f32, 2.0]));
    let (graph, [_, y, scale]) = graph(&params, "a", &table);
    let held = |ledger: &Shared| {
        let ledger = ledger.lock();
        (ledger.held.len(), ledger.programs)
    };
    let needed = {
        let step = session.compile(&graph, &[&y, &scale]).unwrap();
        drop(step);
        ledger.lock().made
    };
    assert!(needed >= 5, "a table, an input, a schedule, a variable and a fetch");
    // A new session, which has no buffers yet.
    let (other, mut session, ledger) = self::session();
    let (graph, [x, y, scale]) = self::graph(&other, "a", &table);
    for room in 0..needed {
        *ledger.lock() = Ledger { room: Some(room), ..Ledger::default() };
        let error = session.compile(&graph, &[&y, &scale]).unwrap_err();
        assert!(
            matches!(&error, Error::OutOfMemory(error) if error.to_string().contains(" no room for 7 B more\n  the plan needs ")),
            "{error}"
        );
        assert_eq!(held(&ledger), (0, 0), "with room for {room}");
    }
    *ledger.lock() = Ledger { refuse_programs: true, ..Ledger::default() };
    assert_eq!(session.compile(&graph, &[&y, &scale]).unwrap_err().to_string(), DeviceError::LostBefore.to_string());
    assert_eq!(held(&ledger), (0, 0));
    // With enough memory, compiling and running succeed.
    ledger.lock().refuse_programs = false;
    let step = session.compile(&graph, &[&y, &scale]).unwrap();
    let results = session.run(&step, &[(&x, &Array::vector(vec![2f32, 4.0]))]).unwrap();
    assert_eq!(results[0].to_f32(), [2.0, 4.0]);
    assert_eq!(held(&ledger), (needed, 1));
}

#[test]
fn steps_share_an_array_and_the_last_gives_it_back() {
    let (params, mut session, ledger) = session();
    let table = Arc::new(Array::vector(vec![1f32, 2.0]));
    let steps: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let (graph, [_, y, _]) = graph(&params, name, &table);
            session.compile(&graph, &[&y]).unwrap()
        })
        .collect();
    // Each step has an input, a schedule, a fetch and a variable; the two steps share the table.
    assert_eq!(ledger.lock().held.len(), 2 * 4 + 1);
    let release = |session: &mut Session| {
        // A session frees the buffers of dropped steps at the next compile; the step compiled here needs none.
        drop(session.compile(&Graph::new(Mode::Evaluate), &[]).unwrap());
    };
    let [first, second] = <[_; 2]>::try_from(steps).unwrap();
    drop(first);
    release(&mut session);
    assert_eq!(ledger.lock().held.len(), 4 + 1 + 1, "the other variable stays");
    drop(second);
    release(&mut session);
    assert_eq!(ledger.lock().held.len(), 2, "two variables");
}

#[test]
fn variables_without_room_are_given_back() {
    // Variables of kind `Buffer` are allocated separately, those of kind `Parameter` next to each other in memory.
    for kind in [Kind::Buffer, Kind::Parameter] {
        let (params, mut session, ledger) = session();
        let graph = Graph::new(Mode::Evaluate);
        let all =
            ["a", "b", "c", "d"].map(|name| graph.variable(&params.variable(name, [4], kind, Init::Constant(1.0))));
        let sum = all.iter().skip(1).fold(all[0].clone(), |sum, x| sum + x);
        for room in 0..5 {
            *ledger.lock() = Ledger { room: Some(room), ..Ledger::default() };
            let error = session.compile(&graph, &[&sum]).unwrap_err().to_string();
            let kind = if kind == Kind::Buffer { "running statistics" } else { "parameters" };
            let bill = format!(
                " has no room for 7 B more\n  the plan needs 80 B: {kind} 64 B, inputs and results 16 B\n  the largest is "
            );
            assert!(error.contains(&bill) && error.contains("  ways out:\n    1. a smaller batch"), "{error}");
            assert!(ledger.lock().held.is_empty(), "{kind} with room for {room}");
        }
        ledger.lock().room = None;
        let step = session.compile(&graph, &[&sum]).unwrap();
        assert_eq!(session.run(&step, &[]).unwrap()[0].to_f32(), [4.0; 4]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_cpu_refuses_a_plan_larger_than_memory() {
    let room = memory_of_host();
    assert!((1 << 26..1 << 50).contains(&room), "{room}");
    let graph = Graph::new(Mode::Evaluate);
    let (x, y) = (graph.input("x", [1 << 24, 1], DType::F32), graph.input("y", [1, 1 << 24], DType::F32));
    let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0)).unwrap();
    let error = session.compile(&graph, &[&(&x * &y)]).unwrap_err().to_string();
    assert!(error.contains(" may take ") && error.contains("\n  the plan needs 10485"), "{error}");
}

fn sends<T: Send>(_: &T) {}
fn is_send<T: Send>() {}
fn is_send_and_sync<T: Send + Sync>() {}

#[test]
fn what_a_server_holds_crosses_threads() {
    is_send::<Session>();
    is_send::<Fetching>();
    is_send::<Box<dyn Backend>>();
    is_send_and_sync::<Step>();
    is_send_and_sync::<Params>();
    is_send_and_sync::<Variable>();
    is_send_and_sync::<Graph>();
    is_send_and_sync::<Tensor>();
    is_send_and_sync::<Plan>();
    is_send_and_sync::<Error>();
    let graph = Graph::new(Mode::Evaluate);
    let y = graph.constant(1.0) + 1.0;
    let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0)).unwrap();
    let step = session.compile(&graph, &[&y]).unwrap();
    // The futures are also `Send`, as the tasks of an async runtime must be.
    sends(&session.run_async(&step, &[]));
    sends(&session.fetch_async(&step));
    sends(&session.sync_async());
}
