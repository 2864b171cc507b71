//! Plain recurrent layers.

use wgrad_core::Tensor;

use super::recurrent::{Nonlinearity, Recurrent, RecurrentCell, Rule, SingleState, Step};

/// Rule of a plain recurrent layer.
#[derive(Clone, Copy, Debug)]
pub struct RnnRule;

impl Rule for RnnRule {
    const NAME: &'static str = "rnn";
    const CELL: &'static str = "rnn_cell";
    const GATES: usize = 1;
    const EARLY: usize = 1;
    const STATES: usize = 1;
    const NONLINEAR: bool = true;

    fn step(step: &Step, h: &Tensor, _: &Tensor) -> [Tensor; 2] {
        let sum = h.linear(&step.hh, None) + &step.x;
        let h = match step.nonlinearity {
            Nonlinearity::Tanh => sum.tanh(),
            Nonlinearity::Relu => sum.relu(),
        };
        [h.clone(), h]
    }
}

impl SingleState for RnnRule {}

/// Plain recurrent layers: `h' = tanh(W x + b + U h + d)`, or with `max(0, ·)`.
///
/// Shapes, options (without `proj_size`), initial values and the names of variables are those of [`Lstm`](super::Lstm);
/// weights are `[hidden, …]`. Source: `torch.nn.RNN`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::Rnn;
/// let rnn = Rnn::new(&Params::seeded(7).at("rnn"), 10, 20);
/// let graph = Graph::new(Mode::Train);
/// let (y, h) = rnn.forward(&graph.input("x", [5, 3, 10], DType::F32), None);
/// assert_eq!((y.shape().dims(), h.shape().dims()), (&[5, 3, 20][..], &[1, 3, 20][..]));
/// ```
pub type Rnn = Recurrent<RnnRule>;

/// One step of an [`Rnn`]; shapes and variables are those of [`LstmCell`](super::LstmCell). Source: `torch.nn.RNNCell`.
pub type RnnCell = RecurrentCell<RnnRule>;
