//! LSTM, GRU and plain recurrent layers, and their cells.

use wgrad_core::{Params, Tensor};

use super::recurrent::{Cell, Recurrent, RecurrentOptions, Rule, Step};
use crate::Module;

#[derive(Clone, Copy, Debug)]
struct LstmRule;

impl Rule for LstmRule {
    const NAME: &'static str = "lstm";
    const GATES: usize = 4;
    const EARLY: usize = 4;
    const STATES: usize = 2;

    fn step(&self, step: &Step, h: &Tensor, c: &Tensor) -> [Tensor; 2] {
        let gates = h.linear(&step.hh, None) + &step.x;
        let [i, f, g, o] = [0, 1, 2, 3].map(|gate| Step::part(&gates, gate, 4));
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        let h = o.sigmoid() * c.tanh();
        [step.project(h), c]
    }
}

#[derive(Clone, Copy, Debug)]
struct GruRule;

impl Rule for GruRule {
    const NAME: &'static str = "gru";
    const GATES: usize = 3;
    const EARLY: usize = 2;
    const STATES: usize = 1;

    fn step(&self, step: &Step, h: &Tensor, _: &Tensor) -> [Tensor; 2] {
        let product = h.linear(&step.hh, None);
        let part = |gate: usize| (Step::part(&step.x, gate, 3), Step::part(&product, gate, 3));
        let [(xr, hr), (xz, hz), (xn, hn)] = [0, 1, 2].map(part);
        let hn = step.late.as_ref().map_or_else(|| hn.clone(), |bias| &hn + bias);
        let (r, z) = ((xr + hr).sigmoid(), (xz + hz).sigmoid());
        let n = (xn + r * hn).tanh();
        // (1 − z)·n + z·h
        let h = &n + z * (h - &n);
        [h.clone(), h]
    }
}

/// The activation of a plain recurrent layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nonlinearity {
    /// The hyperbolic tangent.
    #[default]
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

#[derive(Clone, Copy, Debug)]
struct RnnRule(Nonlinearity);

impl Rule for RnnRule {
    const NAME: &'static str = "rnn";
    const GATES: usize = 1;
    const EARLY: usize = 1;
    const STATES: usize = 1;

    fn step(&self, step: &Step, h: &Tensor, _: &Tensor) -> [Tensor; 2] {
        let sum = h.linear(&step.hh, None) + &step.x;
        let h = match self.0 {
            Nonlinearity::Tanh => sum.tanh(),
            Nonlinearity::Relu => sum.relu(),
        };
        [h.clone(), h]
    }
}

/// Long short-term memory: per step, with `x` the input and `h`, `c` the states before,
///
/// ```text
/// i, f, o = σ(W_i x + b_i + U_i h + d_i), and alike for f and o
/// g       = tanh(W_g x + b_g + U_g h + d_g)
/// c'      = f·c + i·g        h' = o·tanh(c'), or W_r of it with `proj_size`
/// ```
///
/// Inputs are `[L, N, input_size]`, with `batch_first` `[N, L, input_size]`, or one sequence `[L, input_size]`; outputs
/// alike, with `hidden_size` features (`proj_size`, if there is one) per direction. States are
/// `[num_layers · directions, N, size]` in any case.
///
/// Variables, as in PyTorch, for each layer `k`: `weight_ih_lk` `[4·hidden, inputs]` with the rows of i, f, g, o,
/// `weight_hh_lk`, `bias_ih_lk`, `bias_hh_lk`, `weight_hr_lk` with `proj_size`, and the same with `_reverse` of the other
/// direction. All begin uniform in ±`1/√hidden_size`.
///
/// The graph holds every step, so a length is a plan of its own; a step costs 4 dispatches, 16 with its gradients (a
/// [`Gru`]'s 4 and 20, an [`Rnn`]'s 3 and 7). Not here: packed sequences of several lengths.
///
/// Hochreiter, Schmidhuber: "Long short-term memory", 1997. Source: `torch.nn.LSTM`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::{Lstm, RecurrentOptions};
/// let options = RecurrentOptions { num_layers: 2, bidirectional: true, ..RecurrentOptions::default() };
/// let lstm = Lstm::with(&Params::seeded(7).at("lstm"), 10, 20, options);
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [5, 3, 10], DType::F32);
/// let (y, (h, c)) = lstm.run(&x, None);
/// assert_eq!(y.shape().dims(), [5, 3, 40]);
/// assert_eq!((h.shape().dims(), c.shape().dims()), (&[4, 3, 20][..], &[4, 3, 20][..]));
/// ```
#[derive(Clone, Debug)]
pub struct Lstm(Recurrent<LstmRule>);

