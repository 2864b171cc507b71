//! Named variables: parameters, buffers and optimizer state. Names are dotted paths.

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::graph::owner::{Claims, Owner};
use crate::host::init::Init;
use crate::host::random::Stream;
use crate::{Array, ParamsError, Result, Shape, Spec, TorchRandom};

/// Purpose of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Parameter that an optimizer trains; saved in the state dict.
    Parameter,
    /// Buffer that the forward pass updates, such as running statistics; saved in the state dict.
    Buffer,
    /// Optimizer state or gradient accumulator; saved in checkpoints, but not in the state dict.
    State,
}

struct Entry {
    name: Arc<str>,
    kind: Kind,
    spec: Spec,
    value: Arc<Array>,
    /// Number of times that the host value was changed, from which sessions see that they must upload the value.
    version: u64,
    trainable: bool,
    /// True if a session's device has a newer value than the host.
    ahead: bool,
}

#[derive(Default)]
struct Store {
    seed: u64,
    /// PyTorch's random generator, if all initial values are drawn from this generator, instead of from a separate
    /// stream for each name.
    torch: Option<Box<TorchRandom>>,
    entries: Vec<Entry>,
    by_name: HashMap<Arc<str>, usize>,
    counters: Vec<(Arc<str>, Counter)>,
    error: Option<ParamsError>,
    claims: Claims,
}

impl Store {
    /// Draws the initial value of a variable.
    fn draw(&mut self, name: &str, shape: &Shape, init: Init) -> Arc<Array> {
        let values = match &mut self.torch {
            Some(random) => random.fill(shape.numel(), init),
            None => init.fill(shape, Stream::named(self.seed, name)),
        };
        Array::new(shape, values).expect("one value per element").into()
    }
}

/// Number that the host increments after every training run; saved in the state dict.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<std::sync::atomic::AtomicU64>);

impl Counter {
    /// Returns the count.
    pub fn get(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Sets the count.
    pub fn set(&self, value: u64) {
        self.0.store(value, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Variables of a model and its optimizers. A `Params` value is a handle to one scope, a prefix of variable names.
///
/// Clones and nested scopes share one store of variables. Initial values depend only on the seed and a variable's
/// full name, so adding a layer does not change the initial values of other layers. With [`Params::torch_seed`],
/// all initial values are instead drawn from one generator, in the order of declaration.
///
/// ```
/// use wgrad_core::{Init, Kind, Params};
/// let params = Params::seeded(7);
/// let weight = params.at("layer1").at("0").variable("weight", [2, 3], Kind::Parameter, Init::Uniform(-0.5, 0.5));
/// assert_eq!(weight.name(), "layer1.0.weight");
/// assert_eq!(params.get("layer1.0.weight")?.shape().dims(), [2, 3]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Params {
    store: Arc<Mutex<Store>>,
    path: String,
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Params({:?}, {} variables)", self.path, self.lock().entries.len())
    }
}

impl Params {
    /// Creates an empty store, whose seed for initial values is `seed`.
    pub fn seeded(seed: u64) -> Self {
        let params = Self::default();
        params.lock().seed = seed;
        params
    }

    /// Creates an empty store whose initial values equal those of PyTorch after `torch.manual_seed(seed)`, bit for
    /// bit.
    ///
    /// All initial values are drawn from one generator, in the order in which layers are built, so layers must be
    /// built in the same order as in PyTorch. A trainer also shuffles rows as PyTorch's `DataLoader` does. The
    /// bits are those of PyTorch on a CPU with AVX2; see [`TorchRandom`]. Dropout does not draw the same numbers
    /// as in PyTorch.
    ///
    /// ```
    /// use wgrad_core::{Init, Kind, Params};
    /// let params = Params::torch_seed(0);
    /// // torch.manual_seed(0); torch.empty(3).uniform_(-1, 1)
    /// let weight = params.variable("weight", [3], Kind::Parameter, Init::Uniform(-1.0, 1.0));
    /// assert_eq!(weight.value()?.to_f32(), [-0.007486820, 0.53644359, -0.82304513]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    pub fn torch_seed(seed: u64) -> Self {
        let params = Self::seeded(seed);
        params.lock().torch = Some(Box::new(TorchRandom::new(seed)));
        params
    }

    /// Calls `draw` with the generator of [`Params::torch_seed`]. Layers that are built later do not receive the
    /// numbers that `draw` takes. Returns `None` if this store has no such generator.
    ///
    /// Layers call this function where PyTorch draws numbers and discards them.
    pub fn with_torch_random<T>(&self, draw: impl FnOnce(&mut TorchRandom) -> T) -> Option<T> {
        self.lock().torch.as_deref_mut().map(draw)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.lock().seed
    }

    /// Returns the scope `scope` nested in this scope, with the same store.
    pub fn at(&self, scope: impl fmt::Display) -> Self {
        Self { store: self.store.clone(), path: self.full(&scope.to_string()) }
    }

    /// Returns the scope's dotted path; empty for the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    fn full(&self, name: &str) -> String {
        match (self.path.is_empty(), name.is_empty()) {
            (true, _) => name.into(),
            (_, true) => self.path.clone(),
            _ => format!("{}.{name}", self.path),
        }
    }

