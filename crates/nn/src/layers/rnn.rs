//! The simple recurrent network (RNN): a layer and a cell for one time step.

use wgrad_core::Tensor;

use super::recurrent::{Nonlinearity, Recurrent, RecurrentKind, SingleState, TimeStep};
use super::recurrent_cell::RecurrentCell;

/// Marker type that selects the RNN as the [`RecurrentKind`].
#[derive(Clone, Copy, Debug)]
pub struct RnnKind;

impl RecurrentKind for RnnKind {
    const NAME: &'static str = "rnn";
    const CELL: &'static str = "rnn_cell";
    const GATES: usize = 1;
    const SUMMED_BIASES: usize = 1;
    const STATES: usize = 1;
    const NONLINEAR: bool = true;

    fn step(step: &TimeStep, h: &Tensor, _: &Tensor) -> [Tensor; 2] {
        let sum = h.linear(&step.hh, None) + &step.x;
        let h = match step.nonlinearity {
            Nonlinearity::Tanh => sum.tanh(),
            Nonlinearity::Relu => sum.relu(),
        };
        [h.clone(), h]
    }
}

impl SingleState for RnnKind {}

/// Stacked simple recurrent (RNN) layers: `h' = tanh(W x + b + U h + d)`, or with ReLU instead of tanh, for input
/// `x` and previous state `h`; PyTorch's `RNN`.
///
/// `W` and `b` are `weight_ih` and `bias_ih`, `U` and `d` are `weight_hh` and `bias_hh`.
///
/// Shapes, options (except `proj_size`), initial values and variable names are those of [`Lstm`](super::Lstm);
/// weights are `[hidden, …]`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::Rnn;
/// let rnn = Rnn::new(&Params::seeded(7).at("rnn"), 10, 20);
/// let graph = Graph::new(Mode::Train);
/// let (y, h) = rnn.forward(&graph.input("x", [5, 3, 10], DType::F32), None);
/// assert_eq!((y.shape().dims(), h.shape().dims()), (&[5, 3, 20][..], &[1, 3, 20][..]));
/// ```
pub type Rnn = Recurrent<RnnKind>;

/// A cell that computes one time step of an [`Rnn`]; PyTorch's `RNNCell`. Shapes and variables are those of
/// [`LstmCell`](super::LstmCell).
pub type RnnCell = RecurrentCell<RnnKind>;
