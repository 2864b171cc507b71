//! The long short-term memory (LSTM): a layer and a cell for one time step.

use wgrad_core::Tensor;

use super::recurrent::{Recurrent, RecurrentKind, TimeStep};
use super::recurrent_cell::RecurrentCell;

/// Marker type that selects the LSTM as the [`RecurrentKind`].
#[derive(Clone, Copy, Debug)]
pub struct LstmKind;

impl RecurrentKind for LstmKind {
    const NAME: &'static str = "lstm";
    const CELL: &'static str = "lstm_cell";
    const GATES: usize = 4;
    const SUMMED_BIASES: usize = 4;
    const STATES: usize = 2;
    const NONLINEAR: bool = false;

    fn step(step: &TimeStep, h: &Tensor, c: &Tensor) -> [Tensor; 2] {
        let gates = h.linear(&step.hh, None) + &step.x;
        let [i, f, g, o] = [0, 1, 2, 3].map(|gate| TimeStep::part(&gates, gate, 4));
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        let h = o.sigmoid() * c.tanh();
        [step.project(h), c]
    }
}

/// Stacked long short-term memory (LSTM) layers; PyTorch's `LSTM`. For input `x` and previous states `h`, `c`:
///
/// ```text
/// i  = σ(W_i x + b_i + U_i h + d_i)
/// f  = σ(W_f x + b_f + U_f h + d_f)
/// o  = σ(W_o x + b_o + U_o h + d_o)
/// g  = tanh(W_g x + b_g + U_g h + d_g)
/// c' = f·c + i·g
/// h' = o·tanh(c'), or W_r · (o·tanh(c')) with `proj_size`
/// ```
///
/// `W` and `b` are the rows of `weight_ih` and `bias_ih` for one gate, `U` and `d` are those of `weight_hh` and
/// `bias_hh`, and `W_r` is `weight_hr`.
///
/// Shapes: inputs are `[L, N, input_size]`, `[N, L, input_size]` with `batch_first`, or `[L, input_size]` for one
/// sequence. Outputs have the same leading axes as the inputs, and `hidden_size` features per direction, or
/// `proj_size` features if that is set. States are `[num_layers · directions, N, size]`, even with `batch_first`.
///
/// Variables of each layer `k`, as in PyTorch: `weight_ih_lk` `[4·hidden, inputs]`, whose rows are those of i,
/// then f, g and o, `weight_hh_lk`, `bias_ih_lk`, `bias_hh_lk` and, with `proj_size`, `weight_hr_lk`. The names of
/// the reverse direction's variables end in `_reverse`. All are initially uniform in ±`1/√hidden_size`.
///
/// The graph contains the ops of every time step, so each sequence length needs its own graph. A time step takes 4
/// dispatches in evaluation and 16 in training with gradients (4 and 20 for a [`Gru`](super::Gru), 3 and 7 for an
/// [`Rnn`](super::Rnn)). Packed sequences of different lengths are not supported.
///
/// Hochreiter, Schmidhuber: "Long short-term memory", 1997.
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
pub type Lstm = Recurrent<LstmKind>;

impl Recurrent<LstmKind> {
    /// Returns the outputs of all time steps and the last hidden and cell states. The initial hidden and cell
    /// states are `first`, or zeros if `first` is `None`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, first: Option<(&Tensor, &Tensor)>) -> (Tensor, (Tensor, Tensor)) {
        let first = first.map(|(h, c)| [h, c]);
        let (y, last) = self.run(x, first.as_ref().map(|states| &states[..]));
        (y, (last[0].clone(), last[1].clone()))
    }
}

/// A cell that computes one time step of an [`Lstm`]; PyTorch's `LSTMCell`.
///
/// Shapes: `x` is `[N, input_size]` or `[input_size]`; states are `[N, hidden_size]` or `[hidden_size]`.
///
/// Variables: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`.
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
pub type LstmCell = RecurrentCell<LstmKind>;

impl RecurrentCell<LstmKind> {
    /// Returns the hidden and cell states after a step from `states`, or from zeros if `states` is `None`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, states: Option<(&Tensor, &Tensor)>) -> (Tensor, Tensor) {
        let states = states.map(|(h, c)| [h, c]);
        let [h, c] = self.run(x, states.as_ref().map(|states| &states[..]));
        (h, c)
    }
}
