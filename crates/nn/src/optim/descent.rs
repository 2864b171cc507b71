//! The optimizer type, generic over its update rule: settings, parameter groups, clipping, gradient accumulation,
//! and tracing of the updates.

use std::collections::HashMap;
use std::fmt;

use wgrad_core::{Graph, Init, InvalidArgument, Kind, Mode, Owner, Tensor, Variable, gradients};

use super::clip::{clip_grad_norm, clip_grad_value, invalid_norm};
use super::rule::{Numbers, ParamUpdate, UpdateRule, not_negative};
use super::{Handles, LearningRate, Optimizer, Select};

/// An optimizer that updates parameters with the rule `R`. [`Sgd`](super::Sgd), [`Adam`](super::Adam) and the
/// other optimizers are aliases of this type.
///
/// A parameter that is frozen ([`Params::set_trainable`](wgrad_core::Params::set_trainable)), or that the loss
/// does not depend on, is skipped: it gets no update, no weight decay and no state. State variables are named
/// `optim.<parameter>.<state>`. The counter `optim.@step` counts the steps. The counter `optim.<parameter>.@begin`
/// is the value of `optim.@step` before the parameter's first step, so that a parameter that is unfrozen later
/// begins with step 1.
///
/// Two optimizers of the same [`Params`](wgrad_core::Params), as in a GAN, need different [scopes](Self::scope).
/// [`Self::over`] selects the parameters that an optimizer updates:
///
/// ```
/// use wgrad_core::{CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::layers::Linear;
/// use wgrad_nn::optim::{Adam, Optimizer};
/// use wgrad_nn::Module;
/// let p = Params::seeded(0);
/// let (g, d) = (Linear::new(&p.at("g"), 2, 3), Linear::new(&p.at("d"), 3, 1));
/// let adam_g = Adam::new(2e-4).over(&p.at("g")).scope("optim_g");
/// let adam_d = Adam::new(2e-4).over(&p.at("d")).scope("optim_d");
/// let mut session = Session::new(CpuBackend::<f32>::new(), &p)?;
/// let trace = |optimizer: &Adam, sign: f64| {
///     let graph = Graph::new(Mode::Train);
///     let loss = d.forward(&g.forward(&graph.input("noise", [8, 2], DType::F32))).mean_all() * sign;
///     optimizer.minimize(&loss);
///     graph
/// };
/// let generator = session.compile(&trace(&adam_g, -1.0), &[])?;
/// let discriminator = session.compile(&trace(&adam_d, 1.0), &[])?;
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Descent<R> {
    pub(super) rule: R,
    lr: LearningRate,
    weight_decay: f64,
    maximize: bool,
    /// Parameter groups, each with an optimizer that contains the group's settings.
    groups: Vec<(Select, Descent<R>)>,
    /// Clipping of the gradients; applies to all groups.
    clip: Option<Clip>,
    scope: String,
    /// The parameters to update; `None` means all trainable parameters.
    over: Option<Select>,
    /// Identity of the optimizer, by which two optimizers that use the same scope for their state are distinguished.
    /// Clones have the same identity.
    owner: Owner,
}

/// Kind of gradient clipping.
#[derive(Clone, Copy, Debug)]
enum Clip {
    Norm(f64, f64),
    Value(f64),
}

impl<R: UpdateRule> fmt::Debug for Descent<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, lr, weight_decay, maximize, groups, clip, scope, over, owner: _ } = self;
        f.debug_struct(R::NAME)
            .field("rule", rule)
            .field("lr", lr)
            .field("weight_decay", weight_decay)
            .field("maximize", maximize)
            .field("groups", groups)
            .field("clip", clip)
            .field("scope", scope)
            .field("over", over)
            .finish()
    }
}

/// Use of the gradients in a graph: update the parameters, add to a sum, or update with that sum.
#[derive(Clone, Copy, PartialEq)]
enum GradientUse {
    Update,
    Accumulate,
    UpdateWithAccumulated,
}

impl<R: UpdateRule> Descent<R> {
    /// Creates an optimizer with the update rule `rule` and no weight decay.
    pub fn by(rule: R, lr: impl Into<LearningRate>) -> Self {
        let lr = lr.into();
        Self {
            rule,
            lr,
            weight_decay: 0.0,
            maximize: false,
            groups: vec![],
            clip: None,
            scope: "optim".into(),
            over: None,
            owner: Owner::default(),
        }
    }

    /// Sets the learning rate: a number, or a [`LearningRate`] handle through which the rate can be changed
    /// between runs.
    pub fn lr(self, lr: impl Into<LearningRate>) -> Self {
        Self { lr: lr.into(), ..self }
    }

