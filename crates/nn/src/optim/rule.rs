//! The interface of an update rule. To add an optimizer, define a struct of its options and the update of one
//! parameter.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use wgrad_core::{Array, Counter, DType, Graph, Init, InvalidArgument, Kind, Tensor, Variable};

use super::{Hyperparameter, LearningRate};

/// Update rule of one parameter, which is the part in which optimizers differ.
///
/// [`Descent`](super::Descent) adds everything that optimizers have in common: learning rate, weight decay,
/// parameter groups, clipping and gradient accumulation. So a new optimizer needs only a struct of its options and
/// one formula:
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

    /// Traces the ops that compute the parameter's new value, and returns the new value. This function is called
    /// once per parameter and graph. It stores new state with [`ParamUpdate::keep`].
    #[track_caller]
    fn update(&self, at: &ParamUpdate<'_>) -> Tensor;

    /// Returns an error if an option is invalid.
    fn invalid(&self) -> Option<InvalidArgument> {
        None
    }

    /// Returns the hyperparameter that a schedule of the momentum changes (the momentum or the first beta), or
    /// `None` (the default) if there is none.
    fn momentum(&mut self) -> Option<&mut Hyperparameter> {
        None
    }
}

/// Step number and settings from which the host computes numbers before each step.
#[derive(Clone, Copy, Debug)]
pub struct StepInfo {
    /// Number of the parameter's step, counted from 1.
    pub t: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// Numbers that the host computes before each step. The key contains the number's name and the step count before
/// the parameter's first step, so parameters of a group with the same first step share a number.
pub(super) type Numbers = RefCell<HashMap<(String, u64), Tensor>>;

/// Everything that an [`UpdateRule`] needs to update one parameter: its value, gradient and state, and the numbers
/// that the host computes before each step.
pub struct ParamUpdate<'a> {
    pub(super) variable: Variable,
    pub(super) value: Tensor,
    pub(super) gradient: Tensor,
    /// Scope of the optimizer's state.
    pub(super) scope: &'a str,
    pub(super) lr: &'a LearningRate,
    pub(super) weight_decay: f64,
    /// The optimizer's step counter, and a counter with the step count before this parameter's first step.
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

    /// Returns the value of the parameter before the step.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// Returns the gradient after clipping, or its negative if the optimizer maximizes the loss.
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

    /// Returns the parameter `p` after decoupled weight decay, minus `change`:
    /// `p · (1 − lr · weight_decay) − change`.
    #[track_caller]
    pub fn decayed_minus(&self, change: Tensor) -> Tensor {
        if self.weight_decay == 0.0 {
            return &self.value - change;
        }
        let shrink = self.number("lr * weight_decay", &[], |now, _| now.lr * now.weight_decay);
        &self.value - (change + &self.value * shrink)
    }

    /// Returns the learning rate, which the host reads before each step.
    #[track_caller]
    pub fn lr(&self) -> Tensor {
        self.number("lr", &[], |now, _| now.lr)
    }

    /// Returns a scalar that the host computes before each step: the result of `value`, computed in `f64` from the
    /// step and the values of `settings`.
    ///
    /// Calls with the same `name` in the same parameter group share one scalar.
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

    /// Returns a scalar computed from the hyperparameter `setting`. If the hyperparameter can change, the host
    /// computes the scalar before each step; otherwise it is a constant.
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
            // `Init` has only the precision of f32; `set` keeps the full precision for a device that computes in
            // f64.
            let values = vec![begin; variable.shape().numel()];
            let all = Array::new(variable.shape(), values).and_then(|values| variable.set(values));
            all.expect("one number per element");
        }
        variable
    }

    /// Returns the value of the state variable `<scope>.<parameter>.<name>` before the step. It has the
    /// parameter's shape and is initially 0.
    #[track_caller]
    pub fn state(&self, name: &str) -> Tensor {
        self.state_from(name, 0.0)
    }

    /// Returns the value of the state variable `<scope>.<parameter>.<name>` before the step. It is initially
    /// `begin`.
    #[track_caller]
    pub fn state_from(&self, name: &str, begin: f64) -> Tensor {
        self.graph().variable(&self.variable_of(name, begin))
    }

    /// Stores the new value of a state variable, which [`Self::state`] returns in the next step.
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

/// Returns an error if one of the two betas is outside `[0, 1)`.
pub(super) fn betas(first: f64, second: f64) -> Option<InvalidArgument> {
    let beta = |name: &str, beta: f64| {
        (!(0.0..1.0).contains(&beta))
            .then(|| InvalidArgument::new(format!("{name} must be at least 0 and below 1, not {beta}")))
    };
    beta("the first beta", first).or_else(|| beta("the second beta", second))
}