    /// Declares the variable `name` in this scope.
    ///
    /// Declaring a parameter or buffer twice records an error in the store, which `compile` reports. Optimizer
    /// state may be declared again, so that a second graph of the same model uses the state of the first.
    #[track_caller]
    pub fn variable(&self, name: &str, shape: impl Into<Shape>, kind: Kind, init: Init) -> Variable {
        let name: Arc<str> = self.full(name).into();
        let spec = Spec::f32(shape);
        let mut store = self.lock();
        let known = store.by_name.get(&name).copied();
        let id = if let Some(id) = known {
            let entry = &store.entries[id];
            if entry.spec != spec || kind != Kind::State || entry.kind != kind {
                let (name, spec, earlier) = (name.to_string(), spec.clone(), entry.spec.clone());
                let error = ParamsError::Redeclared { name, spec, earlier, at: Location::caller() };
                store.error.get_or_insert(error);
            }
            id
        } else {
            let value = store.draw(&name, &spec.shape, init);
            let trainable = kind == Kind::Parameter;
            let entry = Entry { name: name.clone(), kind, spec, value, version: 0, trainable, ahead: false };
            store.entries.push(entry);
            let id = store.entries.len() - 1;
            store.by_name.insert(name, id);
            id
        };
        drop(store);
        self.nth(id)
    }

    fn nth(&self, id: usize) -> Variable {
        let store = self.lock();
        let Entry { name, kind, spec, .. } = &store.entries[id];
        let params = Self { store: self.store.clone(), path: String::new() };
        Variable { params, id, name: name.clone(), kind: *kind, spec: spec.clone() }
    }

    /// Returns the counter `name` in this scope, which is created on first use.
    pub fn counter(&self, name: &str) -> Counter {
        let name = self.full(name);
        let mut store = self.lock();
        if let Some((_, counter)) = store.counters.iter().find(|(known, _)| **known == *name) {
            return counter.clone();
        }
        let counter = Counter::default();
        store.counters.push((name.into(), counter.clone()));
        counter
    }

    /// Returns all counters with their names.
    pub fn counters(&self) -> Vec<(Arc<str>, Counter)> {
        self.lock().counters.clone()
    }

    /// Returns all variables, in the order of declaration.
    pub fn variables(&self) -> Vec<Variable> {
        let count = self.lock().entries.len();
        (0..count).map(|id| self.nth(id)).collect()
    }

    /// Returns all parameters, in the order of declaration.
    pub fn parameters(&self) -> Vec<Variable> {
        let ids: Vec<usize> = {
            let store = self.lock();
            (0..store.entries.len()).filter(|&id| store.entries[id].kind == Kind::Parameter).collect()
        };
        ids.into_iter().map(|id| self.nth(id)).collect()
    }

    /// Claims this scope for the state of `owner`: see [`Graph::claim`](crate::Graph::claim).
    pub(crate) fn claim(&self, owner: &Owner, settings: &str) -> Option<Owner> {
        self.lock().claims.claim(&self.path, owner, settings)
    }

    /// Returns the variable `name` in this scope.
    ///
    /// # Errors
    /// Returns [`ParamsError::Unknown`], with the names of all variables, if there is no such variable.
    pub fn get(&self, name: &str) -> Result<Variable> {
        let name = self.full(name);
        let known = self.lock().by_name.get(name.as_str()).copied();
        known.map(|id| self.nth(id)).ok_or_else(|| {
            let known: Vec<_> = self.lock().entries.iter().map(|entry| entry.name.to_string()).collect();
            let nearest = crate::nearest(&name, known.iter().map(String::as_str)).map(str::to_string);
            ParamsError::Unknown { name, known, nearest }.into()
        })
    }