    /// Sets the weight decay. Default: 0, and 0.01 for [`AdamW`](super::AdamW).
    ///
    /// Most rules add `weight_decay · p` to the gradient; `AdamW` and [`Lion`](super::Lion) subtract
    /// `lr · weight_decay · p` from the parameter instead.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }

    /// If `true`, maximizes the loss instead of minimizing it. Default: `false`.
    pub fn maximize(self, maximize: bool) -> Self {
        Self { maximize, ..self }
    }

    /// Enables clipping that multiplies all gradients by `min(1, max_norm / (norm + 1e-6))`, where `norm` is the
    /// 2-norm of all gradients as one vector; PyTorch's `torch.nn.utils.clip_grad_norm_`. The clipping takes two
    /// dispatches.
    ///
    /// [`Self::minimize_with_norm`] returns the norm. Default: no clipping.
    pub fn clip_grad_norm(self, max_norm: f64) -> Self {
        self.clip_grad_norm_of(max_norm, 2.0)
    }

    /// Enables the same clipping as [`Self::clip_grad_norm`], with the p-norm `(Σ |g|^p)^(1/p)`; `p` may be
    /// infinite.
    pub fn clip_grad_norm_of(self, max_norm: f64, p: f64) -> Self {
        Self { clip: Some(Clip::Norm(max_norm, p)), ..self }
    }

    /// Enables clipping that clamps each element of each gradient to `[-max, max]`; PyTorch's
    /// `torch.nn.utils.clip_grad_value_`.
    pub fn clip_grad_value(self, max: f64) -> Self {
        Self { clip: Some(Clip::Value(max)), ..self }
    }

    /// Adds a group of the parameters that `select` selects, with another learning rate and weight decay. The
    /// group copies the optimizer's other settings that were set before this call.
    pub fn group(self, select: impl Into<Select>, lr: impl Into<LearningRate>, weight_decay: f64) -> Self {
        self.group_with(select, |group| group.lr(lr).weight_decay(weight_decay))
    }

    /// Adds a group of the parameters that `select` selects. The group copies the optimizer's settings that were
    /// set before this call; `settings` changes the copy.
    ///
    /// ```
    /// use wgrad_nn::optim::AdamW;
    /// let optimizer = AdamW::new(1e-3).group_with("encoder", |group| group.lr(1e-4).betas(0.8, 0.99));
    /// ```
    ///
    /// Settings that concern all groups (clipping, [`Self::scope`], [`Self::over`]) and nested groups have no
    /// effect inside `settings`.
    pub fn group_with(mut self, select: impl Into<Select>, settings: impl FnOnce(Self) -> Self) -> Self {
        let mut group = Self { groups: vec![], lr: LearningRate::new(self.lr.get()), ..self.clone() };
        if let Some(momentum) = group.rule.momentum() {
            *momentum = LearningRate::new(momentum.get());
        }
        self.groups.push((select.into(), settings(group)));
        self
    }

