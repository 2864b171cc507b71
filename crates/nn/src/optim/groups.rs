//! Which parameter is updated with which settings: what all optimizers share.

use std::fmt;
use std::sync::Arc;

use wgrad_core::{Counter, DType, Init, Kind, Misfit, Mode, Params, Tensor, Variable, gradients};
use wgrad_kernels::ops::{PointwiseOps, TotalNormOps};

use super::LearningRate;

/// Which parameters belong to a group: a scope by its dotted name, a list of variables, or any rule.
///
/// ```
/// use wgrad_nn::optim::{AdamW, Select};
/// let optimizer = AdamW::new(1e-3)
///     .group("encoder", 1e-4, 1e-2)
///     .group(Select::by(|parameter| parameter.shape().rank() == 1), 1e-3, 0.0);
/// ```
#[derive(Clone)]
pub struct Select {
    name: String,
    rule: Arc<dyn Fn(&Variable) -> bool + Send + Sync>,
}

impl Select {
    /// The parameters that `rule` is true for.
    pub fn by(rule: impl Fn(&Variable) -> bool + Send + Sync + 'static) -> Self {
        Self { name: "by a rule".into(), rule: Arc::new(rule) }
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select({})", self.name)
    }
}

impl From<&str> for Select {
    /// The parameter of this name, and those in the scope of this name.
    fn from(scope: &str) -> Self {
        let inside = scope.to_string();
        let rule = move |variable: &Variable| {
            inside.is_empty()
                || variable.name().strip_prefix(&inside).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        Self { name: format!("`{scope}`"), rule: Arc::new(rule) }
    }
}

impl From<&Params> for Select {
    fn from(scope: &Params) -> Self {
        scope.path().into()
    }
}

impl From<Vec<Variable>> for Select {
    fn from(variables: Vec<Variable>) -> Self {
        let names: Vec<_> = variables.iter().map(|variable| variable.name().to_string()).collect();
        let name = format!("of {}", names.join(", "));
        Self { name, rule: Arc::new(move |variable| names.iter().any(|name| name == variable.name())) }
    }
}

impl From<&[&Variable]> for Select {
    fn from(variables: &[&Variable]) -> Self {
        variables.iter().map(|&variable| variable.clone()).collect::<Vec<_>>().into()
    }
}

/// Settings of one group of parameters.
#[derive(Clone, Debug)]
pub(super) struct Group {
    select: Option<Select>,
    pub lr: LearningRate,
    pub weight_decay: f64,
}

/// What is done about large gradients.
#[derive(Clone, Copy, Debug)]
enum Clip {
    Norm(f64),
    Value(f64),
}

/// The groups of an optimizer; the first is for all parameters that no other group selects.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    clip: Option<Clip>,
    /// The scope of the optimizer's state.
    pub scope: String,
    groups: Vec<Group>,
}

/// A parameter to be updated.
pub(super) struct Slot {
    pub variable: Variable,
    pub value: Tensor,
    pub gradient: Tensor,
}

/// The parameters of one group in one graph.
pub(super) struct Share<'a> {
    pub group: &'a Group,
    pub slots: Vec<Slot>,
}

impl Groups {
    pub fn new(lr: LearningRate, weight_decay: f64) -> Self {
        Self { clip: None, scope: "optim".into(), groups: vec![Group { select: None, lr, weight_decay }] }
    }

    /// The group of parameters that no other group selects.
    pub fn rest(&self) -> &Group {
        &self.groups[0]
    }

    pub fn rest_mut(&mut self) -> &mut Group {
        &mut self.groups[0]
    }

    pub fn add(&mut self, select: Select, lr: LearningRate, weight_decay: f64) {
        self.groups.push(Group { select: Some(select), lr, weight_decay });
    }

    pub fn clip_norm(&mut self, max_norm: f64) {
        self.clip = Some(Clip::Norm(max_norm));
    }

    pub fn clip_value(&mut self, max: f64) {
        self.clip = Some(Clip::Value(max));
    }

    /// The gradients, clipped.
    #[track_caller]
    fn clipped(&self, gradients: Vec<Option<Tensor>>) -> Vec<Option<Tensor>> {
        let all: Vec<Tensor> = gradients.iter().flatten().cloned().collect();
        let (Some(clip), false) = (self.clip, all.is_empty()) else { return gradients };
        let _scope = all[0].graph().scope("clip");
        let clip: Box<dyn Fn(Tensor) -> Tensor> = match clip {
            Clip::Norm(max) => {
                let norm = all.total_norm();
                let factor = (norm.number(max) / (norm + 1e-6)).minimum(&all[0].number(1.0));
                Box::new(move |gradient| gradient * &factor)
            }
            Clip::Value(max) => Box::new(move |gradient| gradient.clamp(-max, max)),
        };
        gradients.into_iter().map(|gradient| gradient.map(&clip)).collect()
    }

