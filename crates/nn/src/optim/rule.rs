//! What a new optimizer has to say: its options, and how a parameter moves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use wgrad_core::{Array, Counter, DType, Graph, Init, InvalidArgument, Kind, Tensor, Variable};

use super::{LearningRate, Setting};

/// How one parameter moves: the part of an optimizer that is its own.
///
/// [`Descent`](super::Descent) adds what all of them share: learning rate, weight decay, groups, clipping,
/// accumulation. So an optimizer is its options and one formula:
///
/// ```
/// use wgrad_core::{CpuBackend, Graph, Init, Kind, InvalidArgument, Mode, Params, Session, Tensor};
/// use wgrad_nn::optim::{Descent, Optimizer, Rule, Slot};
///
/// /// Steps of one size, whatever the gradient's: p −= lr · sign(g).
/// #[derive(Clone, Debug, Default)]
/// struct Signs;
///
/// impl Rule for Signs {
///     const NAME: &'static str = "Signs";
///     fn update(&self, at: &Slot<'_>) -> Tensor {
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
pub trait Rule: Clone + fmt::Debug + 'static {
    /// The name in messages.
    const NAME: &'static str;

    /// The parameter's new value. Traced once per parameter; the state that it keeps is written with [`Slot::keep`].
    #[track_caller]
    fn update(&self, at: &Slot<'_>) -> Tensor;

    /// What is wrong with the options.
    fn invalid(&self) -> Option<InvalidArgument> {
        None
    }

    /// What schedules of the momentum turn: the momentum, or the first beta.
    fn momentum(&mut self) -> Option<&mut Setting> {
        None
    }
}

/// What a number of a step may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The parameter's step, counted from 1.
    pub t: f64,
    /// The learning rate of this step.
    pub lr: f64,
    /// The weight decay.
    pub weight_decay: f64,
}

/// Numbers that the host computes before each step, made once for all parameters that share them.
pub(super) type Numbers = RefCell<HashMap<(String, u64), Tensor>>;

/// A parameter that is being updated.
pub struct Slot<'a> {
    pub(super) variable: Variable,
    pub(super) value: Tensor,
    pub(super) gradient: Tensor,
    /// The scope of the optimizer's state.
    pub(super) scope: &'a str,
    pub(super) lr: &'a LearningRate,
    pub(super) weight_decay: f64,
    /// The optimizer's steps, and how many of them there were before this parameter took part.
    pub(super) counters: [Counter; 2],
    pub(super) numbers: &'a Numbers,
}

impl fmt::Debug for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({:?})", self.variable)
    }
}

impl Slot<'_> {
    fn graph(&self) -> &Graph {
        self.value.graph()
    }

    /// The parameter before the step.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// What the loss falls along: the gradient, clipped; its negative to maximize.
    pub fn gradient(&self) -> &Tensor {
        &self.gradient
    }

    /// The gradient with weight decay in it: `g + weight_decay · p`.
    #[track_caller]
    pub fn decayed_gradient(&self) -> Tensor {
        match self.weight_decay {
            0.0 => self.gradient.clone(),
            decay => &self.gradient + &self.value * decay,
        }
    }

    /// `p − change`, with the decay beside the gradient: `p · (1 − lr · weight_decay) − change`.
    #[track_caller]
    pub fn decayed_minus(&self, change: Tensor) -> Tensor {
        if self.weight_decay == 0.0 {
            return &self.value - change;
        }
        let shrink = self.number("lr * weight_decay", &[], |now, _| now.lr * now.weight_decay);
        &self.value - (change + &self.value * shrink)
    }

    /// The learning rate of each step.
    #[track_caller]
    pub fn lr(&self) -> Tensor {
        self.number("lr", &[], |now, _| now.lr)
    }

    /// A number that the host computes in `f64` before each step, from the step and the values of `settings`. Numbers of
    /// one name are one, within a group of parameters.
    #[track_caller]
    pub fn number<const N: usize>(
        &self,
        name: &str,
        settings: &[&Setting; N],
        value: impl Fn(Now, [f64; N]) -> f64 + Send + Sync + 'static,
    ) -> Tensor {
        let key = (name.to_string(), self.counters[1].get());
        if let Some(known) = self.numbers.borrow().get(&key) {
            return known.clone();
        }
        let ([steps, before], lr, weight_decay) = (self.counters.clone(), self.lr.clone(), self.weight_decay);
        let settings: [Setting; N] = settings.map(Clone::clone);
        let number = self.graph().scheduled(name, DType::F32, move || {
            let count = steps.get();
            let t = count.saturating_sub(before.get()) as f64 + 1.0;
            value(Now { t, lr: lr.at(count), weight_decay }, settings.each_ref().map(|setting| setting.at(count)))
        });
        self.numbers.borrow_mut().insert(key, number.clone());
        number
    }

    /// A number that follows from a setting: a constant unless somebody may change the setting.
    #[track_caller]
    pub fn of(&self, setting: &Setting, name: &str, value: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Tensor {
        if setting.is_handed_out() {
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
            // Initial values are f32; a device of f64 shall have all digits.
            let values = vec![begin; variable.shape().numel()];
            let all = Array::new(variable.shape(), values).and_then(|values| variable.set(values));
            all.expect("one number per element");
        }
        variable
    }

    /// A state of the parameter, `<scope>.<parameter>.<name>`, of its shape and 0 at first.
    #[track_caller]
    pub fn state(&self, name: &str) -> Tensor {
        self.state_from(name, 0.0)
    }

    /// A state of the parameter that begins with another number than 0.
    #[track_caller]
    pub fn state_from(&self, name: &str, begin: f64) -> Tensor {
        self.graph().variable(&self.variable_of(name, begin))
    }

    /// Keeps a state for the next step, in which [`Self::state`] gives it.
    #[track_caller]
    pub fn keep(&self, name: &str, value: &Tensor) {
        self.graph().update(&self.variable_of(name, 0.0), value);
    }
}

/// What is wrong with an option that must be a number of at least 0.
pub(super) fn not_negative(what: &str, value: f64) -> Option<InvalidArgument> {
    (!(value.is_finite() && value >= 0.0))
        .then(|| InvalidArgument::new(format!("{what} must be a number that is not negative, not {value}")))
}

/// What is wrong with two betas.
pub(super) fn betas(first: f64, second: f64) -> Option<InvalidArgument> {
    let beta = |name: &str, beta: f64| {
        (!(0.0..1.0).contains(&beta))
            .then(|| InvalidArgument::new(format!("{name} must be at least 0 and below 1, not {beta}")))
    };
    beta("the first beta", first).or_else(|| beta("the second beta", second))
}