impl Lstm {
    /// One layer of `hidden_size` units for inputs of `input_size` features.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, RecurrentOptions::default())
    }

    /// Layers with options.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, input_size: usize, hidden_size: usize, options: RecurrentOptions) -> Self {
        Self(Recurrent::declare(params, LstmRule, input_size, hidden_size, options))
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &RecurrentOptions {
        &self.0.options
    }

    /// Outputs of all steps, and the last hidden and cell states; `first` are the states before the first step, zeros if
    /// none.
    #[track_caller]
    #[must_use]
    pub fn run(&self, x: &Tensor, first: Option<(&Tensor, &Tensor)>) -> (Tensor, (Tensor, Tensor)) {
        let first = first.map(|(h, c)| [h, c]);
        let (y, last) = self.0.run(x, first.as_ref().map(|states| &states[..]));
        (y, (last[0].clone(), last[1].clone()))
    }
}

impl Module for Lstm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.run(x, None).0
    }
}

/// Gated recurrent units: per step, with `x` the input and `h` the state before,
///
/// ```text
/// r, z = σ(W_r x + b_r + U_r h + d_r), and alike for z
/// n    = tanh(W_n x + b_n + r·(U_n h + d_n))
/// h'   = (1 − z)·n + z·h
/// ```
///
/// Shapes, options (without `proj_size`), initial values and the names of variables are those of [`Lstm`]; weights are
/// `[3·hidden, …]` with the rows of r, z, n.
///
/// Cho et al.: "Learning phrase representations using RNN encoder-decoder", 2014; `r` stands where PyTorch (and cuDNN)
/// puts it. Source: `torch.nn.GRU`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::Gru;
/// let gru = Gru::new(&Params::seeded(7).at("gru"), 10, 20);
/// let graph = Graph::new(Mode::Train);
/// let (y, h) = gru.run(&graph.input("x", [5, 3, 10], DType::F32), None);
/// assert_eq!((y.shape().dims(), h.shape().dims()), (&[5, 3, 20][..], &[1, 3, 20][..]));
/// ```
#[derive(Clone, Debug)]
pub struct Gru(Recurrent<GruRule>);

impl Gru {
    /// One layer of `hidden_size` units for inputs of `input_size` features.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, RecurrentOptions::default())
    }

    /// Layers with options.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, input_size: usize, hidden_size: usize, options: RecurrentOptions) -> Self {
        Self(Recurrent::declare(params, GruRule, input_size, hidden_size, options))
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &RecurrentOptions {
        &self.0.options
    }

    /// Outputs of all steps, and the last states; `first` are the states before the first step, zeros if none.
    #[track_caller]
    #[must_use]
    pub fn run(&self, x: &Tensor, first: Option<&Tensor>) -> (Tensor, Tensor) {
        let (y, last) = self.0.run(x, first.as_ref().map(std::slice::from_ref));
        (y, last[0].clone())
    }
}

impl Module for Gru {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.run(x, None).0
    }
}

/// Plain recurrent layers: `h' = tanh(W x + b + U h + d)`, or with `max(0, ·)`.
///
/// Shapes, options (without `proj_size`), initial values and the names of variables are those of [`Lstm`]; weights are
/// `[hidden, …]`. Source: `torch.nn.RNN`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::Rnn;
/// let rnn = Rnn::new(&Params::seeded(7).at("rnn"), 10, 20);
/// let graph = Graph::new(Mode::Train);
/// let (y, h) = rnn.run(&graph.input("x", [5, 3, 10], DType::F32), None);
/// assert_eq!((y.shape().dims(), h.shape().dims()), (&[5, 3, 20][..], &[1, 3, 20][..]));
/// ```
#[derive(Clone, Debug)]
pub struct Rnn(Recurrent<RnnRule>);