    /// Checks the settings and the graph, adds the gradients, and deals the parameters to their groups.
    ///
    /// Nothing when there is an error, which then is in the graph.
    #[track_caller]
    pub fn shares(&self, op: &str, loss: &Tensor, misfit: Option<Misfit>) -> Vec<Share<'_>> {
        if !loss.is_valid() {
            return vec![];
        }
        let variables: Vec<_> = loss.graph().variables();
        let trainable: Vec<_> =
            variables.into_iter().filter(|v| v.kind() == Kind::Parameter && v.is_trainable()).collect();
        let dealt = match misfit.or_else(|| self.misfit(loss)) {
            Some(misfit) => Err(misfit),
            None => trainable.iter().map(|variable| self.group_of(variable)).collect::<Result<Vec<_>, _>>(),
        };
        let dealt = match dealt.and_then(|dealt| self.all_used(&dealt).map(|()| dealt)) {
            Ok(dealt) => dealt,
            Err(misfit) => {
                let _ = loss.misfit(op, &[], misfit);
                return vec![];
            }
        };
        let values: Vec<_> = trainable.iter().map(|variable| loss.graph().variable(variable)).collect();
        let gradients = gradients(loss, &values);
        if loss.shape().numel() == 1 && gradients.iter().all(Option::is_none) {
            let misfit = Misfit::new("the loss depends on no trainable parameter")
                .fix("compute it from the model's output")
                .fix("or undo `set_trainable(false)` for what shall be trained")
                .fix("nothing flows back through `detach`, comparisons and integers");
            let _ = loss.misfit(op, &[], misfit);
        }
        let gradients = self.clipped(gradients);
        let mut shares: Vec<_> = self.groups.iter().map(|group| Share { group, slots: vec![] }).collect();
        for (((variable, value), gradient), group) in trainable.into_iter().zip(values).zip(gradients).zip(dealt) {
            if let Some(gradient) = gradient {
                shares[group].slots.push(Slot { variable, value, gradient });
            }
        }
        shares.retain(|share| !share.slots.is_empty());
        shares
    }

    fn misfit(&self, loss: &Tensor) -> Option<Misfit> {
        if loss.graph().mode() == Mode::Evaluate {
            return Some(
                Misfit::new("an evaluation graph cannot train").fix("trace the graph with Graph::new(Mode::Train)"),
            );
        }
        let clip = self.clip.and_then(|clip| match clip {
            Clip::Norm(max) => not_negative("the largest norm of the gradients", max),
            Clip::Value(max) => not_negative("the largest gradient", max),
        });
        clip.or_else(|| {
            self.groups.iter().find_map(|group| {
                let lr = group.lr.get();
                not_negative("the learning rate", lr).or_else(|| not_negative("the weight decay", group.weight_decay))
            })
        })
    }

    /// The number of the group that selects a parameter.
    fn group_of(&self, variable: &Variable) -> Result<usize, Misfit> {
        let selects = |group: &Group| group.select.as_ref().is_some_and(|select| (select.rule)(variable));
        let mut found = (1..self.groups.len()).filter(|&group| selects(&self.groups[group]));
        match (found.next(), found.next()) {
            (Some(one), Some(two)) => Err(Misfit::new(format!(
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
        self.groups[group].select.as_ref().map_or("the rest", |select| &select.name)
    }

    fn all_used(&self, dealt: &[usize]) -> Result<(), Misfit> {
        match (1..self.groups.len()).find(|group| !dealt.contains(group)) {
            Some(group) => {
                Err(Misfit::new(format!("the group {} selects no trainable parameter of this graph", self.name(group)))
                    .fix("names are dotted paths from the top, such as `encoder.fc1`"))
            }
            None => Ok(()),
        }
    }

    /// The counter of this optimizer's steps.
    pub fn counter(&self, loss: &Tensor, slot: &Slot) -> Counter {
        let counter = slot.variable.params().at(&self.scope).counter("@step");
        loss.graph().advance(&counter);
        counter
    }

    /// A state variable of a parameter, zero at first.
    #[track_caller]
    pub fn state(&self, slot: &Slot, name: &str) -> Variable {
        let scope = slot.variable.params().at(&self.scope).at(slot.variable.name());
        scope.variable(name, slot.variable.shape(), Kind::State, Init::Constant(0.0))
    }
}

/// A number that the host computes before each run from the learning rate and the step, counted from 1.
#[track_caller]
pub(super) fn scheduled(
    loss: &Tensor,
    name: &str,
    counter: &Counter,
    value: impl Fn(f64) -> f64 + Send + Sync + 'static,
) -> Tensor {
    let counter = counter.clone();
    #[allow(clippy::cast_precision_loss, reason = "no run has 2^53 steps")]
    loss.graph().scheduled(name, DType::F32, move || value((counter.get() + 1) as f64))
}

/// What is wrong with a setting that must be a number of at least 0.
pub(super) fn not_negative(what: &str, value: f64) -> Option<Misfit> {
    (!(value.is_finite() && value >= 0.0))
        .then(|| Misfit::new(format!("{what} must be a number that is not negative, not {value}")))
}