    /// Sets whether the parameters of this scope are trained; `false` freezes them.
    ///
    /// This affects only optimizers that are traced after the call.
    pub fn set_trainable(&self, trainable: bool) {
        let prefix = self.full("");
        let inside = |name: &str| {
            prefix.is_empty() || name.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        for entry in &mut self.lock().entries {
            if entry.kind == Kind::Parameter && inside(&entry.name) {
                entry.trainable = trainable;
            }
        }
    }

    /// Checks that no parameter or buffer was declared twice.
    ///
    /// # Errors
    /// Returns [`ParamsError::Redeclared`] if a parameter or buffer was declared twice.
    pub fn check(&self) -> Result<()> {
        self.lock().error.clone().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Named array that persists between runs: a parameter, a buffer, or optimizer state.
#[derive(Clone)]
pub struct Variable {
    params: Params,
    id: usize,
    name: Arc<str>,
    kind: Kind,
    spec: Spec,
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variable({} {})", self.name, self.spec)
    }
}

impl Variable {
    pub(crate) fn id(&self) -> usize {
        self.id
    }

    pub(crate) fn same_store(&self, other: &Self) -> bool {
        self.belongs_to(&other.params)
    }

    pub(crate) fn belongs_to(&self, params: &Params) -> bool {
        Arc::ptr_eq(&self.params.store, &params.store)
    }

    /// Returns the full dotted name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the purpose.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the shape and element type.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Returns the shape.
    pub fn shape(&self) -> &Shape {
        &self.spec.shape
    }

    /// Returns the root scope of the variable's store.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Returns whether optimizers train this variable.
    pub fn is_trainable(&self) -> bool {
        self.params.lock().entries[self.id].trainable
    }

    /// Returns the value on the host.
    ///
    /// # Errors
    /// When a session's device has a newer value: call [`Session::sync`](crate::Session::sync) first.
    pub fn value(&self) -> Result<Arc<Array>> {
        let store = self.params.lock();
        let entry = &store.entries[self.id];
        if entry.ahead {
            return Err(ParamsError::OutOfDate { name: self.name.to_string() }.into());
        }
        Ok(entry.value.clone())
    }

    /// Sets the value on the host, which sessions upload before their next run.
    ///
    /// # Errors
    /// When the shape or type of `value` differs from the variable's.
    pub fn set(&self, value: Array) -> Result<()> {
        if *value.shape() != self.spec.shape || !value.dtype().feeds(self.spec.dtype) {
            let (name, spec) = (self.name.to_string(), self.spec.clone());
            return Err(ParamsError::Spec { name, spec, value: value.spec() }.into());
        }
        let mut store = self.params.lock();
        let entry = &mut store.entries[self.id];
        entry.value = value.into();
        entry.version += 1;
        entry.ahead = false;
        Ok(())
    }

    /// Draws a new initial value for this variable, as the functions of `torch.nn.init` do in PyTorch.
    ///
    /// ```
    /// use wgrad_core::{Init, Kind, Params};
    /// let params = Params::seeded(7);
    /// let weight = params.variable("weight", [4], Kind::Parameter, Init::Uniform(-0.5, 0.5));
    /// weight.reset(Init::Constant(1.0));
    /// assert_eq!(weight.value()?.to_f32(), [1.0; 4]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    pub fn reset(&self, init: Init) {
        let mut store = self.params.lock();
        let value = store.draw(&self.name, &self.spec.shape, init);
        let entry = &mut store.entries[self.id];
        entry.value = value;
        entry.version += 1;
        entry.ahead = false;
    }

    /// Returns the value on the host and its version number, even if a device has a newer value.
    pub(crate) fn host(&self) -> (Arc<Array>, u64) {
        let store = self.params.lock();
        let entry = &store.entries[self.id];
        (entry.value.clone(), entry.version)
    }

    pub(crate) fn mark_ahead(&self) {
        self.params.lock().entries[self.id].ahead = true;
    }

    pub(crate) fn version(&self) -> u64 {
        self.params.lock().entries[self.id].version
    }
}
