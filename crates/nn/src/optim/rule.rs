//! The interface of an update rule: a new optimizer is its options and the update of one parameter.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use wgrad_core::{Array, Counter, DType, Graph, Init, InvalidArgument, Kind, Tensor, Variable};

use super::{Hyperparameter, LearningRate};

/// The update of one parameter: the part in which optimizers differ.
///
/// [`Descent`](super::Descent) adds everything that optimizers have in common: learning rate, weight decay, parameter
/// groups, clipping, accumulation. So a new optimizer is a struct of its options and one formula:
///
/// ```
/// use wgrad_core::{CpuBackend, Graph, Init, Kind, InvalidArgument, Mode, Params, Session, Tensor};
/// use wgrad_nn::optim::{Descent, Optimizer, ParamUpdate, UpdateRule};
///
/// /// Steps of one length, independent of the gradient's size: p −= lr · sign(g).
/// #[derive(Clone, Debug, Default)]
/// struct Signs;
///
/// impl UpdateRule for Signs {
///     const NAME: &'static str = "Signs";
///     fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
///         at.value() - at.decayed_gradient().sign() * at.lr()
///     }
/// }
///
/// let params = Params::seeded(0);
/// let w = params.variable("w", [], Kind::Parameter, Init::Constant(1.0));
/// let graph = Graph::new(Mode::Train);
/// Descent::by(Signs, 0.25).minimize(&(graph.variable(&w) * 7.0));
/// let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
/// let step = session.compile(&graph, &[])?;
/// session.submit(&step, &[])?;
/// session.sync()?;
/// assert_eq!(w.value()?.item()?, 0.75);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
pub trait UpdateRule: Clone + fmt::Debug + 'static {
    /// Name of the optimizer in messages.
    const NAME: &'static str;

    /// Traces the parameter's new value. Called once per parameter and graph; new state is stored with
    /// [`ParamUpdate::keep`].
    #[track_caller]
    fn update(&self, at: &ParamUpdate<'_>) -> Tensor;

    /// Returns the error if an option is invalid.
    fn invalid(&self) -> Option<InvalidArgument> {
        None
    }

    /// Returns the hyperparameter that schedules of the momentum change: the momentum, or the first beta.
    fn momentum(&mut self) -> Option<&mut Hyperparameter> {
        None
    }
}

/// Step number and settings of a step, from which the host computes per-step numbers.
#[derive(Clone, Copy, Debug)]
pub struct StepInfo {
    /// Number of the parameter's step, from 1.
    pub t: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// Numbers that the host computes before each step, by name and first step; parameters of a group share them.
pub(super) type Numbers = RefCell<HashMap<(String, u64), Tensor>>;

/// One parameter's update as an [`UpdateRule`] sees it: value, gradient, state, and numbers computed per step.
pub struct ParamUpdate<'a> {
    pub(super) variable: Variable,
    pub(super) value: Tensor,
    pub(super) gradient: Tensor,
    /// Scope of the optimizer's state.
    pub(super) scope: &'a str,
    pub(super) lr: &'a LearningRate,
    pub(super) weight_decay: f64,
    /// The optimizer's step counter, and its value when this parameter took part for the first time.
    pub(super) counters: [Counter; 2],
    pub(super) numbers: &'a Numbers,
}

impl fmt::Debug for ParamUpdate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParamUpdate({:?})", self.variable)
    }
}

