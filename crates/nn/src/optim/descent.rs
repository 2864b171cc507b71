//! What all optimizers share: settings, groups, clipping, accumulation, and adding it all to a graph.

use std::collections::HashMap;
use std::fmt;

use wgrad_core::{Graph, Init, InvalidArgument, Kind, Mode, Owner, Tensor, Variable, gradients};

use super::clip::{clip_grad_norm, clip_grad_value, norm_misfit};
use super::rule::{Numbers, Rule, Slot, not_negative};
use super::{Handles, LearningRate, Optimizer, Select};

/// An optimizer: the parameters of a loss move by a rule. [`Sgd`](super::Sgd), [`Adam`](super::Adam) and the others
/// are this with a rule each.
///
/// Of a parameter that the loss does not depend on, and of one that is frozen
/// ([`Params::set_trainable`](wgrad_core::Params::set_trainable)), nothing changes: no update, no decay, no state.
/// State is named `optim.<parameter>.<state>`. Steps are counted in `optim.@step`, those before a parameter's first
/// step in `optim.<parameter>.@begin`, so that one that is unfrozen later begins with step 1.
///
/// Two optimizers over one [`Params`](wgrad_core::Params) at the same time, as in a GAN, need a [`Self::scope`] each, and
/// [`Self::over`] says which parameters each of them moves:
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
    /// Other settings for some parameters.
    groups: Vec<(Select, Descent<R>)>,
    /// What holds for all groups.
    clip: Option<Clip>,
    scope: String,
    /// The parameters that move; all if none.
    over: Option<Select>,
    /// Who the state belongs to; clones are the same.
    owner: Owner,
}

/// What is done about large gradients.
#[derive(Clone, Copy, Debug)]
enum Clip {
    Norm(f64, f64),
    Value(f64),
}

impl<R: Rule> fmt::Debug for Descent<R> {
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

/// What becomes of the gradients.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    Update,
    Accumulate,
    UpdateWithAccumulated,
}

impl<R: Rule> Descent<R> {
    /// An optimizer of a rule.
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

    /// Another learning rate: a number, or a handle that others turn.
    pub fn lr(self, lr: impl Into<LearningRate>) -> Self {
        Self { lr: lr.into(), ..self }
    }