impl Rnn {
    /// One layer of `hidden_size` units with tanh, for inputs of `input_size` features.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, Nonlinearity::Tanh, RecurrentOptions::default())
    }

    /// Layers with an activation and options.
    #[track_caller]
    #[must_use]
    pub fn with(
        params: &Params,
        input_size: usize,
        hidden_size: usize,
        nonlinearity: Nonlinearity,
        options: RecurrentOptions,
    ) -> Self {
        Self(Recurrent::declare(params, RnnRule(nonlinearity), input_size, hidden_size, options))
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &RecurrentOptions {
        &self.0.options
    }

    /// Outputs of all steps, and the last states; `first` are the states before the first step, zeros if none.
    #[track_caller]
    #[must_use]
    pub fn run(&self, x: &Tensor, first: Option<&Tensor>) -> (Tensor, Tensor) {
        let (y, last) = self.0.run(x, first.as_ref().map(std::slice::from_ref));
        (y, last[0].clone())
    }
}

impl Module for Rnn {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.run(x, None).0
    }
}

/// One step of an [`Lstm`]: `x` is `[N, input_size]` or `[input_size]`, states are `[N, hidden_size]` or
/// `[hidden_size]`.
///
/// Variables: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`. Source: `torch.nn.LSTMCell`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::LstmCell;
/// let cell = LstmCell::new(&Params::seeded(7).at("cell"), 10, 20);
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [3, 10], DType::F32);
/// let (h, c) = cell.step(&x, None);
/// let (h, _) = cell.step(&x, Some((&h, &c)));
/// assert_eq!(h.shape().dims(), [3, 20]);
/// ```
#[derive(Clone, Debug)]
pub struct LstmCell(Cell<LstmRule>);

impl LstmCell {
    /// A cell with biases.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, true)
    }

    /// A cell, perhaps without biases.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, input_size: usize, hidden_size: usize, bias: bool) -> Self {
        Self(Cell::declare(params, LstmRule, input_size, hidden_size, bias))
    }

    /// The next hidden and cell state; zeros are the states before, if none.
    #[track_caller]
    #[must_use]
    pub fn step(&self, x: &Tensor, states: Option<(&Tensor, &Tensor)>) -> (Tensor, Tensor) {
        let states = states.map(|(h, c)| [h, c]);
        let [h, c] = self.0.step("lstm_cell", x, states.as_ref().map(|states| &states[..]));
        (h, c)
    }
}

/// Declares the cells with one state.
macro_rules! cell {
    ($(#[$doc:meta])* $Name:ident, $Rule:ident, $op:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $Name(Cell<$Rule>);

        impl $Name {
            /// The next state; zeros are the state before, if none.
            #[track_caller]
            #[must_use]
            pub fn step(&self, x: &Tensor, state: Option<&Tensor>) -> Tensor {
                let [h, _] = self.0.step($op, x, state.as_ref().map(std::slice::from_ref));
                h
            }
        }
    };
}
cell! {
    /// One step of a [`Gru`]; shapes and variables are those of [`LstmCell`]. Source: `torch.nn.GRUCell`.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode, Params};
    /// use wgrad_nn::layers::GruCell;
    /// let cell = GruCell::new(&Params::seeded(7).at("cell"), 10, 20);
    /// let graph = Graph::new(Mode::Train);
    /// assert_eq!(cell.step(&graph.input("x", [3, 10], DType::F32), None).shape().dims(), [3, 20]);
    /// ```
    GruCell, GruRule, "gru_cell"
}
cell! {
    /// One step of an [`Rnn`]; shapes and variables are those of [`LstmCell`]. Source: `torch.nn.RNNCell`.
    RnnCell, RnnRule, "rnn_cell"
}

impl GruCell {
    /// A cell with biases.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, true)
    }

    /// A cell, perhaps without biases.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, input_size: usize, hidden_size: usize, bias: bool) -> Self {
        Self(Cell::declare(params, GruRule, input_size, hidden_size, bias))
    }
}

impl RnnCell {
    /// A cell with tanh and biases.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, input_size: usize, hidden_size: usize) -> Self {
        Self::with(params, input_size, hidden_size, Nonlinearity::Tanh, true)
    }

    /// A cell with an activation, perhaps without biases.
    #[track_caller]
    #[must_use]
    pub fn with(
        params: &Params,
        input_size: usize,
        hidden_size: usize,
        nonlinearity: Nonlinearity,
        bias: bool,
    ) -> Self {
        Self(Cell::declare(params, RnnRule(nonlinearity), input_size, hidden_size, bias))
    }
}