impl ParamUpdate<'_> {
    fn graph(&self) -> &Graph {
        self.value.graph()
    }

    /// Returns the parameter before the step.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// Returns the gradient after clipping; its negative if the optimizer maximizes.
    pub fn gradient(&self) -> &Tensor {
        &self.gradient
    }

    /// Returns the gradient plus weight decay, `g + weight_decay · p`.
    #[track_caller]
    pub fn decayed_gradient(&self) -> Tensor {
        match self.weight_decay {
            0.0 => self.gradient.clone(),
            decay => &self.gradient + &self.value * decay,
        }
    }

    /// Returns `p − change` with decoupled weight decay: `p · (1 − lr · weight_decay) − change`.
    #[track_caller]
    pub fn decayed_minus(&self, change: Tensor) -> Tensor {
        if self.weight_decay == 0.0 {
            return &self.value - change;
        }
        let shrink = self.number("lr * weight_decay", &[], |now, _| now.lr * now.weight_decay);
        &self.value - (change + &self.value * shrink)
    }

    /// Returns the learning rate, which is read before each step.
    #[track_caller]
    pub fn lr(&self) -> Tensor {
        self.number("lr", &[], |now, _| now.lr)
    }

    /// Returns a number that the host computes in `f64` before each step, from the step and the values of `settings`.
    ///
    /// Calls with the same `name` in one parameter group share one number.
    #[track_caller]
    pub fn number<const N: usize>(
        &self,
        name: &str,
        settings: &[&Hyperparameter; N],
        value: impl Fn(StepInfo, [f64; N]) -> f64 + Send + Sync + 'static,
    ) -> Tensor {
        let key = (name.to_string(), self.counters[1].get());
        if let Some(known) = self.numbers.borrow().get(&key) {
            return known.clone();
        }
        let ([steps, before], lr, weight_decay) = (self.counters.clone(), self.lr.clone(), self.weight_decay);
        let settings: [Hyperparameter; N] = settings.map(Clone::clone);
        let number = self.graph().scheduled(name, DType::F32, move || {
            let count = steps.get();
            let t = count.saturating_sub(before.get()) as f64 + 1.0;
            value(StepInfo { t, lr: lr.at(count), weight_decay }, settings.each_ref().map(|setting| setting.at(count)))
        });
        self.numbers.borrow_mut().insert(key, number.clone());
        number
    }

    /// Returns a number computed from a hyperparameter: a constant, or a per-step number if the hyperparameter can
    /// change.
    #[track_caller]
    pub fn derived(
        &self,
        setting: &Hyperparameter,
        name: &str,
        value: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Tensor {
        if setting.is_shared() {
            return self.number(name, &[setting], move |_, [setting]| value(setting));
        }
        self.graph().constant(value(setting.get()))
    }

    #[track_caller]
    fn variable_of(&self, name: &str, begin: f64) -> Variable {
        let scope = self.variable.params().at(self.scope).at(self.variable.name());
        let known = begin == 0.0 || scope.get(name).is_ok();
        let variable = scope.variable(name, self.variable.shape(), Kind::State, Init::Constant(begin));
        if !known {
            // `Init` has the precision of f32; `set` keeps all digits for a device that computes in f64.
            let values = vec![begin; variable.shape().numel()];
            let all = Array::new(variable.shape(), values).and_then(|values| variable.set(values));
            all.expect("one number per element");
        }
        variable
    }

    /// Returns the state `<scope>.<parameter>.<name>` before the step. It has the parameter's shape and is initially
    /// 0.
    #[track_caller]
    pub fn state(&self, name: &str) -> Tensor {
        self.state_from(name, 0.0)
    }

    /// Returns the state `name` before the step, initially `begin`.
    #[track_caller]
    pub fn state_from(&self, name: &str, begin: f64) -> Tensor {
        self.graph().variable(&self.variable_of(name, begin))
    }

    /// Stores the new value of a state, which [`Self::state`] returns in the next step.
    #[track_caller]
    pub fn keep(&self, name: &str, value: &Tensor) {
        self.graph().update(&self.variable_of(name, 0.0), value);
    }
}

/// Returns an error if `value` is negative or not finite.
pub(super) fn not_negative(what: &str, value: f64) -> Option<InvalidArgument> {
    (!(value.is_finite() && value >= 0.0))
        .then(|| InvalidArgument::new(format!("{what} must be a number that is not negative, not {value}")))
}

/// Returns an error if a beta is outside `[0, 1)`.
pub(super) fn betas(first: f64, second: f64) -> Option<InvalidArgument> {
    let beta = |name: &str, beta: f64| {
        (!(0.0..1.0).contains(&beta))
            .then(|| InvalidArgument::new(format!("{name} must be at least 0 and below 1, not {beta}")))
    };
    beta("the first beta", first).or_else(|| beta("the second beta", second))
}