    /// Weight decay, as the rule has it: most add `weight_decay · p` to the gradient; [`AdamW`](super::AdamW) and
    /// [`Lion`](super::Lion) take `lr · weight_decay · p` from the parameter instead. 0 if not set, but 0.01 for `AdamW`.
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        Self { weight_decay, ..self }
    }

    /// Whether the loss shall grow instead; false if not set.
    pub fn maximize(self, maximize: bool) -> Self {
        Self { maximize, ..self }
    }

    /// Scales all gradients by `min(1, max_norm / (norm + 1e-6))`, with the norm taken over all of them as one: what
    /// `torch.nn.utils.clip_grad_norm_` does, in two dispatches. See [`Self::minimize_with_norm`] for the norm itself.
    pub fn clip_grad_norm(self, max_norm: f64) -> Self {
        self.clip_grad_norm_of(max_norm, 2.0)
    }

    /// [`Self::clip_grad_norm`] with another norm, `(Σ |g|^p)^(1/p)`; `p` may be infinite.
    pub fn clip_grad_norm_of(self, max_norm: f64, p: f64) -> Self {
        Self { clip: Some(Clip::Norm(max_norm, p)), ..self }
    }

    /// Clamps every gradient to `[-max, max]`, as `torch.nn.utils.clip_grad_value_`.
    pub fn clip_grad_value(self, max: f64) -> Self {
        Self { clip: Some(Clip::Value(max)), ..self }
    }

    /// Another learning rate and weight decay for some parameters; the other settings are those made so far.
    pub fn group(self, select: impl Into<Select>, lr: impl Into<LearningRate>, weight_decay: f64) -> Self {
        self.group_with(select, |group| group.lr(lr).weight_decay(weight_decay))
    }

    /// Other settings for some parameters: `settings` changes those made so far.
    ///
    /// ```
    /// use wgrad_nn::optim::AdamW;
    /// let optimizer = AdamW::new(1e-3).group_with("encoder", |group| group.lr(1e-4).betas(0.8, 0.99));
    /// ```
    ///
    /// What concerns all parameters at once (clipping, the scope of the state, which of them move) belongs to the optimizer:
    /// in a group it has no effect. Neither has a group in a group.
    pub fn group_with(mut self, select: impl Into<Select>, settings: impl FnOnce(Self) -> Self) -> Self {
        let mut group = Self { groups: vec![], lr: LearningRate::new(self.lr.get()), ..self.clone() };
        if let Some(momentum) = group.rule.momentum() {
            *momentum = LearningRate::new(momentum.get());
        }
        self.groups.push((select.into(), settings(group)));
        self
    }

    /// The scope of the state, `optim` if not set: two optimizers of one [`Params`](wgrad_core::Params) need two.
    ///
    /// While an optimizer or a graph that it is traced in exists, another one by another rule or over other parameters in the
    /// same scope is an error of its graph: both would count each other's steps. The same optimizer may be traced in many graphs.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        Self { scope: scope.into(), ..self }
    }

    /// Moves only the parameters that `select` names, all trainable ones if not set; the others stay as they are, and
    /// gradients flow through them. As `torch.optim.Adam(generator.parameters())`.
    pub fn over(self, select: impl Into<Select>) -> Self {
        // A clone over other parameters is another optimizer.
        Self { over: Some(select.into()), owner: Owner::default(), ..self }
    }

    /// The learning rate of the parameters that are in no group, to be changed between runs.
    pub fn lr_handle(&self) -> LearningRate {
        self.lr.clone()
    }

    /// [`Optimizer::minimize`], and the norm of all gradients before they were clipped: the norm that clips, or else
    /// the 2-norm. None for a graph with an error.
    #[track_caller]
    pub fn minimize_with_norm(&self, loss: &Tensor) -> Option<Tensor> {
        self.trace(loss, Use::Update, true)
    }

    #[track_caller]
    fn trace(&self, loss: &Tensor, what: Use, norm: bool) -> Option<Tensor> {
        let graph = loss.graph();
        if !loss.is_valid() {
            return None;
        }
        let trainable: Vec<_> = graph.variables().into_iter().filter(|variable| self.moves(variable)).collect();
        let dealt = match self.deal(loss, &trainable) {
            Ok(dealt) => dealt,
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
                    "or let `over` select others; a scope is named from the top",
                ),
            };
            let invalid = InvalidArgument::new(format!("the loss depends on no trainable parameter{of}"))
                .fix("compute it from the model's output")
                .fix(fix)
                .fix("nothing flows back through `detach`, comparisons and integers");
            let _ = loss.invalid(R::NAME, &[], invalid);
        }
        let rows = trainable.into_iter().zip(values).zip(dealt).zip(gradients);
        let rows = rows.filter_map(|(((variable, value), group), gradient)| {
            Some(Row { variable, value, group, gradient: gradient? })
        });
        let mut rows: Vec<Row> = rows.collect();
        if let Some(invalid) = self.claim(graph, &rows) {
            let _ = loss.invalid(R::NAME, &[], invalid);
            return None;
        }
        if what != Use::Update {
            self.add_up(graph, &mut rows, what);
        }
        if what == Use::Accumulate || rows.is_empty() {
            return None;
        }
        let norm = self.clip(&mut rows, norm);
        self.update(graph, rows);
        norm
    }

    /// Returns whether the optimizer moves a variable, if the loss depends on it.
    fn moves(&self, variable: &Variable) -> bool {
        let selected = self.over.as_ref().is_none_or(|over| (over.rule)(variable));
        selected && variable.kind() == Kind::Parameter && variable.is_trainable()
    }

    /// Claims the scope of the state; or says whose it is.
    fn claim(&self, graph: &Graph, rows: &[Row]) -> Option<InvalidArgument> {
        let params = rows.first()?.variable.params();
        let names: Vec<&str> = rows.iter().map(|row| row.variable.name()).collect();
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
            .fix("or, to go on where the other one ends, drop it and the graphs and steps that it is in before"),
        )
    }

    /// Adds what was accumulated to the gradients, and keeps the sums or, if they are used now, zeros.
    #[track_caller]
    fn add_up(&self, graph: &Graph, rows: &mut [Row], what: Use) {
        for row in rows {
            let _scope = graph.scope(format!("gradient of {}", row.variable.name()));
            let scope = row.variable.params().at(&self.scope).at(row.variable.name());
            let sum = scope.variable("grad", row.variable.shape(), Kind::State, Init::Constant(0.0));
            row.gradient = graph.variable(&sum) + &row.gradient;
            let kept = match what {
                Use::Accumulate => row.gradient.clone(),
                _ => graph.constant(0.0).expand(row.variable.shape()),
            };
            graph.update(&sum, &kept);
        }
    }

    #[track_caller]
    fn clip(&self, rows: &mut [Row], norm: bool) -> Option<Tensor> {
        let all: Vec<Tensor> = rows.iter().map(|row| row.gradient.clone()).collect();
        let (clipped, norm) = match self.clip {
            Some(Clip::Norm(max, p)) => clip_grad_norm(&all, max, p),
            Some(Clip::Value(max)) => {
                (clip_grad_value(&all, max), norm.then(|| clip_grad_norm(&all, 0.0, 2.0).1).flatten())
            }
            None if norm => (all.clone(), clip_grad_norm(&all, 0.0, 2.0).1),
            None => return None,
        };
        rows.iter_mut().zip(clipped).for_each(|(row, gradient)| row.gradient = gradient);
        norm
    }

    #[track_caller]
    fn update(&self, graph: &Graph, rows: Vec<Row>) {
        let numbers: Vec<Numbers> = (0..=self.groups.len()).map(|_| Numbers::default()).collect();
        // All share one store, so the first one's is that of all.
        let params = rows[0].variable.params().at(&self.scope);
        let steps = params.counter("@step");
        graph.advance(&steps);
        let all = params.parameters();
        graph.declare_trained(all.iter().filter(|parameter| self.moves(parameter)));
        let known: HashMap<_, _> = params.counters().into_iter().collect();
        for Row { variable, value, gradient, group } in rows {
            let settings = self.settings(group);
            let _scope = graph.scope(format!("{} of {}", R::NAME, variable.name()));
            let begin = params.at(variable.name());
            let joins = !known.contains_key(format!("{}.@begin", begin.path()).as_str());
            let begin = begin.counter("@begin");
            if joins {
                begin.set(steps.get());
            }
            let gradient = if settings.maximize { -gradient } else { gradient };
            let slot = Slot {
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

    /// The settings of a group; 0 is the rest.
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
            Clip::Norm(max, p) => norm_misfit(max, p),
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

    /// The number of each parameter's group; or what is wrong with the settings, the graph or the groups.
    fn deal(&self, loss: &Tensor, trainable: &[Variable]) -> Result<Vec<usize>, InvalidArgument> {
        if let Some(invalid) = self.invalid(loss) {
            return Err(invalid);
        }
        let dealt: Vec<_> = trainable.iter().map(|variable| self.group_of(variable)).collect::<Result<_, _>>()?;
        match (1..=self.groups.len()).find(|group| !dealt.contains(group)) {
            Some(group) => Err(InvalidArgument::new(format!(
                "the group {} selects no trainable parameter of this graph",
                self.name(group)
            ))
            .fix("names are dotted paths from the top, such as `encoder.fc1`")),
            None => Ok(dealt),
        }
    }

    fn group_of(&self, variable: &Variable) -> Result<usize, InvalidArgument> {
        let mut found = (1..=self.groups.len()).filter(|&group| (self.groups[group - 1].0.rule)(variable));
        match (found.next(), found.next()) {
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

/// A parameter that moves.
struct Row {
    variable: Variable,
    value: Tensor,
    gradient: Tensor,
    group: usize,
}

impl<R: Rule> Optimizer for Descent<R> {
    fn minimize(&self, loss: &Tensor) {
        self.trace(loss, Use::Update, false);
    }

    fn accumulate(&self, loss: &Tensor) {
        self.trace(loss, Use::Accumulate, false);
    }

    fn minimize_accumulated(&self, loss: &Tensor) {
        self.trace(loss, Use::UpdateWithAccumulated, false);
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
