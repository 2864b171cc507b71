//! Long short-term memory.

use wgrad_core::Tensor;

use super::recurrent::{Recurrent, RecurrentCell, Rule, Step};

/// Rule of an LSTM.
#[derive(Clone, Copy, Debug)]
pub struct LstmRule;

impl Rule for LstmRule {
    const NAME: &'static str = "lstm";
    const CELL: &'static str = "lstm_cell";
    const GATES: usize = 4;
    const EARLY: usize = 4;
    const STATES: usize = 2;
    const NONLINEAR: bool = false;

    fn step(step: &Step, h: &Tensor, c: &Tensor) -> [Tensor; 2] {
        let gates = h.linear(&step.hh, None) + &step.x;
        let [i, f, g, o] = [0, 1, 2, 3].map(|gate| Step::part(&gates, gate, 4));
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        let h = o.sigmoid() * c.tanh();
        [step.project(h), c]
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
/// `weight_hh_lk`, `bias_ih_lk`, `bias_hh_lk`, `weight_hr_lk` with `proj_size`, and the same with `_reverse` of the
/// other direction. All begin uniform in ±`1/√hidden_size`.
///
/// The graph holds every step, so a length is a plan of its own; a step costs 4 dispatches, 16 with its gradients (a
/// [`Gru`](super::Gru)'s 4 and 20, an [`Rnn`](super::Rnn)'s 3 and 7). Not here: packed sequences of several lengths.
///
/// Hochreiter, Schmidhuber: "Long short-term memory", 1997. Source: `torch.nn.LSTM`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::{Lstm, RecurrentOptions};
/// let options = RecurrentOptions::new().num_layers(2).bidirectional(true);
/// let lstm = Lstm::with(&Params::seeded(7).at("lstm"), 10, 20, options);
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [5, 3, 10], DType::F32);
/// let (y, (h, c)) = lstm.forward(&x, None);
/// assert_eq!(y.shape().dims(), [5, 3, 40]);
/// assert_eq!((h.shape().dims(), c.shape().dims()), (&[4, 3, 20][..], &[4, 3, 20][..]));
/// ```
pub type Lstm = Recurrent<LstmRule>;

impl Recurrent<LstmRule> {
    /// Returns the outputs of all steps, and the last hidden and cell states; `first` are the states before the first
    /// step, zeros if none.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, first: Option<(&Tensor, &Tensor)>) -> (Tensor, (Tensor, Tensor)) {
        let first = first.map(|(h, c)| [h, c]);
        let (y, last) = self.run(x, first.as_ref().map(|states| &states[..]));
        (y, (last[0].clone(), last[1].clone()))
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
/// let (h, c) = cell.forward(&x, None);
/// let (h, _) = cell.forward(&x, Some((&h, &c)));
/// assert_eq!(h.shape().dims(), [3, 20]);
/// ```
pub type LstmCell = RecurrentCell<LstmRule>;

impl RecurrentCell<LstmRule> {
    /// Returns the next hidden and cell state; zeros are the states before, if none.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, states: Option<(&Tensor, &Tensor)>) -> (Tensor, Tensor) {
        let states = states.map(|(h, c)| [h, c]);
        let [h, c] = self.run(x, states.as_ref().map(|states| &states[..]));
        (h, c)
    }
}