    /// Sets the scope of the optimizer's state. Default: `optim`. Two optimizers of the same
    /// [`Params`](wgrad_core::Params) need different scopes.
    ///
    /// While an optimizer, or a graph in which it was traced, exists, tracing an optimizer with the same scope but
    /// another update rule or other parameters records an error in the graph, because both would advance the same
    /// step counter. The same optimizer may be traced in many graphs.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        Self { scope: scope.into(), ..self }
    }

    /// Updates only the parameters that `select` selects; the others do not change, and gradients flow through
    /// them. Default: all trainable parameters. In PyTorch, the parameters are passed to the optimizer instead, as
    /// in `torch.optim.Adam(generator.parameters())`.
    pub fn over(self, select: impl Into<Select>) -> Self {
        // A clone that updates other parameters is a different optimizer, so it gets an identity of its own.
        Self { over: Some(select.into()), owner: Owner::default(), ..self }
    }

    /// Returns a handle with which the learning rate of the parameters in no group can be changed between runs.
    pub fn lr_handle(&self) -> LearningRate {
        self.lr.clone()
    }

    /// Performs [`Optimizer::minimize`] and returns the norm of all gradients before clipping. It is the norm that
    /// [`Self::clip_grad_norm_of`] uses, or the 2-norm if no clipping by norm is set. Returns `None` if an error
    /// was recorded in the graph.
    #[track_caller]
    pub fn minimize_with_norm(&self, loss: &Tensor) -> Option<Tensor> {
        self.trace(loss, GradientUse::Update, true)
    }

    #[track_caller]
    fn trace(&self, loss: &Tensor, what: GradientUse, norm: bool) -> Option<Tensor> {
        let graph = loss.graph();
        if !loss.is_valid() {
            return None;
        }
        let trainable: Vec<_> = graph.variables().into_iter().filter(|variable| self.trains(variable)).collect();
        let groups = match self.assign_groups(loss, &trainable) {
            Ok(groups) => groups,
            Err(invalid) => {
                let _ = loss.invalid(R::NAME, &[], invalid);
                return None;
            }
        };
        let values: Vec<_> = trainable.iter().map(|variable| graph.variable(variable)).collect();
        let gradients = gradients(loss, &values);
        if loss.shape().numel() == 1 && gradients.iter().all(Option::is_none) {
            let (of, fix) = match &self.over {
                None => (String::new(), "or undo `set_trainable(false)` for what shall be trained"),
                Some(over) => (
                    format!(" selected by `over` ({})", over.name),
                    "or let `over` select others; scope names start at the root",
                ),
            };
            let invalid = InvalidArgument::new(format!("the loss depends on no trainable parameter{of}"))
                .fix("compute it from the model's output")
                .fix(fix)
                .fix("nothing flows back through `detach`, comparisons and integers");
            let _ = loss.invalid(R::NAME, &[], invalid);
        }
        let trained = trainable.into_iter().zip(values).zip(groups).zip(gradients);
        let trained = trained.filter_map(|(((variable, value), group), gradient)| {
            Some(Trained { variable, value, group, gradient: gradient? })
        });
        let mut trained: Vec<Trained> = trained.collect();
        if let Some(invalid) = self.claim(graph, &trained) {
            let _ = loss.invalid(R::NAME, &[], invalid);
            return None;
        }
        if what != GradientUse::Update {
            self.add_accumulated(graph, &mut trained, what);
        }
        if what == GradientUse::Accumulate || trained.is_empty() {
            return None;
        }
        let norm = self.clip(&mut trained, norm);
        self.update(graph, trained);
        norm
    }

    /// Returns whether the optimizer updates `variable`, provided that the loss depends on it.
    fn trains(&self, variable: &Variable) -> bool {
        let selected = self.over.as_ref().is_none_or(|over| (over.predicate)(variable));
        selected && variable.kind() == Kind::Parameter && variable.is_trainable()
    }

    /// Reserves the scope in which this optimizer stores its state; returns an error if another optimizer has
    /// already reserved the scope.
    fn claim(&self, graph: &Graph, trained: &[Trained]) -> Option<InvalidArgument> {
        let params = trained.first()?.variable.params();
        let names: Vec<&str> = trained.iter().map(|param| param.variable.name()).collect();
        if graph.claim(&params.at(&self.scope), &self.owner, &format!("{} of {names:?}", R::NAME)) {
            return None;
        }
        let scope = &self.scope;
        Some(
            InvalidArgument::new(format!(
                "another optimizer keeps its state in the scope `{scope}`, and both would count its steps"
            ))
            .fix(format!("give this one a scope of its own: `.scope(\"{scope}2\")`"))
            .fix("or let one optimizer do both, with `.group(…)` for parameters with other settings")
            .fix("or, to continue with the other one's state, first drop it and the graphs and steps that use it"),
        )
    }

    /// Adds the accumulated gradients to the gradients of this graph. Stores the sums for later runs, or stores
    /// zeros if this graph uses the sums to update the parameters.
    #[track_caller]
    fn add_accumulated(&self, graph: &Graph, trained: &mut [Trained], what: GradientUse) {
        for param in trained {
            let _scope = graph.scope(format!("gradient of {}", param.variable.name()));
            let scope = param.variable.params().at(&self.scope).at(param.variable.name());
            let sum = scope.variable("grad", param.variable.shape(), Kind::State, Init::Constant(0.0));
            param.gradient = graph.variable(&sum) + &param.gradient;
            let kept = match what {
                GradientUse::Accumulate => param.gradient.clone(),
                _ => graph.constant(0.0).expand(param.variable.shape()),
            };
            graph.update(&sum, &kept);
        }
    }

    #[track_caller]
    fn clip(&self, trained: &mut [Trained], norm: bool) -> Option<Tensor> {
        let all: Vec<Tensor> = trained.iter().map(|param| param.gradient.clone()).collect();
        let (clipped, norm) = match self.clip {
            Some(Clip::Norm(max, p)) => clip_grad_norm(&all, max, p),
            Some(Clip::Value(max)) => {
                (clip_grad_value(&all, max), norm.then(|| clip_grad_norm(&all, 0.0, 2.0).1).flatten())
            }
            None if norm => (all.clone(), clip_grad_norm(&all, 0.0, 2.0).1),
            None => return None,
        };
        trained.iter_mut().zip(clipped).for_each(|(param, gradient)| param.gradient = gradient);
        norm
    }

    #[track_caller]
    fn update(&self, graph: &Graph, trained: Vec<Trained>) {
        let numbers: Vec<Numbers> = (0..=self.groups.len()).map(|_| Numbers::default()).collect();
        // All parameters belong to the same `Params`, so the first parameter's `Params` is used.
        let params = trained[0].variable.params().at(&self.scope);
        let steps = params.counter("@step");
        graph.advance(&steps);
        let all = params.parameters();
        graph.declare_trained(all.iter().filter(|parameter| self.trains(parameter)));
        let known: HashMap<_, _> = params.counters().into_iter().collect();
        for Trained { variable, value, gradient, group } in trained {
            let settings = self.settings(group);
            let _scope = graph.scope(format!("{} of {}", R::NAME, variable.name()));
            let begin = params.at(variable.name());
            let joins = !known.contains_key(format!("{}.@begin", begin.path()).as_str());
            let begin = begin.counter("@begin");
            if joins {
                begin.set(steps.get());
            }
            let gradient = if settings.maximize { -gradient } else { gradient };
            let slot = ParamUpdate {
                value,
                gradient,
                scope: &self.scope,
                lr: &settings.lr,
                weight_decay: settings.weight_decay,
                counters: [steps.clone(), begin],
                numbers: &numbers[group],
                variable,
            };
            let new = settings.rule.update(&slot);
            graph.update(&slot.variable, &new);
        }
    }

    /// Returns the settings of group number `group`; 0 stands for the parameters in no group.
    fn settings(&self, group: usize) -> &Self {
        group.checked_sub(1).map_or(self, |group| &self.groups[group].1)
    }

    fn invalid(&self, loss: &Tensor) -> Option<InvalidArgument> {
        if loss.graph().mode() == Mode::Evaluate {
            return Some(
                InvalidArgument::new("an evaluation graph cannot train")
                    .fix("trace the graph with Graph::new(Mode::Train)"),
            );
        }
        let clip = self.clip.and_then(|clip| match clip {
            Clip::Norm(max, p) => invalid_norm(max, p),
            Clip::Value(max) => not_negative("the largest gradient", max),
        });
        clip.or_else(|| {
            (0..=self.groups.len()).map(|group| self.settings(group)).find_map(|settings| {
                settings
                    .rule
                    .invalid()
                    .or_else(|| not_negative("the learning rate", settings.lr.get()))
                    .or_else(|| not_negative("the weight decay", settings.weight_decay))
            })
        })
    }

    /// Returns the group number of each parameter, or an error if the settings, the graph or the groups are
    /// invalid.
    fn assign_groups(&self, loss: &Tensor, trainable: &[Variable]) -> Result<Vec<usize>, InvalidArgument> {
        if let Some(invalid) = self.invalid(loss) {
            return Err(invalid);
        }
        let groups: Vec<_> = trainable.iter().map(|variable| self.group_of(variable)).collect::<Result<_, _>>()?;
        match (1..=self.groups.len()).find(|group| !groups.contains(group)) {
            Some(group) => Err(InvalidArgument::new(format!(
                "the group {} selects no trainable parameter of this graph",
                self.name(group)
            ))
            .fix("names are dotted paths from the root, such as `encoder.fc1`")),
            None => Ok(groups),
        }
    }

    fn group_of(&self, variable: &Variable) -> Result<usize, InvalidArgument> {
        let mut selecting = (1..=self.groups.len()).filter(|&group| (self.groups[group - 1].0.predicate)(variable));
        match (selecting.next(), selecting.next()) {
            (Some(one), Some(two)) => Err(InvalidArgument::new(format!(
                "`{}` is in two groups: {} and {}",
                variable.name(),
                self.name(one),
                self.name(two)
            ))
            .fix("let each group select other parameters")),
            (group, _) => Ok(group.unwrap_or(0)),
        }
    }

    fn name(&self, group: usize) -> &str {
        &self.groups[group - 1].0.name
    }
}

/// A parameter to update, with its gradient and group number.
struct Trained {
    variable: Variable,
    value: Tensor,
    gradient: Tensor,
    group: usize,
}

impl<R: UpdateRule> Optimizer for Descent<R> {
    fn minimize(&self, loss: &Tensor) {
        self.trace(loss, GradientUse::Update, false);
    }

    fn accumulate(&self, loss: &Tensor) {
        self.trace(loss, GradientUse::Accumulate, false);
    }

    fn minimize_accumulated(&self, loss: &Tensor) {
        self.trace(loss, GradientUse::UpdateWithAccumulated, false);
    }

    fn handles(&self) -> Vec<Handles> {
        let settings = (0..=self.groups.len()).map(|group| self.settings(group));
        let handles = settings.map(|settings| Handles {
            lr: settings.lr.clone(),
            momentum: settings.rule.clone().momentum().map(|momentum| momentum.clone()),
        });
        handles.collect()
    }
}
